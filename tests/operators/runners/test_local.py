"""A stage as a subprocess: what it is told, what its end means, and that it never outlives its task."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from algorithms.contract import catalogue
from algorithms.contract.case import Case
from algorithms.contract.errors import DataError, TransientError
from algorithms.contract.record import Failure
from operators.case import OpenCase
from operators.runners.local import GUARD, LocalStage, level_and_text
from operators.stage import StageBug
from tests.operators.airflow_home import DATA
from tests.operators.runners.attempts import gone, wait_for

FAMILY = """
import os, subprocess, sys, time
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", deaf])
open(sys.argv[1] + ".draft", "w").write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".draft", sys.argv[1])
time.sleep(600)
"""
"""A stage with a child that does not listen to TERM, as a solver that has started its own processes."""


class Scripted(LocalStage):
    """The local runner with a script in the place of ``python -m algorithms``."""

    script: tuple[str, ...] = ()

    def command_of(self, opened: OpenCase, home: Path, python: str = "python") -> list[str]:
        return [sys.executable, "-c", *self.script]


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script leaves no result, and nobody else is about to show one."""
    monkeypatch.setattr("operators.stage.VISIBLE_S", 0)


def stage(case: Case, *script: str, parameters: Mapping[str, str] | None = None, kind: type[LocalStage] = Scripted) -> Any:
    task = kind(task_id="flow", pipeline="coronary", stage="flow", case_id=case.case_id, parameters=parameters or {})
    if isinstance(task, Scripted):
        task.script = script
    return task


def family(path: Path) -> list[int]:
    assert wait_for(path.exists)
    return [int(pid) for pid in path.read_text().split()]


def test_a_stage_runs_and_leaves_key_and_state(case: Case) -> None:
    """The first stage in stub mode: its key is the manifest's, and a second run takes the same result."""
    task = LocalStage(task_id="receive", pipeline="coronary", stage="receive", case_id=case.case_id, parameters={})

    first, second = task.execute({}), task.execute({})

    assert (DATA / "cases" / case.case_id / "receive" / first["key"][:12] / "manifest.json").exists()
    assert first == {"key": first["key"], "state": "done"}
    assert second == {"key": first["key"], "state": "reused"}


def test_only_what_somebody_chose_is_on_the_command_line(case: Case) -> None:
    """Sixteen defaults in every log line would hide the one value that was changed; text from a template is parsed."""
    parameters = {p.name: str(p.default) for _, p in catalogue.pipeline("coronary").parameters()}
    task = stage(case, kind=LocalStage, parameters=parameters | {"stenosis_least": "0.3"})

    command = task.command_of(task.open(), DATA)

    places = ("--home", str(DATA), "--case", str(case.folder))
    assert command == ["python", "-m", "algorithms", "coronary", "flow", *places, "--set", "stenosis_least=0.3", "--stub"]


@pytest.mark.parametrize(
    ("code", "kind", "failure", "says"),
    [
        pytest.param(65, DataError, Failure("data", "20 slices, wanted 100"), "20 slices, wanted 100", id="data"),
        pytest.param(75, TransientError, Failure("transient", "no space left"), "no space left", id="transient"),
        pytest.param(70, StageBug, Failure("bug", "list index", None, "Traceback ..."), r"list index\n\nTraceback", id="bug"),
        pytest.param(1, StageBug, None, "exit code 1, and no reason was left", id="crash without a reason"),
    ],
)
def test_an_exit_code_becomes_the_kind_of_error_with_the_message_left(
    case: Case, code: int, kind: type[Exception], failure: Failure | None, says: str
) -> None:
    """sysexits.h: 65 data, 70 software, 75 try again; the sentence comes from the failure that the stage wrote."""
    if failure:
        failure.write(case.folder / "flow")

    with pytest.raises(kind, match=says):
        stage(case, f"raise SystemExit({code})").execute({})


def test_a_killed_stage_is_transient_and_leaves_a_reason(case: Case) -> None:
    """The out-of-memory killer sends KILL; the report and the next try find a failure that says so."""
    with pytest.raises(TransientError, match="killed by signal 9"):
        stage(case, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)").execute({})
    assert (left := Failure.read(case.folder / "flow")) is not None
    assert left.kind == "transient"


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        (
            "2026-11-01 10:00:00,000 WARNING algorithms.coronary.flow: 3 of 41 closed",
            30,
            "algorithms.coronary.flow: 3 of 41 closed",
        ),
        ("2026-11-01 10:00:00,000 INFO algorithms: done", 20, "algorithms: done"),
        ("plain line of a tool", 20, "plain line of a tool"),
    ],
)
def test_a_line_of_a_stage_keeps_its_level(line: str, level: int, text: str) -> None:
    """A warning stays a warning, so that the web UI colours it; the time is Airflow's own."""
    assert level_and_text(line) == (level, text)


def test_a_stage_sees_no_secret_of_the_deployment(case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Database passwords and keys are in AIRFLOW variables; code that reads foreign files has no use for them."""
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://user:password@host/db")
    monkeypatch.setenv("AIRFLOW_CONN_STORE", "aws://key:secret@")
    script = "import os, sys; open(sys.argv[1], 'w').write(' '.join(n for n in os.environ if 'AIRFLOW' in n))"

    with pytest.raises(TransientError):
        stage(case, script, str(tmp_path / "names")).execute({})
    assert (tmp_path / "names").read_text() == ""


def test_a_task_that_is_ended_takes_stage_and_children_with_it(case: Case, tmp_path: Path) -> None:
    """`on_kill` is what Airflow calls for a stopped task and after a time limit; a child that ignores TERM gets KILL."""
    task = stage(case, FAMILY, str(tmp_path / "pids"))
    thread = _InBackground(task)
    pids = family(tmp_path / "pids")

    task.on_kill()

    assert gone(pids)
    assert isinstance(thread.error(), TransientError)
    assert (left := Failure.read(case.folder / "flow")) is not None
    assert (left.kills, left.message) == (0, "the stage was ended because its task was stopped")


def test_a_task_that_is_killed_takes_stage_and_children_with_it(tmp_path: Path) -> None:
    """KILL cannot be caught, so nothing in the task can clean up: the guard sees its input close."""
    asker = subprocess.Popen([sys.executable, "-c", ASKER, str(GUARD), FAMILY, str(tmp_path / "pids")], start_new_session=True)
    pids = family(tmp_path / "pids")

    os.kill(asker.pid, signal.SIGKILL)
    asker.wait()

    assert wait_for(lambda: gone(pids))


def test_a_guard_that_is_killed_takes_the_stage_with_it(case: Case, tmp_path: Path) -> None:
    """The kernel ends the stage itself (PR_SET_PDEATHSIG); Linux only."""
    task = stage(case, FAMILY, str(tmp_path / "pids"))
    thread = _InBackground(task)
    leader, child = family(tmp_path / "pids")

    task._process.kill()

    assert wait_for(lambda: gone([leader]))
    os.kill(child, signal.SIGKILL)
    thread.error()


def test_a_stage_leaves_no_process_behind(case: Case, tmp_path: Path) -> None:
    """A stage that succeeds but forgot a child: the worker's memory is the next case's."""
    with pytest.raises(TransientError, match="result is not in the case folder"):
        stage(case, FAMILY.rsplit("\n", 2)[0], str(tmp_path / "pids")).execute({})

    assert gone(family(tmp_path / "pids"))


ASKER = """
import subprocess, sys, time
guard, script, path = sys.argv[1:]
command = [sys.executable, guard, "0.5", sys.executable, "-c", script, path]
subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
time.sleep(600)
"""


class _InBackground:
    def __init__(self, task: LocalStage) -> None:
        import threading

        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(task,))
        self._thread.start()

    def _run(self, task: LocalStage) -> None:
        try:
            task.execute({})
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self._error = error

    def error(self) -> BaseException | None:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self._error
