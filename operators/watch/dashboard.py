"""The Grafana dashboard of a deployment, made from the list of metrics: ``python -m operators.watch dashboard``.

Its queries are Prometheus', with the names that statsd_exporter gives: a metric ``heartwood.stage.duration`` becomes
``airflow_heartwood_stage_duration``, tags become labels, and a timer a summary in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from operators.watch.metrics import (
    ANSWERS,
    CASE_DURATION,
    CASE_PRICE,
    CASES,
    FAILURES,
    QUEUE_AGE,
    RUNNING_AGE,
    STAGE_CPU_TIME,
    STAGE_DURATION,
    STAGE_MEMORY,
    STAGE_MEMORY_SHARE,
    STAGE_REUSED,
    Metric,
)

HEARTBEAT = "airflow_scheduler_heartbeat"
"""Airflow's own sign of life; without it nothing else on this page is true."""

WIDTH, HEIGHT = 12, 8
"""Of a panel, in Grafana's units: the page is 24 wide."""

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Panel:
    """One graph: its title, its unit as Grafana calls it, its query, the legend of a line, and what to look for."""

    title: str
    unit: str
    query: str
    legend: str
    look: str


def name_of(metric: Metric) -> str:
    """Return the name that statsd_exporter gives a metric."""
    return f"airflow_{metric.name.replace('.', '_')}"


def _mean(metric: Metric, by: str) -> str:
    """Return the query of the mean of a timer over an hour."""
    name = name_of(metric)
    total, number = (f"sum by ({by}) (increase({name}_{part}[1h]))" for part in ("sum", "count"))
    return f"{total} / {number}"


def _counted(metric: Metric, by: str) -> str:
    return f"sum by ({by}) (increase({name_of(metric)}[1h]))"


PANELS = (
    Panel("Cases by state", "short", f"sum by (state) ({name_of(CASES)})", "{{state}}", CASES.help),
    Panel(
        "Oldest waiting case",
        "s",
        f"max by (pipeline) ({name_of(QUEUE_AGE)})",
        "{{pipeline}}",
        "Rises without end when nothing takes cases from the queue.",
    ),
    Panel("Failed tries an hour, by kind", "short", _counted(FAILURES, "kind"), "{{kind}}", FAILURES.help),
    Panel("Failed tries an hour, by stage", "short", _counted(FAILURES, "stage"), "{{stage}}", FAILURES.help),
    Panel("Reports an hour, by what they say", "short", _counted(ANSWERS, "state"), "{{state}}", ANSWERS.help),
    Panel("Turn-around of a case, mean of an hour", "s", _mean(CASE_DURATION, "pipeline"), "{{pipeline}}", CASE_DURATION.help),
    Panel(
        "Oldest running case",
        "s",
        f"max by (pipeline) ({name_of(RUNNING_AGE)})",
        "{{pipeline}}",
        "Rises without end when a case hangs.",
    ),
    Panel("Stages, mean of an hour", "s", _mean(STAGE_DURATION, "stage"), "{{stage}}", STAGE_DURATION.help),
    Panel("CPU time of stages, mean of an hour", "s", _mean(STAGE_CPU_TIME, "stage"), "{{stage}}", STAGE_CPU_TIME.help),
    Panel("Peak memory of stages", "mbytes", f"max by (stage) ({name_of(STAGE_MEMORY)})", "{{stage}}", STAGE_MEMORY.help),
    Panel(
        "Peak memory, share of what is declared",
        "percentunit",
        f"max by (stage) ({name_of(STAGE_MEMORY_SHARE)})",
        "{{stage}}",
        "Near 100 % a stage is about to be killed; far below, its machine is too large.",
    ),
    Panel("Results reused an hour", "short", _counted(STAGE_REUSED, "stage"), "{{stage}}", STAGE_REUSED.help),
    Panel(
        "Price of the last case, estimate",
        "short",
        f"max by (pipeline) ({name_of(CASE_PRICE)})",
        "{{pipeline}}",
        CASE_PRICE.help,
    ),
    Panel("Heartbeats of the scheduler a minute", "short", f"rate({HEARTBEAT}[5m]) * 60", "scheduler", "Must not stop."),
)


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    return {
        "title": "Heartwood",
        "uid": "heartwood",
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "tags": ["heartwood"],
        "templating": {"list": [{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}]},
        "panels": [_panel(number, panel) for number, panel in enumerate(PANELS)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.look,
        "datasource": DATASOURCE,
        "gridPos": {"x": WIDTH * (number % 2), "y": HEIGHT * (number // 2), "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [{"refId": "A", "datasource": DATASOURCE, "expr": panel.query, "legendFormat": panel.legend}],
    }
