"""Our metrics as they arrive at a StatsD server, held to the list of metrics."""

from __future__ import annotations

import re

from operators.watch.metrics import METRICS, OTHER, values_of
from tests.services import StatsD

LINE = re.compile(r"airflow\.(?P<name>heartwood[\w.]+)(?P<tags>(,\w+=[\w-]+)*):(?P<value>[\d.]+)\|(?P<kind>c|g|ms)")
"""StatsD with tags as InfluxDB writes them: name,tag=value,tag=value:number|kind."""

KINDS = {"counter": "c", "gauge": "g", "timer": "ms"}


def sent(server: StatsD) -> list[tuple[str, str, dict[str, str], float]]:
    """Return our metrics as they arrived: name, kind, tags, value."""
    lines = [line for line in b"\n".join(server.datagrams).decode().splitlines() if "heartwood" in line.partition(":")[0]]
    found = [LINE.fullmatch(line) for line in lines]
    assert all(found), lines
    return [(m["name"], m["kind"], dict(t.split("=") for t in m["tags"].split(",")[1:]), float(m["value"])) for m in found if m]


def of(server: StatsD, name: str) -> list[dict[str, str]]:
    """Return the tags with which a metric arrived, each time."""
    return [tags for found, _, tags, _ in sent(server) if found == name]


def check_declared(server: StatsD) -> None:
    """Hold everything that arrived to the list of metrics: name, kind, tags, and values of tags."""
    declared = {metric.name: metric for metric in METRICS}
    for name, kind, tags, _ in sent(server):
        assert kind == KINDS[declared[name].kind]
        assert set(tags) == set(declared[name].tags)
        assert all(value in values_of(tag) | {OTHER} for tag, value in tags.items())
