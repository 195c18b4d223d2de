"""A worker, the scheduler and the database of a running Airflow are lost and come back: no case is lost, none is doubled.

Beside the cases that each test strikes, one with real slides runs through all of it: its last test looks at how that one ended.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from algorithms.contract.case import Case, Home
from algorithms.contract.catalogue import pipeline
from algorithms.contract.inbox import admit
from tests.cases import PROJECT, phantom
from tests.faults.cases import contents, half_published, once
from tests.faults.cluster import WORKERS, Cluster, Try, cluster

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(1800)]

REFUSED = 3
"""Cases that each fault meets at their beginning, with a study that is refused: a failure, a report and a publication."""

OUTAGE_S = 15
WANTED_S = 60
HEADROOM = 2
"""A test runs beside others on a small machine; the figure itself is kept (benchmarks/faults.py)."""


@dataclass(frozen=True)
class Room:
    """The cluster, the case of slides that runs through everything, and where undisturbed runs are made."""

    airflow: Cluster
    slides: Case
    slides_run: str
    alone: Path
    alone_at_work: threading.Thread


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder = tmp_path_factory.mktemp("outages")
    study = phantom("prostate", folder / "phantom", "--seed", "1", "--size", "small")
    with cluster(folder / "cluster") as airflow:
        slides = admit(study, "prostate", Home(airflow.home))
        alone = threading.Thread(target=undisturbed, args=(slides, study, airflow.home, folder / "alone"))
        run = airflow.trigger("prostate_risk", slides.case_id)
        alone.start()
        yield Room(airflow, slides, run, folder / "alone", alone)
        alone.join()


def undisturbed(case: Case, study: Path, home: Path, alone: Path) -> Path:
    """Answer the study of a case from a shell, with the same key, and return its case folder."""
    (alone / "vault").mkdir(parents=True, exist_ok=True)
    (alone / "vault" / "secret").write_text((home / "vault" / "secret").read_text())
    command = [sys.executable, "-m", "algorithms", case.pipeline, "--home", str(alone), "--input", str(study)]
    subprocess.run(command, cwd=PROJECT, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return alone / "cases" / case.case_id


def struck(room: Room, folder: Path, strike: Callable[[], float]) -> float:
    """Start cases, strike while their tasks run, check how they end, and return how long nothing went on after the cause.

    ``strike`` returns when its cause was gone.
    """
    studies = [folder / f"study-{number}" for number in range(REFUSED)]
    for study in studies:
        study.mkdir()
        (study / "letter.txt").write_text(f"not an image, {folder.name} {study.name}")
    cases = [admit(study, "coronary", Home(room.airflow.home)) for study in studies]
    runs = [room.airflow.trigger("coronary_ffr", case.case_id) for case in cases]
    room.airflow.wait("tasks at work", lambda: [t for t in room.airflow.tries() if t.run_id in runs and t.state == "running"])
    before = room.airflow.tries()
    gone = strike()

    assert dict.fromkeys(runs, "failed") == room.airflow.wait_for_runs(runs)

    for case, study in zip(cases, studies, strict=True):
        assert contents(undisturbed(case, study, room.airflow.home, room.alone)) == contents(case.folder)
        assert once(case.folder, ["report"])
    reports = dict(room.airflow.rows("SELECT case_id, count(*) FROM reports GROUP BY case_id", "heartwood"))
    assert [1] * REFUSED == [reports[case.case_id] for case in cases]
    return standstill_s(before, room.airflow.tries(), gone)


def standstill_s(before: list[Try], after: list[Try], gone: float) -> float:
    """Return how long after the cause was gone the last of the tasks that it had met went on, or the first other one began."""
    starts = {(t.run_id, t.task_id, t.item, t.number): t.start for t in after}
    waits = [min(t.start - gone for t in after if t.start and t.start > gone)]
    for t in before:
        if t.state not in {"scheduled", "queued", "running"}:
            continue
        next_start = starts.get((t.run_id, t.task_id, t.item, t.number + 1))
        own_start = starts.get((t.run_id, t.task_id, t.item, t.number))
        waits += [start - gone for start in (own_start, next_start) if start and start > gone]
    return max(waits)


def worker_at_work(airflow: Cluster) -> str | None:
    """Return a worker that runs a stage now."""
    for name in WORKERS:
        for process in psutil.Process(airflow.components[name].pid).children(recursive=True):
            # A stage may end between two looks at it.
            with suppress(psutil.NoSuchProcess):
                if "algorithms" in process.cmdline():
                    return name
    return None


def test_a_worker_that_is_lost_costs_a_try_and_no_case(
    room: Room, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    """KILL for the worker and all below it, while it runs a stage; Airflow misses the heartbeats and tries again elsewhere."""

    def strike() -> float:
        name = room.airflow.wait("a stage at work", lambda: worker_at_work(room.airflow))
        return room.airflow.kill(name)

    recovery_s = struck(room, tmp_path, strike)

    assert any(t.number > 1 for t in room.airflow.tries())
    record_property("recovery_s", round(recovery_s, 1))
    assert recovery_s < HEADROOM * WANTED_S


def test_a_scheduler_that_is_lost_is_followed_by_another(
    room: Room, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    """KILL for the scheduler; tasks that run do not notice, and the next one adopts what was queued."""
    starts = room.airflow.components["scheduler"].starts

    recovery_s = struck(room, tmp_path, lambda: room.airflow.kill("scheduler"))

    assert starts + 1 == room.airflow.components["scheduler"].starts
    record_property("recovery_s", round(recovery_s, 1))
    assert recovery_s < HEADROOM * WANTED_S


def test_a_database_that_stops_at_once_is_waited_for(
    room: Room, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    """PostgreSQL ends as in a crash and recovers from its log: Airflow's tables, Celery's results and ours are all in it."""

    def strike() -> float:
        room.airflow.database.stop()
        time.sleep(OUTAGE_S)
        room.airflow.database.start()
        return time.time()

    recovery_s = struck(room, tmp_path, strike)

    record_property("outage_s", OUTAGE_S)
    record_property("recovery_s", round(recovery_s, 1))
    assert recovery_s < HEADROOM * WANTED_S


def test_a_case_of_slides_comes_through_all_of_it(room: Room, record_property: Callable[[str, Any], None]) -> None:
    """Every result once, every byte as in an undisturbed run, though stages were killed and their encoding went on."""
    assert {room.slides_run: "success"} == room.airflow.wait_for_runs([room.slides_run])
    room.alone_at_work.join()

    assert contents(room.alone / "cases" / room.slides.case_id) == contents(room.slides.folder)
    assert once(room.slides.folder, [stage.name for stage in pipeline("prostate").stages])
    assert [] == half_published(room.slides.folder)
    assert not list(room.airflow.home.glob(f"inbox/{room.slides.case_id}/study"))
    record_property("tries", sum(t.run_id == room.slides_run for t in room.airflow.tries()))
