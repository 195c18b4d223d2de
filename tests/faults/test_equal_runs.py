"""The same work at once: a retry beside a run that was thought dead, two schedulers, two people at two shells."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from algorithms.contract.case import Case, Home
from algorithms.contract.execute import execute
from algorithms.contract.inbox import admit
from algorithms.contract.record import states
from tests.algorithms.contract.toy import COUNT, TOY
from tests.algorithms.contract.toy_items import LETTERS, SPLIT, TOY_ITEMS
from tests.faults.cases import LIGHT, LIGHT_SETTINGS, ShellCase, contents, left_behind, light_study, once

RUNS = 3
ROUNDS = 25


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def study(folder: Path, *texts: bytes) -> Path:
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / str(number)).write_bytes(text)
    return folder


def work(pipeline: str, folder: Path, root: Path, rounds: int, barrier: object) -> None:
    """Run one stage once a round, each round with a key of its own, at the same moment as the other processes."""
    case, home = Case.read(folder), Home(root)
    for number in range(rounds):
        barrier.wait(60)  # type: ignore[attr-defined]
        if pipeline == "toy":
            execute(TOY, COUNT, case, home, {"slow_s": number / 1e6})
        else:
            execute(TOY_ITEMS, LETTERS, Case.read(folder.with_name(f"{folder.name}-{number}")), home, {})


def at_once(pipeline: str, folder: Path, home: Home) -> list[int | None]:
    """Return the exit codes of processes that do the same work at the same moments."""
    fork = multiprocessing.get_context("fork")  # quick, and no thread is running here
    barrier = fork.Barrier(RUNS)
    processes = [fork.Process(target=work, args=(pipeline, folder, home.root, ROUNDS, barrier)) for _ in range(RUNS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def test_equal_runs_at_the_same_moment_end_with_one_result(tmp_path: Path, home: Home) -> None:
    """Twenty-five results, each made by three processes at once: the second finds the first one's, and no draft stays."""
    case = admit(study(tmp_path / "study", b"12345"), "toy", home)

    assert at_once("toy", case.folder, home) == [0] * RUNS

    assert ROUNDS == len([p for p in (case.folder / "count").iterdir() if p.is_dir()])
    assert [] == left_behind(home.root)


def test_equal_runs_of_a_stage_that_goes_on_end_with_one_result(tmp_path: Path, home: Home) -> None:
    """They share the folder of unfinished work: one may take it up in the moment in which another one has finished with it."""
    folder = home.cases / "case"
    for number in range(ROUNDS):
        case = admit(
            study(tmp_path / f"study {number}", b"abcd", b"%d" % number), "toyitems", home, folder.with_name(f"case-{number}")
        )
        execute(TOY_ITEMS, SPLIT, case, home, {})
    execute(TOY_ITEMS, SPLIT, admit(tmp_path / "study 0", "toyitems", home, folder), home, {})

    assert at_once("toyitems", folder, home) == [0] * RUNS

    cases = [Case.read(folder.with_name(f"case-{number}")) for number in range(ROUNDS)]
    assert {"done"} == {states(TOY_ITEMS, case, {})["letters"].state for case in cases}
    assert [] == left_behind(home.root)


@pytest.mark.slow
def test_two_whole_runs_of_one_case_at_once_end_as_one(tmp_path: Path) -> None:
    """Real stages, from the originals on, that one of the two runs deletes while the other may still read them."""
    alone = ShellCase("coronary", tmp_path / "alone", light_study(tmp_path), LIGHT_SETTINGS)
    both = alone.again(tmp_path / "both") if [alone.run(stage) for stage in LIGHT] == [0] * len(LIGHT) else alone
    assert both is not alone

    for stage in LIGHT:
        processes = [both.start(stage) for _ in range(2)]

        assert [0, 0] == [process.wait(300) for process in processes]
    assert contents(alone.folder) == contents(both.folder)
    assert once(both.folder, LIGHT)
    assert [] == left_behind(both.home)
