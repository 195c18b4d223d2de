"""The dashboard and the documentation say what the code sends, neither more nor less."""

from __future__ import annotations

import json
import re
from pathlib import Path

import airflow
import pytest
import yaml

from operators.watch.dashboard import HEARTBEAT, dashboard, name_of
from operators.watch.metrics import METRICS, Metric
from tests.operators.airflow_home import PROJECT

KEPT = PROJECT / "docker/grafana/heartwood.json"
PARTS = ("_sum", "_count")
"""What a summary has beside its quantiles."""


def named(text: str) -> set[str]:
    """Return the metrics that a text names as Prometheus calls them."""
    names = set(re.findall(r"\bairflow_\w+", text))
    return {next((name.removesuffix(part) for part in PARTS if name.endswith(part)), name) for name in names}


def test_the_kept_dashboard_is_the_one_that_the_code_makes() -> None:
    """``python -m operators.watch dashboard > docker/grafana/heartwood.json`` writes it."""
    assert json.loads(KEPT.read_text()) == dashboard()


def test_the_dashboard_names_only_what_is_sent_and_leaves_nothing_out() -> None:
    """A graph of a metric that nobody sends is empty for ever, and looks like a quiet day."""
    assert named(KEPT.read_text()) == {name_of(metric) for metric in METRICS} | {HEARTBEAT}


def test_airflow_sends_the_heartbeat() -> None:
    """Airflow's own list of its metrics."""
    registry = Path(airflow.__file__).parent / "_shared/observability/metrics/metrics_template.yaml"
    names = {entry["name"] for entry in yaml.safe_load(registry.read_text())["metrics"]}

    assert HEARTBEAT.removeprefix("airflow_") in names


def test_every_legend_is_a_tag_of_its_metric() -> None:
    """A line without its label is called by the whole query."""
    tags = {name_of(metric): metric.tags for metric in METRICS}
    for panel in dashboard()["panels"]:
        target = panel["targets"][0]
        for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
            assert all(label in tags[name] for name in named(target["expr"]))


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_a_metric_is_documented(metric: Metric) -> None:
    """docs/operations.md is what an operator reads; a row is ``| `name` | kind | unit | tags | what it says |``."""
    row = f"| `{metric.name}` | {metric.kind} | {metric.unit} | {', '.join(metric.tags)} | {metric.help} |"

    assert row in (PROJECT / "docs/operations.md").read_text()
