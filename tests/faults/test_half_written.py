"""Half of a result, of a draft, of a description: what a crash or a broken copy leaves never counts, and is mended."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from algorithms.contract.case import Case, Home
from algorithms.contract.draft import LOCK, draft
from algorithms.contract.errors import DataError
from algorithms.contract.execute import execute
from algorithms.contract.inbox import admit
from algorithms.contract.manifest import MANIFEST
from algorithms.contract.record import Failure, states
from tests.algorithms.contract.toy import COUNT, DOUBLE, TOY
from tests.cases import PROJECT
from tests.faults.cases import contents, left_behind


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "one").write_bytes(b"12345")
    return tmp_path / "study"


@pytest.fixture
def case(study: Path, home: Home) -> Case:
    return admit(study, "toy", home)


def result_folder(case: Case) -> Path:
    """Return where the result of ``count`` is, or would be."""
    key = states(TOY, case, {})["count"].key
    assert key is not None
    return case.folder / "count" / key[:12]


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"key": 1}'], ids=["missing", "empty", "cut", "a list", "fields missing"]
)
def test_an_artefact_without_a_whole_manifest_is_computed_again(case: Case, home: Home, text: str | None) -> None:
    """A restored backup or a power loss: the artefact is there, what says that it is whole is not."""
    wanted = contents(execute(TOY, COUNT, case, home, {}).folder.parent)
    if text is None:
        (result_folder(case) / MANIFEST).unlink()
    else:
        (result_folder(case) / MANIFEST).write_text(text)
    (result_folder(case) / "count.json").write_text('{"bytes": ')
    assert states(TOY, case, {})["count"].state == "not run"

    assert not execute(TOY, COUNT, case, home, {}).reused

    assert wanted == contents(case.folder / "count")
    assert execute(TOY, COUNT, case, home, {}).reused


def test_a_manifest_without_its_artefact_stops_whoever_needs_it(case: Case, home: Home) -> None:
    """The manifest is whole, so the result counts; a person must say whether somebody took the artefact away."""
    execute(TOY, COUNT, case, home, {})
    (result_folder(case) / "count.json").unlink()

    with pytest.raises(DataError, match="delete that result folder and run the stage again"):
        execute(TOY, DOUBLE, case, home, {})


@pytest.mark.parametrize("text", ["", '{"kind": "data"', "{}"], ids=["empty", "cut", "fields missing"])
def test_half_a_failure_is_none(case: Case, text: str) -> None:
    """It must not turn every later look at the case into a bug."""
    (case.folder / "count").mkdir()
    (case.folder / "count" / Failure.FILE).write_text(text)

    assert states(TOY, case, {})["count"].state == "not run"


def test_half_a_description_of_the_case_is_mended_by_receiving_it_again(case: Case, study: Path, home: Home) -> None:
    """The id follows from the content, so that the same examination finds the same folder and its results."""
    execute(TOY, COUNT, case, home, {})
    (case.folder / "case.json").write_text('{"case_id": ')
    with pytest.raises(DataError, match="damaged; receive the same examination again"):
        Case.read(case.folder)

    assert case == admit(study, "toy", home)
    assert execute(TOY, COUNT, case, home, {}).reused


def test_a_draft_in_use_is_left_alone_whoever_seems_to_own_it(tmp_path: Path) -> None:
    """Containers on one host share its name but not its process ids: the lock tells who lives, not the number."""
    place = tmp_path / "stage"
    with draft(place) as mine:
        unshared = ["unshare", "--pid", "--fork"] if os.geteuid() == 0 else []
        other = [*unshared, sys.executable, "-c", IN_A_DRAFT, str(place)]
        subprocess.run(other, cwd=PROJECT, check=True)

        assert mine.is_dir()
    assert [] == left_behind(tmp_path)


def test_a_draft_that_nobody_holds_goes_even_when_another_process_has_its_number(tmp_path: Path) -> None:
    """Process ids come again, in containers at once; a draft of a killed run must not stay for that."""
    for name in (f".draft-host-{os.getpid()}-0123abcd", ".draft-0123456789abcdef", ".draft-new-0123456789abcdef"):
        (tmp_path / "stage" / name / "out").mkdir(parents=True)
    (tmp_path / "stage" / ".draft-0123456789abcdef" / LOCK).touch()

    with draft(tmp_path / "stage") as mine:
        assert [mine] == list((tmp_path / "stage").iterdir())


def test_a_draft_that_was_left_after_publishing_goes_with_the_next_look(case: Case, home: Home) -> None:
    """A run that is killed between the rename and its end: the next one finds the result, and the draft too."""
    execute(TOY, COUNT, case, home, {})
    (case.folder / "count" / ".draft-0123456789abcdef").mkdir()

    assert execute(TOY, COUNT, case, home, {}).reused
    assert [] == left_behind(home.root)


def test_originals_of_a_broken_admission_go_with_the_next_one(study: Path, home: Home) -> None:
    """They identify a person and belong to no case: nobody would ever delete them."""
    (home.inbox / ".draft-0123456789abcdef" / "copied").mkdir(parents=True)
    (home.inbox / ".draft-0123456789abcdef" / "copied" / "0").write_text("a name")

    admit(study, "toy", home)

    assert [] == left_behind(home.root)


def test_a_lock_is_the_writers_until_its_process_ends(tmp_path: Path) -> None:
    """The kernel gives it back at KILL, which no code of ours could."""
    with draft(tmp_path) as mine, (mine / LOCK).open("r+") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


IN_A_DRAFT = """
import sys
from pathlib import Path
from algorithms.contract.draft import draft
with draft(Path(sys.argv[1])):
    pass
"""
