"""As much of a Kubernetes API server and its kubelet as one pod operator needs: pods are kept, and their commands really run.

No cluster can be had where the tests run.  The client, its requests and what it makes of the answers are the real ones;
what a real cluster does beside that (admission, scheduling, volumes) is not tested by this.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.operators.runners.confined import Confined

POD = re.compile(r"/api/v1/namespaces/[^/]+/pods(?:/(?P<name>[^/]+))?(?P<log>/log)?")


class Cluster:
    """Pods by name; ``done`` holds every manifest that was submitted, ``evict`` makes the next look at a pod evict it."""

    def __init__(self) -> None:
        self.done: list[dict[str, Any]] = []
        self.pods: dict[str, dict[str, Any]] = {}
        self.evict = threading.Event()
        self.broken = threading.Event()
        self._processes: dict[str, Confined] = {}
        self._lock = threading.RLock()

    def create(self, pod: dict[str, Any]) -> dict[str, Any]:
        """Keep the pod and start its command."""
        with self._lock:
            (container,) = pod["spec"]["containers"]
            self.done.append(json.loads(json.dumps(pod)))
            name = pod["metadata"]["name"]
            pod["metadata"]["creationTimestamp"] = now()
            self.pods[name] = pod
            environment = {entry["name"]: entry["value"] for entry in container.get("env", [])}
            limit_mib = float(container["resources"]["limits"]["memory"].removesuffix("Mi"))
            self._processes[name] = Confined(container["args"], environment, limit_mib)
            return self.look(name)

    def look(self, name: str) -> dict[str, Any]:
        """Return the pod with its status as a kubelet would report it now."""
        with self._lock:
            pod, process = self.pods[name], self._processes[name]
            ended = process.ended()
            state: dict[str, Any] = {"running": {"startedAt": pod["metadata"]["creationTimestamp"]}}
            phase, reason = "Running", {}
            if self.evict.is_set() and ended is None:
                process.kill()
                phase, ended = "Failed", process.ended()
                reason = {"reason": "Evicted", "message": "The node was low on resource: ephemeral-storage."}
                self.evict.clear()
                pod["status"] = None
            if ended is not None:
                why = "OOMKilled" if ended.out_of_memory else "Error" if ended.code else "Completed"
                state = {"terminated": {"exitCode": ended.code, "reason": why, "finishedAt": now()}}
                phase = "Failed" if ended.code else "Succeeded"
            kept = pod.get("status") or {}
            pod["status"] = {
                "phase": phase,
                "startTime": pod["metadata"]["creationTimestamp"],
                "conditions": [{"type": "PodScheduled", "status": "True"}],
                "containerStatuses": [
                    {"name": pod["spec"]["containers"][0]["name"], "image": "", "imageID": "", "ready": phase == "Running",
                     "restartCount": 0, "state": state}
                ],
            } | ({k: kept[k] for k in ("reason", "message") if k in kept} | reason)  # fmt: skip
            return pod

    def said(self, name: str, follow: bool) -> Iterator[str]:
        """Yield the lines of a pod's log, until it has ended where they are followed."""
        shown = 0
        while True:
            ended = name not in self.pods or self.look(name)["status"]["phase"] != "Running"
            lines = self._processes[name].said()
            yield from lines[shown:]
            shown = len(lines)
            if ended or not follow:
                return
            time.sleep(0.02)

    def delete(self, name: str) -> dict[str, Any]:
        """End the pod and forget it."""
        with self._lock:
            pod = self.pods.pop(name)
            self._processes[name].kill()
            return pod

    def matching(self, selector: str) -> list[dict[str, Any]]:
        """Return the pods that a label selector selects."""
        with self._lock:
            return [self.look(name) for name in list(self.pods) if _selected(self.pods[name]["metadata"]["labels"], selector)]

    def close(self) -> None:
        """End all that runs."""
        for process in self._processes.values():
            process.close()


def _selected(labels: dict[str, str], selector: str) -> bool:
    for term in filter(None, selector.split(",")):
        if term.startswith("!"):
            if term[1:] in labels:
                return False
        elif "!=" in term:
            name, _, value = term.partition("!=")
            if labels.get(name) == value:
                return False
        else:
            name, _, value = term.partition("=")
            if labels.get(name) != value:
                return False
    return True


def now() -> str:
    """Return the time as Kubernetes writes it."""
    return datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        found = POD.fullmatch(url.path)
        if found is None:
            self._answer({"kind": "EventList", "apiVersion": "events.k8s.io/v1", "metadata": {}, "items": []})
        elif found["name"] is None:
            pods = self.cluster.matching(query.get("labelSelector", ""))
            self._answer({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods})
        elif found["name"] not in self.cluster.pods:
            self._answer({"kind": "Status", "reason": "NotFound"}, 404)
        elif found["log"]:
            self._log(found["name"], query)
        else:
            self._answer(self.cluster.look(found["name"]))

    def do_POST(self) -> None:
        self._answer(self.cluster.create(self._body()), 201)

    def do_PATCH(self) -> None:
        found = POD.fullmatch(urlsplit(self.path).path)
        assert found is not None
        pod = self.cluster.pods[found["name"]]
        pod["metadata"]["labels"] |= self._body()["metadata"]["labels"]
        self._answer(pod)

    def do_DELETE(self) -> None:
        found = POD.fullmatch(urlsplit(self.path).path)
        assert found is not None
        self._body()
        if found["name"] in self.cluster.pods:
            self._answer(self.cluster.delete(found["name"]))
        else:
            self._answer({"kind": "Status", "reason": "NotFound"}, 404)

    def _log(self, name: str, query: dict[str, str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Connection", "close")
        self.end_headers()
        for line in self.cluster.said(name, query.get("follow", "").lower() == "true"):
            stamp = f"{now()} " if query.get("timestamps", "").lower() == "true" else ""
            self.wfile.write(f"{stamp}{line}\n".encode())
        self.close_connection = True

    def _body(self) -> dict[str, Any]:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        document: dict[str, Any] = json.loads(text or b"{}")
        return document

    def _answer(self, document: dict[str, Any], code: int = 200) -> None:
        if self.cluster.broken.is_set():
            document, code = {"kind": "Status", "reason": "InternalError"}, 500
        text = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[Cluster, Path]]:
    """Give a cluster and the configuration file with which a client finds it."""
    running = Cluster()
    handler = type("Handler", (_Handler,), {"cluster": running})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    path = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "here", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
    }
    path.write_text(json.dumps(document))
    try:
        yield running, path
    finally:
        server.shutdown()
        server.server_close()
        running.close()
