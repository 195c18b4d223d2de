"""One message for each failed case, sent by real runs to real servers of this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
import structlog
from airflow.callbacks.callback_requests import DagCallbackRequest, DagRunContext
from airflow.dag_processing.dagbag import DagBag
from airflow.dag_processing.processor import _execute_dag_callbacks

from algorithms.contract.case import Case
from algorithms.contract.catalogue import pipeline
from algorithms.contract.command import leave_failure
from operators.settings import load
from operators.watch import notice
from tests.operators.airflow_home import DATA, PROJECT
from tests.services import aws_environment, moto, webhook

pytestmark = [
    # Airflow imports its in-process API through FastAPI's test client.
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated"),
    # Airflow reads .airflowignore with a deprecated name of the library it uses.
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern"),
]


class Run:
    """What a callback gets of a run, as far as a notice reads it."""

    def __init__(self, conf: dict[str, Any] | None) -> None:
        self.conf = conf
        self.task_id = "publish"
        self.dag_id = "coronary_ffr"


def context(conf: dict[str, Any] | None, run_id: str = "manual__2026-11-29T10:00:00+00:00") -> Any:
    return {"dag_run": Run(conf), "dag": Run(conf), "ti": Run(conf), "run_id": run_id}


@pytest.mark.slow
def test_a_run_that_ends_red_sends_one_message(airflow_tables: None, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole DAG run whose first stage refuses the data; then what Airflow's DAG processor does with the scheduler's request.

    ``dag.test`` cannot call back itself for a DAG with a parameter that has no default.
    """
    made = _refused_run(case)
    with webhook() as (port, messages):
        monkeypatch.setenv("AIRFLOW_CONN_ON_CALL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("AIRFLOW__HEARTWOOD__NOTIFY", "http:on_call")
        _execute_dag_callbacks(DagBag(PROJECT / "dags"), _request(made), structlog.get_logger())  # type: ignore[arg-type]

    assert str(made.state) == "failed"
    (message,) = [json.loads(body) for body in messages]
    assert message["link"].endswith(f"/dags/coronary_ffr/runs/{quote(made.run_id, safe='')}")
    assert message | {"link": ""} == {
        "subject": f"Heartwood: case {case.case_id} failed in receive (data)",
        "case_id": case.case_id,
        "dag_id": "coronary_ffr",
        "stage": "receive",
        "kind": "data",
        "link": "",
    }


def _refused_run(case: Case) -> Any:
    (DATA / "inbox" / case.case_id / "study/000001").write_text("changed since it was received")
    return DagBag(PROJECT / "dags").dags["coronary_ffr"].test(run_conf={"case_id": case.case_id})


def _request(made: Any) -> DagCallbackRequest:
    """Return what the scheduler asks for when a run has failed, with the task that failed last."""
    last = max((ti for ti in made.get_task_instances() if ti.state == "failed"), key=lambda ti: ti.end_date)
    return DagCallbackRequest(
        filepath="coronary_ffr.py",
        dag_id=made.dag_id,
        run_id=made.run_id,
        bundle_name="dags-folder",
        bundle_version=None,
        context_from_server=DagRunContext(dag_run=made, last_ti=last),
        is_failure_callback=True,
        msg="task_failure",
    )


@pytest.mark.parametrize("way", ["sns", "sqs"])
def test_a_message_reaches_a_queue(case: Case, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Directly, or through a topic that the queue has subscribed to."""
    leave_failure(pipeline("coronary"), pipeline("coronary").stage("receive"), case, {}, ZeroDivisionError("x"), stub=True)
    with moto() as endpoint:
        for name, value in aws_environment(endpoint).items():
            monkeypatch.setenv(name, value)
        sqs, sns = boto3.client("sqs"), boto3.client("sns")
        queue = sqs.create_queue(QueueName="on-call")["QueueUrl"]
        topic = sns.create_topic(Name="on-call")["TopicArn"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
        monkeypatch.setenv("AIRFLOW__HEARTWOOD__NOTIFY", f"sns:{topic}" if way == "sns" else f"sqs:{queue}")
        notice.CaseFailed().notify(context({"case_id": case.case_id}))
        (message,) = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]

    told = json.loads(message["Body"])
    assert (told["case_id"], told["stage"], told["kind"]) == (case.case_id, "receive", "bug")


@pytest.mark.parametrize(
    ("conf", "run_id"),
    [
        pytest.param({"case_id": "Muster^Max"}, "Muster, Max, born 1950", id="typed into the form"),
        pytest.param({"case_id": "0123456789abcdef", "note": "Muster"}, "Muster", id="a parameter that there is not"),
        pytest.param(None, "muster__1950", id="nothing"),
    ],
)
def test_nothing_that_was_typed_is_sent(conf: dict[str, Any] | None, run_id: str) -> None:
    """Run id and conf are free text; a message goes to telephones and chats."""
    text = notice.notice_of(context(conf, run_id), load()).text

    assert "uster" not in text
    assert json.loads(text)["link"].endswith("/dags/coronary_ffr")
    assert json.loads(text)["kind"] == notice.UNKNOWN


def test_a_failure_after_the_stages_names_its_task(case: Case) -> None:
    """The case folder tells of no failure, for example when the store is away."""
    told = notice.notice_of(context({"case_id": case.case_id}), load())

    assert (told.case_id, told.stage, told.kind) == (case.case_id, "publish", notice.UNKNOWN)


@pytest.mark.parametrize("way", ["mail:me", "http:", "http", "log:x", "sns"])
def test_a_way_that_there_is_not_stops_the_deployment(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """A deployment that believes it is told of failures must not find out later that it is not."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__NOTIFY", way)

    with pytest.raises(ValueError, match="notify must be"):
        notice.callbacks(load())


def test_nobody_is_told_unless_somebody_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A laptop has nobody to call."""
    assert notice.callbacks(load()) is None
