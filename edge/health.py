"""The page that says how the appliance is: for people, for a watchdog (JSON, 200 or 503), for Prometheus; counts only."""

from __future__ import annotations

import html
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from edge.config import Config
from edge.spool import Spool, Step

PREFIX = "heartwood_edge_"
REQUEST_S = 10
"""Longest wait for a request that was begun."""

Alive = Callable[[], dict[str, bool]]
"""Says of each part of the appliance whether it works."""


def state(spool: Spool, config: Config, alive: Alive) -> dict[str, Any]:
    """Return how the appliance is: counts, seconds and bytes, nothing of any study."""
    now, studies, counted = time.time(), spool.studies(), spool.counts()
    steps = Counter("dead" if study.dead else str(study.step) for study in studies)
    waiting = [s.last_arrival for s in studies if not s.dead and s.step not in {Step.RECEIVING, Step.ANNOUNCED}]
    free = spool.free_bytes()
    parts = alive() | {"disk": free >= config.listen.least_free_mib * 2**20}
    return {
        "status": "ok" if all(parts.values()) else "failing",
        "attention": steps["dead"] + counted.get("aside", (0, 0))[0] > 0,
        "parts": parts,
        "studies": {name: steps[name] for name in (*Step, "dead") if name != Step.DISCARDED},
        "counts": {name: count for name, (count, _) in sorted(counted.items())},
        "last_seconds_ago": {name: round(now - at) for name, (_, at) in sorted(counted.items())},
        "oldest_waiting_seconds": round(now - min(waiting)) if waiting else 0,
        "free_bytes": free,
    }


def metrics(found: dict[str, Any]) -> str:
    """Return the state in Prometheus' text format (version 0.0.4)."""
    lines = []
    for name, kind, help, samples in (
        ("up", "gauge", "Whether a part works.", {f'{{part="{n}"}}': int(v) for n, v in found["parts"].items()}),
        ("studies", "gauge", "Studies here, by how far they have come.", _labelled("step", found["studies"])),
        ("events_total", "counter", "What happened, since the spool was made.", _labelled("event", found["counts"])),
        ("oldest_waiting_seconds", "gauge", "Age of the oldest study on its way.", {"": found["oldest_waiting_seconds"]}),
        ("free_bytes", "gauge", "Free space of the spool's disk.", {"": found["free_bytes"]}),
    ):
        lines += [f"# HELP {PREFIX}{name} {help}", f"# TYPE {PREFIX}{name} {kind}"]
        lines += [f"{PREFIX}{name}{labels} {value}" for labels, value in samples.items()]
    return "\n".join(lines) + "\n"


def page(found: dict[str, Any]) -> str:
    """Return the state as a page for people."""
    tables = {
        "Parts": {name: "works" if works else "DOES NOT WORK" for name, works in found["parts"].items()},
        "Studies here": found["studies"],
        "Happened so far": found["counts"],
        "Seconds since it last happened": found["last_seconds_ago"],
        "Space and time": {name: found[name] for name in ("free_bytes", "oldest_waiting_seconds")},
    }
    body = "".join(
        f"<h2>{title}</h2><table>" + "".join(f"<tr><td>{html.escape(str(n))}<td>{v}" for n, v in rows.items()) + "</table>"
        for title, rows in tables.items()
    )
    said = "in order" if found["status"] == "ok" else "failing"
    needs = " - somebody must look: dead letters, or instances kept aside" if found["attention"] else ""
    return f"<!doctype html><meta charset=utf-8><title>Heartwood edge</title><h1>Heartwood edge: {said}{needs}</h1>{body}"


class HealthPage:
    """A small HTTP server; `close` ends it."""

    def __init__(self, spool: Spool, config: Config, alive: Alive) -> None:
        class Page(BaseHTTPRequestHandler):
            timeout = REQUEST_S

            def do_GET(self) -> None:
                found = state(spool, config, alive)
                code = 200 if found["status"] == "ok" else 503
                answers: dict[str, tuple[str, Callable[[], str]]] = {
                    "/": ("text/html; charset=utf-8", lambda: page(found)),
                    "/health": ("application/json", lambda: json.dumps(found)),
                    "/metrics": ("text/plain; version=0.0.4", lambda: metrics(found)),
                }
                if self.path not in answers:
                    self.send_error(404)
                    return
                kind, text = answers[self.path]
                content = text().encode()
                self.send_response(code if self.path == "/health" else 200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing: a watchdog asks every few seconds."""

        self._server = ThreadingHTTPServer((config.health.address, config.health.port), Page)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    @property
    def port(self) -> int:
        """The port that is answered on."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


def _labelled(label: str, values: dict[str, int]) -> dict[str, int]:
    return {f'{{{label}="{name}"}}': value for name, value in values.items()}
