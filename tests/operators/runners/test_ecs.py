"""A stage as an ECS task: moto's API, the real boto3 and provider, and an agent that really runs the command."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferred
from botocore.exceptions import ClientError

from algorithms.contract.case import Case
from algorithms.contract.catalogue import pipeline
from algorithms.contract.errors import DataError, TransientError
from algorithms.contract.pipeline import Resources
from algorithms.contract.record import Failure
from operators.case import OpenCase
from operators.runners.ecs import EcsStage, end_of, fargate_size, overrides
from operators.stage import End, StageBug
from tests.operators.airflow_home import DATA, PROJECT
from tests.operators.runners.attempts import WAITS, Declared, attempt, wait_for
from tests.operators.runners.ecs_agent import EcsAgent, deployment
from tests.services import aws_environment, moto

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated"),
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern"),
]

REGION = "eu-central-1"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto() as address:
        yield address


@pytest.fixture
def agent(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[EcsAgent]:
    """A deployment on Fargate as docs/operations.md describes it, and the agent that runs its tasks."""
    for name, value in aws_environment(endpoint).items():
        monkeypatch.setenv(name, value)
    for name, value in (deployment() | {"AIRFLOW__HEARTWOOD__RUNNER": "ecs"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("operators.runners.ecs.POLL_S", 0.05)
    monkeypatch.setattr("operators.stage.VISIBLE_S", 0)
    with EcsAgent(endpoint, REGION) as running:
        yield running
    boto3.client("ecs").delete_cluster(cluster="heartwood")


class Scripted(EcsStage):
    """The ECS runner with a script in the place of ``python -m algorithms``."""

    script = ""

    def command_of(self, opened: OpenCase, home: Any, python: str = "python") -> list[str]:
        return [python, "-c", self.script]


def stage(case: Case, script: str = "", name: str = "segment", **others: Any) -> EcsStage:
    kind = Scripted if script else EcsStage
    task = kind(task_id=name, pipeline="coronary", stage=name, case_id=case.case_id, parameters={}, **others)
    if isinstance(task, Scripted):
        task.script = script
    return task


def context(case: Case) -> Any:
    """Return the part of Airflow's context that the runner and the provider read."""
    ti = SimpleNamespace(
        dag_id="coronary_ffr", run_id=case.case_id, task_id="segment", map_index=-1, xcom_push=lambda **_: None
    )
    return {"ti": ti}


HUNGRY = """
import time
x = bytearray(700 * 2**20)
time.sleep({wait_s})
raise SystemExit(65)
"""
"""Fills 700 MiB, gives the agent time to see it, and ends in a way that is not a kill."""


def test_a_stage_runs_as_an_ecs_task(case: Case, agent: EcsAgent) -> None:
    """The first stage in stub mode, 1 CPU and 2 GiB declared: command, size and a key from the manifest in the case folder."""
    first = stage(case, name="receive").execute(context(case))
    second = stage(case, name="receive").execute(context(case))

    assert first == {"key": first["key"], "state": "done"}
    assert second == {"key": first["key"], "state": "reused"}
    (asked,) = agent.done
    (container,) = asked["containerOverrides"]
    assert container["command"][:5] == ["python", "-m", "algorithms", "coronary", "receive"]
    assert (asked["cpu"], asked["memory"]) == ("1024", "2048")
    assert [entry["name"] for entry in container["environment"]] == ["HOME"]


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        pytest.param("raise SystemExit(65)", DataError, id="data"),
        pytest.param("raise SystemExit(75)", TransientError, id="transient"),
        pytest.param("raise SystemExit(70)", StageBug, id="bug"),
        pytest.param("import os; os.abort()", TransientError, id="signal"),
    ],
)
def test_the_kind_of_a_failure_survives_ecs(case: Case, agent: EcsAgent, script: str, kind: type[Exception]) -> None:
    """The exit code is the container's in DescribeTasks; the provider itself raises the same error for every one."""
    Failure("data", "20 slices, wanted 100").write(case.folder / "segment")

    with pytest.raises(kind, match=r"20 slices, wanted 100|signal 6"):
        stage(case, script).execute(context(case))


def test_what_the_container_says_is_in_the_log_of_the_airflow_task(
    case: Case, agent: EcsAgent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """CloudWatch's lines, from the stream that the documented task definition writes."""
    agent.logs.create_log_group(logGroupName="heartwood")
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__ECS_LOG_GROUP", "heartwood")

    with pytest.raises(DataError):
        stage(case, "print('12 of 300 slices'); raise SystemExit(65)").execute(context(case))
    assert "12 of 300 slices" in capsys.readouterr().out


def test_a_task_out_of_memory_gets_more_at_the_next_try(case: Case, agent: EcsAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    """0.5 GiB are declared and 700 MiB used; the second try gets 0.75 GiB, the third 1.125, so on Fargate 1 and 2 GiB."""
    task = stage(case, HUNGRY.format(wait_s=600))
    monkeypatch.setattr(Scripted, "declared", Declared(task.declared, Resources(cpu=0.25, memory_gib=0.5)))

    with pytest.raises(TransientError, match=r"killed by signal 9, most often for want of memory; it had 0.5 GiB"):
        task.execute(context(case))
    with pytest.raises(DataError):
        stage(case, HUNGRY.format(wait_s=0.2)).execute(context(case))

    assert [asked["memory"] for asked in agent.done] == ["512", "1024"]


@pytest.mark.parametrize(("event", "reason"), [("take_away", "Spot Task was interrupted"), ("refuse", "CannotPullContainer")])
def test_a_lost_or_refused_task_is_tried_again_with_the_same_memory(
    case: Case, agent: EcsAgent, event: str, reason: str
) -> None:
    """Nobody has to act, and memory was not what it lacked; the message keeps what ECS said."""
    getattr(agent, event).set()

    with pytest.raises(TransientError, match=reason):
        stage(case, WAITS.format(case=case.folder, code=0)).execute(context(case))
    assert Failure.kills_before(case.folder / "segment") == 0


def test_a_task_of_a_dead_worker_is_waited_for_and_not_started_twice(case: Case, agent: EcsAgent) -> None:
    """KILL gives a worker no time to stop anything: its ECS task goes on, and the next try takes how it ends."""
    worker = multiprocessing.get_context("fork").Process(
        target=attempt, args=(stage(case, WAITS.format(case=case.folder, code=65)), context(case))
    )
    worker.start()
    assert wait_for((case.folder / "started").exists)
    worker.kill()
    worker.join()

    second = stage(case, "raise SystemExit(70)")
    threading.Thread(target=lambda: wait_for(lambda: second.arn) and (case.folder / "go").touch()).start()
    with pytest.raises(DataError):
        second.execute(context(case))
    assert len(agent.done) == 1


def test_a_stopped_airflow_task_stops_the_ecs_task(case: Case, agent: EcsAgent) -> None:
    """Clearing a task calls ``on_kill``; this stop is no want of memory, so the next try gets no more."""
    task = stage(case, WAITS.format(case=case.folder, code=0))
    errors: list[BaseException] = []
    thread = threading.Thread(target=attempt, args=(task, context(case), errors))
    thread.start()
    assert wait_for((case.folder / "started").exists)

    task.on_kill()
    thread.join(30)

    assert isinstance(errors[0], TransientError)
    assert wait_for(lambda: not agent.running)
    assert (left := Failure.read(case.folder / "segment")) is not None
    assert (left.message, left.kills) == ("the stage was ended because its task was stopped", 0)


def test_a_deferred_task_goes_on_to_the_same_end(case: Case, agent: EcsAgent) -> None:
    """The triggerer hands back an event; result and failure are read as without it (aiobotocore is not in the lock)."""
    first = stage(case, name="receive")
    first.execute(context(case))
    failing = stage(case, "raise SystemExit(65)")
    with pytest.raises(DataError):
        failing.execute(context(case))

    good, bad = ({"status": "success", "task_arn": task.arn, "cluster": "heartwood"} for task in (first, failing))
    assert stage(case, name="receive").resume_execution("execute_complete", {"event": good}, context(case))["state"] == "done"
    with pytest.raises(DataError):
        stage(case, "pass").resume_execution("execute_complete", {"event": bad}, context(case))


def test_a_deferred_task_past_its_time_limit_is_stopped(case: Case, agent: EcsAgent) -> None:
    """Airflow ends the deferral and nothing else; the ECS task would go on for ever, at somebody's cost."""
    limit = timedelta(minutes=30)
    waiting = stage(case, WAITS.format(case=case.folder, code=0), deferrable=True, execution_timeout=limit)
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute(context(case))
    assert wait_for((case.folder / "started").exists)

    with pytest.raises(AirflowTaskTimeout):
        stage(case, "pass").resume_execution("__fail__", {"error": "Trigger timeout"}, context(case))
    assert deferred.value.timeout == limit
    assert wait_for(lambda: not agent.running)


def test_a_deferral_that_was_lost_is_tried_again(case: Case, agent: EcsAgent) -> None:
    """A triggerer that failed says nothing of the stage: the next try finds its ECS task."""
    with pytest.raises(TransientError, match="lost sight"):
        stage(case, "pass").resume_execution("__fail__", {"error": "Trigger failure"}, context(case))


@pytest.mark.parametrize(
    ("failures", "says"), [(["RESOURCE:MEMORY"], "RESOURCE:MEMORY"), (["AGENT", "Capacity is unavailable"], "AGENT, Capacity")]
)
def test_a_cluster_without_room_is_tried_again(
    case: Case, agent: EcsAgent, monkeypatch: pytest.MonkeyPatch, failures: list[str], says: str
) -> None:
    """RunTask answers 200 with failures; moto never does, so here its answer is replaced."""
    from moto.core.responses import ActionResult
    from moto.ecs.responses import EC2ContainerServiceResponse

    answer = ActionResult({"tasks": [], "failures": [{"reason": reason} for reason in failures]})
    monkeypatch.setattr(EC2ContainerServiceResponse, "run_task", lambda self: answer)

    with pytest.raises(TransientError, match=f"ECS could not place it: {says}"):
        stage(case, "pass").execute(context(case))


def test_a_deployment_that_is_wrong_fails_at_once(case: Case, agent: EcsAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task definition that does not exist will not exist in thirty seconds either."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__ECS_TASK", "nowhere")

    with pytest.raises(ClientError):
        stage(case, "pass").execute(context(case))


@pytest.mark.parametrize(
    ("task", "end"),
    [
        pytest.param({"stopCode": "EssentialContainerExited", "exitCode": 65}, End(65), id="its own end"),
        pytest.param(
            {"stopCode": "EssentialContainerExited", "exitCode": 137, "reason": "OutOfMemoryError: ..."}, End(137), id="memory"
        ),
        pytest.param(
            {"stoppedReason": "Host EC2 (instance i-0) terminated."},
            End(75, "because ECS ended it: Host EC2 (instance i-0) terminated."),
            id="its machine is gone, and no exit code known",
        ),
        pytest.param(
            {"stopCode": "TaskFailedToStart", "stoppedReason": "ResourceInitializationError: failed to invoke EFS utils"},
            End(75, "because ECS ended it: ResourceInitializationError: failed to invoke EFS utils"),
            id="never started",
        ),
    ],
)
def test_what_ecs_says_of_an_end(task: dict[str, Any], end: End) -> None:
    """Answers of DescribeTasks as AWS documents them (*Amazon ECS stopped tasks error messages*)."""
    container = {"name": "stage"} | {name: task.pop(name) for name in ("exitCode", "reason") if name in task}

    assert end_of({"containers": [container], **task}) == end


@pytest.mark.parametrize(
    ("cpu", "memory_gib", "size"),
    [
        (0.25, 0.5, (0.25, 0.5)),
        (1, 9, (2, 9)),
        (2, 6, (2, 6)),
        (2, 13.5, (2, 14)),
        (1, 20.25, (4, 21)),
        (4, 31, (8, 32)),
        (9, 1, (16, 32)),
    ],
)
def test_a_stage_gets_the_smallest_size_of_fargate_that_holds_it(
    cpu: float, memory_gib: float, size: tuple[float, float]
) -> None:
    """Fargate refuses every other combination of CPUs and memory."""
    assert fargate_size(cpu, memory_gib) == size


def test_what_fargate_cannot_hold_is_said() -> None:
    """120 GiB is its most; another place must be chosen."""
    with pytest.raises(ValueError, match="pin the stage to another place"):
        fargate_size(4, 121)


def test_a_gpu_and_a_large_disk_are_asked_for() -> None:
    """A GPU is on machines of one's own only, where disk is the machine's; Fargate's disk is at most 200 GiB."""
    gpu = overrides(["python"], Resources(cpu=3, memory_gib=30, gpu=1, disk_gib=500), fargate=False)
    disk = overrides(["python"], Resources(disk_gib=500), fargate=True)

    assert gpu["containerOverrides"][0]["resourceRequirements"] == [{"type": "GPU", "value": "1"}]
    assert (gpu["cpu"], gpu["memory"]) == ("3072", "30720")
    assert "ephemeralStorage" not in gpu
    assert disk["ephemeralStorage"] == {"sizeInGiB": 200}


def test_a_stage_with_a_gpu_goes_where_the_gpus_are(case: Case, agent: EcsAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own task definition, with the image that has CUDA, and its own capacity."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__ECS_TASK_GPU", "heartwood-stage-gpu")
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__ECS_CAPACITY_GPU", "gpu-machines")
    task = stage(case, "pass")
    monkeypatch.setattr(Scripted, "declared", Declared(task.declared, Resources(gpu=1)))

    task.configure(task.open())

    assert task.task_definition == "heartwood-stage-gpu"
    assert task.capacity_provider_strategy == [{"capacityProvider": "gpu-machines", "weight": 1}]


@pytest.mark.slow
def test_a_whole_case_runs_on_ecs(airflow_tables: None, case: Case, agent: EcsAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's own tasks and retries: one try is out of memory, one is transient, and the case is answered all the same."""
    real, hungry = EcsStage.command_of, ["python", "-c", HUNGRY.format(wait_s=600)]
    first_tries = {"ffr": hungry, "flow": ["python", "-c", "raise SystemExit(75)"]}
    small = Resources(cpu=0.25, memory_gib=0.5)
    monkeypatch.setattr(EcsStage, "command_of", lambda self, *told: first_tries.pop(self.stage, None) or real(self, *told))
    monkeypatch.setattr(
        EcsStage, "declared", property(lambda self: replace(pipeline("coronary").stage(self.stage), resources=small))
    )
    dag: Any = DagBag(PROJECT / "dags").dags["coronary_ffr"]

    made = dag.test(run_conf={"case_id": case.case_id})

    commands = [(asked["containerOverrides"][0]["command"], asked["memory"]) for asked in agent.done]
    assert made.state == "success"
    assert {t.task_id for t in made.get_task_instances() if t.try_number == 2} == {"ffr", "flow"}
    assert [memory for command, memory in commands if command == hungry or "ffr" in command] == ["512", "1024"]
    assert len(commands) == len(pipeline("coronary").stages) + 2
    assert len(list((DATA / "store/cases" / case.case_id / "report").rglob("report.html"))) == 1


@pytest.mark.slow
def test_a_refused_case_is_answered_on_ecs_too(
    airflow_tables: None, case: Case, agent: EcsAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data error fails at its first try; the report that says why, and its form for the hospital, run in the same place."""
    (DATA / "inbox" / case.case_id / "study/000001").write_text("changed since it was received")
    dag: Any = DagBag(PROJECT / "dags").dags["coronary_ffr"]

    made = dag.test(run_conf={"case_id": case.case_id})

    tasks = {t.task_id: (t.state, t.try_number) for t in made.get_task_instances()}
    assert made.state == "failed"
    assert tasks["receive"] == ("failed", 1)
    assert tasks["report"] == ("success", 1)
    stages = [done["containerOverrides"][0]["command"][4] for done in agent.done]
    assert stages == ["receive", "report", "exchange"]
