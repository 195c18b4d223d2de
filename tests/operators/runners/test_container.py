"""A stage in a real container (podman's Docker-compatible socket): what it sees, what its end means, that it ends."""

from __future__ import annotations

import json
import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("airflow.providers.docker")

from airflow.dag_processing.dagbag import DagBag

from algorithms.contract.case import Case
from algorithms.contract.catalogue import pipeline
from algorithms.contract.errors import DataError, TransientError
from algorithms.contract.pipeline import Resources
from algorithms.contract.record import Failure
from operators.case import OpenCase
from operators.runners import runner
from operators.runners.container import LABEL, ContainerStage
from operators.stage import StageBug
from tests.operators.airflow_home import DATA, PROJECT
from tests.operators.conftest import case_for
from tests.operators.runners.attempts import Declared, attempt, wait_for
from tests.services import Podman, podman

pytestmark = [
    pytest.mark.container,
    # The provider leaves the stream of a container's log open; in Airflow its process ends with the task.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[Podman]:
    with podman(PROJECT) as running:
        yield running


@pytest.fixture(autouse=True)
def _deployment(engine: Podman, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__RUNNER", "container")
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__IMAGE", engine.image)
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__CONTAINER_URL", engine.socket)
    monkeypatch.setattr("operators.stage.VISIBLE_S", 0)


class Scripted(ContainerStage):
    """The container runner with a script in the place of ``python -m algorithms``."""

    script = ""

    def command_of(self, opened: OpenCase, home: Any, python: str = "python") -> list[str]:
        return [python, "-c", self.script]


def stage(case: Case, script: str = "", name: str = "segment") -> ContainerStage:
    kind = Scripted if script else ContainerStage
    task = kind(task_id=name, pipeline="coronary", stage=name, case_id=case.case_id, parameters={})
    if isinstance(task, Scripted):
        task.script = script
    return task


def context(case: Case) -> Any:
    """Return the part of Airflow's context that a runner reads; the real one comes in the test with a DAG."""
    return {"ti": SimpleNamespace(dag_id="coronary_ffr", run_id=case.case_id, task_id="segment", map_index=-1)}


def containers(engine: Podman) -> list[str]:
    return engine.run("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split()


def test_the_place_is_chosen_by_name() -> None:
    """The deployment says where; Docker's provider is imported only then."""
    assert runner("container") is ContainerStage


def test_a_stage_runs_in_a_container_and_leaves_its_result_outside(case: Case, engine: Podman) -> None:
    """The first stage in stub mode: key from the manifest in the case folder, image in the manifest, no container left."""
    first = stage(case, name="receive").execute(context(case))
    second = stage(case, name="receive").execute(context(case))

    (manifest,) = (case.folder / "receive").glob("*/manifest.json")
    assert first == {"key": first["key"], "state": "done"}
    assert second == {"key": first["key"], "state": "reused"}
    assert f'"image": "{engine.image}"' in manifest.read_text()
    assert containers(engine) == []


def test_a_home_may_have_another_path_inside(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal paths are the default; a deployment that maps them says so in ``container_home``."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__CONTAINER_HOME", "/somewhere/else")

    assert stage(case, name="receive").execute(context(case))["state"] == "done"


LOOK = """
import json, os, pathlib, socket
home = pathlib.Path(r"{home}")
seen = sorted(str(p.relative_to(home)) for p in home.glob("*/*"))
try:
    socket.create_connection(("127.0.0.1", {port}), timeout=2)
    network = True
except OSError:
    network = False
words = {{"seen": seen, "network": network, "environment": sorted(os.environ), "uid": os.getuid()}}
next(home.glob("cases/*/case.json")).with_name("seen.json").write_text(json.dumps(words))
raise SystemExit(65)
"""


def test_a_container_sees_its_own_case_and_no_secret_and_no_network(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code that parses foreign files has no way out: no other case, no original, no key, no variable of the deployment."""
    (tmp_path / "other").mkdir()
    case_for("coronary", tmp_path / "other")
    monkeypatch.setenv("AIRFLOW_CONN_STORE", "aws://key:secret@")
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__CONTAINER_USER", "12345:0")
    case.folder.chmod(0o777)

    with _listener() as port, pytest.raises(DataError):
        stage(case, LOOK.format(home=DATA, port=port)).execute(context(case))

    seen = json.loads((case.folder / "seen.json").read_text())
    assert seen["seen"] == [f"cases/{case.case_id}"]
    assert not seen["network"]
    assert seen["uid"] == 12345
    assert [name for name in seen["environment"] if "AIRFLOW" in name] == []


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        pytest.param("raise SystemExit(65)", DataError, id="data"),
        pytest.param("raise SystemExit(75)", TransientError, id="transient"),
        pytest.param("raise SystemExit(70)", StageBug, id="bug"),
        pytest.param("import os; os.abort()", TransientError, id="signal"),
    ],
)
def test_the_kind_of_a_failure_survives_the_container(case: Case, engine: Podman, script: str, kind: type[Exception]) -> None:
    """The exit code comes from the engine, the sentence from the case folder; a failed container is removed too."""
    Failure("data", "20 slices, wanted 100").write(case.folder / "segment")

    with pytest.raises(kind):
        stage(case, script).execute(context(case))
    assert containers(engine) == []


HUNGRY = "x = bytearray(300 * 2**20); raise SystemExit(65)"
"""Wants 300 MiB, then ends in a way that is not a kill."""


def test_a_container_killed_for_want_of_memory_gets_more_at_the_next_try(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """250 MiB are declared: the kernel kills the first try (really), the second one has 375 MiB and comes to its end."""
    task = stage(case, HUNGRY)
    small = Resources(memory_gib=0.25)
    monkeypatch.setattr(Scripted, "declared", Declared(task.declared, small))

    with pytest.raises(TransientError, match=r"killed by signal 9, most often for want of memory; it had 0.25 GiB"):
        task.execute(context(case))
    with pytest.raises(DataError):
        stage(case, HUNGRY).execute(context(case))


WAITS = """
import pathlib, time
case = next(pathlib.Path(r"{home}").glob("cases/*"))
(case / "started").touch()
while not (case / "go").exists():
    time.sleep(0.05)
raise SystemExit({code})
"""


def test_a_container_of_a_dead_worker_is_waited_for_and_not_started_twice(case: Case, engine: Podman) -> None:
    """KILL gives a worker no time to stop anything: its container goes on, and the next try takes how it ends."""
    worker = multiprocessing.get_context("fork").Process(
        target=attempt, args=(stage(case, WAITS.format(home=DATA, code=65)), context(case))
    )
    worker.start()
    assert wait_for((case.folder / "started").exists)
    worker.kill()
    worker.join()
    (left,) = containers(engine)

    second = stage(case, "raise SystemExit(70)")
    threading.Thread(target=lambda: wait_for(lambda: second.container) and (case.folder / "go").touch()).start()
    with pytest.raises(DataError):
        second.execute(context(case))
    assert left not in containers(engine)


def test_a_task_that_is_stopped_stops_its_container(case: Case, engine: Podman) -> None:
    """Clearing a task calls ``on_kill``; this stop is no want of memory, so the next try gets no more."""
    task = stage(case, WAITS.format(home=DATA, code=0))
    errors: list[BaseException] = []
    thread = threading.Thread(target=attempt, args=(task, context(case), errors))
    thread.start()
    assert wait_for((case.folder / "started").exists)

    task.on_kill()
    thread.join(30)

    assert containers(engine) == []
    assert isinstance(errors[0], TransientError)
    assert (left := Failure.read(case.folder / "segment")) is not None
    assert (left.message, left.kills) == ("the stage was ended because its task was stopped", 0)


def test_a_stage_with_a_gpu_gets_its_image_and_its_device(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image with CUDA is several GiB larger, so only what declares a GPU runs in it."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__IMAGE_GPU", "localhost/with-cuda:1")
    plain, fast = stage(case, "pass"), stage(case, "pass")

    plain.configure(plain.open())
    monkeypatch.setattr(Scripted, "declared", Declared(fast.declared, Resources(cpu=4, gpu=2)))
    fast.configure(fast.open())

    assert (plain.image, plain.device_requests) == (plain.open().here.image, None)
    assert fast.image == "localhost/with-cuda:1"
    assert [(r["Count"], r["Capabilities"]) for r in fast.device_requests] == [(2, [["gpu"]])]
    assert fast.cpus == 4


@pytest.mark.parametrize("unset", ["IMAGE", "IMAGE_GPU"])
def test_a_place_without_an_image_says_which_setting_is_missing(
    case: Case, monkeypatch: pytest.MonkeyPatch, unset: str
) -> None:
    """The DAG does not import, or the task fails at once: trying again would not help."""
    monkeypatch.setenv(f"AIRFLOW__HEARTWOOD__{unset}", "")
    monkeypatch.setattr(Scripted, "declared", Declared(pipeline("coronary").stage("flow"), Resources(gpu=1)))

    with pytest.raises(ValueError, match=f"{unset.lower()} must be set"):
        stage(case, "pass").execute(context(case))


def test_an_engine_that_does_not_answer_is_tried_again(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is being restarted, as after an upgrade; nobody has to act."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__CONTAINER_URL", "tcp://127.0.0.1:9")

    with pytest.raises(TransientError, match="container engine does not answer"):
        stage(case, "pass").execute(context(case))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated")
@pytest.mark.filterwarnings("ignore:GitWildMatchPattern")
def test_a_whole_case_runs_in_containers(airflow_tables: None, tmp_path: Path, engine: Podman) -> None:
    """Every stage of the pipeline with a mapped one, as Airflow runs it: rendered, mapped, answered, published."""
    case = case_for("prostate", tmp_path)
    dag: Any = DagBag(PROJECT / "dags").dags["prostate_risk"]

    made = dag.test(run_conf={"case_id": case.case_id})

    assert made.state == "success"
    manifests = [json.loads(path.read_text()) for path in case.folder.glob("*/*/manifest.json")]
    assert {m["stage"] for m in manifests} == {s.name for s in pipeline("prostate").stages}
    assert {m["image"] for m in manifests} == {engine.image}
    assert containers(engine) == []


@contextmanager
def _listener() -> Iterator[int]:
    with socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]
