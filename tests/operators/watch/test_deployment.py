"""Where the cases of a deployment are, as a process of its own tells it: from Airflow's database and the results'."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from sqlalchemy import delete

from algorithms.contract.catalogue import pipelines
from operators.settings import load
from operators.watch.deployment import tell
from operators.watch.metrics import CASES, QUEUE_AGE, RUNNING_AGE, STATES
from tests.operators.airflow_home import PROJECT
from tests.operators.watch.arrived import check_declared, sent
from tests.services import StatsD

pytestmark = [
    # Airflow never closes the socket of its StatsD client.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def waiting(airflow_tables: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three coronary cases: two wait, for an hour and for a minute, and one has been running for two hours."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__RESULTS", f"sqlite:///{tmp_path}/results.db")
    now = datetime.now(UTC)
    times = [("queued", timedelta(hours=1)), ("queued", timedelta(minutes=1)), ("running", timedelta(hours=2))]
    with create_session() as session:
        session.execute(delete(DagRun))
        for number, (state, ago) in enumerate(times):
            run = DagRun(
                "coronary_ffr", f"manual__{number}", run_type="manual", state=state, run_after=now - ago, queued_at=now - ago
            )
            run.start_date = now - ago if state == "running" else None
            session.add(run)
    yield
    with create_session() as session:
        session.execute(delete(DagRun))


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Give the address of an OpenTelemetry collector on loopback and what it was sent."""
    bodies: list[bytes] = []

    class Collect(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Collect)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/metrics", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.usefixtures("waiting")
def test_cases_that_wait_and_run_are_counted_with_their_age(server: StatsD) -> None:
    """The oldest waiting case has waited an hour, the oldest running one has run two; a few seconds have passed since."""
    tell(load())

    check_declared(server)
    values = {(name, *sorted(tags.values())): value for name, _, tags, value in sent(server)}
    assert values[CASES.name, "coronary", "waiting"] == 2
    assert values[CASES.name, "coronary", "running"] == 1
    assert 3600 <= values[QUEUE_AGE.name, "coronary"] < 3700
    assert 7200 <= values[RUNNING_AGE.name, "coronary"] < 7300


@pytest.mark.usefixtures("waiting")
def test_a_pipeline_without_a_case_says_nought(server: StatsD) -> None:
    """An alarm on a series that has stopped would never ring again."""
    tell(load())

    values = {(name, *sorted(tags.values())): value for name, _, tags, value in sent(server)}
    assert {k: v for k, v in values.items() if "prostate" in k} == {
        **{(CASES.name, *sorted(("prostate", state))): 0 for state in STATES},
        (QUEUE_AGE.name, "prostate"): 0,
        (RUNNING_AGE.name, "prostate"): 0,
    }


@pytest.mark.slow
@pytest.mark.usefixtures("waiting")
def test_the_same_goes_to_opentelemetry() -> None:
    """The process of its own, with Airflow's options for OTLP over HTTP; what it has to say is sent before it ends."""
    with collector() as (address, bodies):
        ours = {"AIRFLOW__METRICS__OTEL_ON": "True", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": address}
        ours |= {"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf", "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, "-m", "operators.watch", "cases", "--once"]
        subprocess.run(command, cwd=PROJECT, env=os.environ | ours, check=True, capture_output=True)

    sent_metrics = [
        metric
        for body in bodies
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]
    points = {
        (m.name, *sorted(a.value.string_value for a in p.attributes)): p.as_double or p.as_int
        for m in sent_metrics
        for p in m.gauge.data_points
    }
    assert points["airflow.heartwood.cases", "coronary", "waiting"] == 2
    assert {name for name, *_ in points} == {f"airflow.{m.name}" for m in (CASES, QUEUE_AGE, RUNNING_AGE)}
    assert {pipeline for name, pipeline, *_ in points if name.endswith("queue_age_seconds")} == set(pipelines())
