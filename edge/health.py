"""The page that says how the appliance is: for people, for a watchdog (JSON, 200 or 503), for Prometheus; counts only."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from edge.config import Config
from edge.database import Step
from edge.spool import Spool

PREFIX = "heartwood_edge_"
STEPS = {
    "receiving": "coming in",
    "deidentified": "without identity, not encrypted yet",
    "sealed": "encrypted, not sent yet",
    "sent": "sent, not announced yet",
    "announced": "done; originals are still kept",
    "dead": "dead letters",
}
EVENTS = {
    "announced": "studies sent and announced",
    "received": "instances received",
    "duplicates": "instances that came again",
    "aside": "instances that contradicted one here",
    "full": "instances refused for want of room",
    "refused": "instances that are no DICOM",
    "failed transient": "steps that failed and were tried again",
    "failed data": "steps that a person had to mend",
    "failed bug": "steps that failed by a bug",
    "commitments told": "callers told what is safe",
    "commitments untold": "callers that could not be told what is safe",
}
"""What steps and events are called on the page for people."""

STYLE = (
    "body{font:1rem/1.4 system-ui,sans-serif;margin:2rem auto;max-width:44rem;padding:0 1rem;color:#222}"
    "h1{font-size:1.4rem;padding:.6rem 1rem;border-left:.6rem solid}h2{font-size:1.05rem;margin:1.6rem 0 .3rem}"
    ".good{border-color:#2e7d32;background:#e8f5e9}.look{border-color:#b26a00;background:#fff3e0}"
    ".bad{border-color:#b71c1c;background:#ffebee}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;font-weight:normal;padding:.2rem .4rem;border-bottom:1px solid #ddd}"
    "th{width:60%}td{font-variant-numeric:tabular-nums}"
)

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
    aside = sum(1 for _ in (spool.home / "aside").glob("*/*"))
    parts = alive() | {"disk": free >= config.listen.least_free_mib * 2**20}
    return {
        "status": "ok" if all(parts.values()) else "failing",
        "attention": steps["dead"] + aside > 0,
        "parts": parts,
        "studies": {name: steps[name] for name in (*Step, "dead") if name != Step.DISCARDED},
        "aside": aside,
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
        ("aside", "gauge", "Instances that contradict one that was here.", {"": found["aside"]}),
        ("oldest_waiting_seconds", "gauge", "Age of the oldest study on its way.", {"": found["oldest_waiting_seconds"]}),
        ("free_bytes", "gauge", "Free space of the spool's disk.", {"": found["free_bytes"]}),
    ):
        lines += [f"# HELP {PREFIX}{name} {help}", f"# TYPE {PREFIX}{name} {kind}"]
        lines += [f"{PREFIX}{name}{labels} {value}" for labels, value in samples.items()]
    return "\n".join(lines) + "\n"


def page(found: dict[str, Any]) -> str:
    """Return the state as a page for people, which loads itself anew."""
    needs = []
    if found["studies"]["dead"]:
        needs.append(f"Dead letters: {found['studies']['dead']}; <code>python -m edge.appliance list CONFIG</code> says why")
    if found["aside"]:
        needs.append(
            f"Instances in <code>home/aside</code>: {found['aside']}; each contradicts one that was here, ask who sent it"
        )
    failing = found["status"] != "ok"
    said = "does not work" if failing else "works, but somebody must look" if needs else "works"
    colour = "bad" if failing else "look" if needs else "good"
    parts = [(name, "works" if works else "<b>does not work</b>") for name, works in found["parts"].items()]
    steps = [(STEPS.get(name, name), count) for name, count in found["studies"].items()]
    happened = [
        (EVENTS.get(name, name), count, f"{_duration(found['last_seconds_ago'][name])} ago")
        for name, count in found["counts"].items()
    ]
    other = [
        ("free space", f"{found['free_bytes'] / 2**30:.1f} GiB"),
        ("study that waits longest on its way", _duration(found["oldest_waiting_seconds"])),
    ]
    tables = (
        ("Parts", parts),
        ("Studies here", steps),
        ("Happened since it was installed", happened),
        ("Room and time", other),
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=30>"
        f"<meta name=viewport content='width=device-width'><title>Heartwood edge {said}</title><style>{STYLE}</style>"
        f"<h1 class={colour}>The appliance {said}</h1>"
        + "".join(f"<p>{need}.</p>" for need in needs)
        + "".join(f"<h2>{title}</h2>{_table(rows)}" for title, rows in tables)
        + "</html>"
    )


def _table(rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return "<p>nothing yet</p>"
    lines = "".join(f"<tr><th scope=row>{row[0]}" + "".join(f"<td>{cell}" for cell in row[1:]) for row in rows)
    return f"<table>{lines}</table>"


def _duration(seconds: float) -> str:
    """Return seconds as a person says them."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


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
