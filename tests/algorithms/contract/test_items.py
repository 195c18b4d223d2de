"""A stage that runs once an item: its results, their whole, interruptions, failures, and the files that it reads."""

from __future__ import annotations

import multiprocessing
import signal
from dataclasses import replace

import pytest

from algorithms.contract.case import Case, Home
from algorithms.contract.command import killed, leave_failure
from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.contract.execute import execute
from algorithms.contract.inbox import admit
from algorithms.contract.pipeline import PROJECT, Output, Pipeline, names_in
from algorithms.contract.record import states
from tests.algorithms.contract.toy_items import JOIN, LETTERS, SPLIT, TOY_ITEMS

TEXTS = (b"abcd", b"wxyz", b"")


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def case(tmp_path, home) -> Case:
    """Three files; the empty one is in the first collection only, so two items go through ``letters``."""
    study = tmp_path / "study"
    study.mkdir()
    for number, text in enumerate(TEXTS):
        (study / str(number)).write_bytes(text)
    case = admit(study, "toyitems", home)
    execute(TOY_ITEMS, SPLIT, case, home, {})
    return case


def items(case: Case, given: dict | None = None) -> dict:
    return states(TOY_ITEMS, case, given or {})["letters"].items


def text_of(case: Case, item: str) -> str:
    return execute(TOY_ITEMS, LETTERS, case, Home(case.folder.parents[1]), {}, item=item).manifest.measurements["text"]


def test_items_are_those_in_every_collection(case, home):
    """The empty file has a text and no size: nothing is to be done for it."""
    assert len(items(case)) == 2
    assert {text_of(case, item) for item in items(case)} == {"abcd", "wxyz"}


def test_the_last_item_puts_the_whole_together(case, home):
    """Before it the stage is not done; after it the next stage reads one collection, whoever ran the items."""
    first, last = items(case)

    execute(TOY_ITEMS, LETTERS, case, home, {}, item=last)
    assert states(TOY_ITEMS, case, {})["letters"].state == "not run"
    execute(TOY_ITEMS, LETTERS, case, home, {}, item=first)

    whole = states(TOY_ITEMS, case, {})["letters"]
    assert whole.state == "done"
    assert whole.manifest.outputs["letters"].items() == {first: first, last: last}
    joined = execute(TOY_ITEMS, JOIN, case, home, {}).manifest.measurements["joined"]
    assert joined == f"{text_of(case, first)}-{text_of(case, last)}"


def test_without_an_item_all_of_them_run(case, home):
    """A shell needs no loop, and finds what tasks of Airflow had done already."""
    first, _ = items(case)
    execute(TOY_ITEMS, LETTERS, case, home, {}, item=first)

    result = execute(TOY_ITEMS, LETTERS, case, home, {})

    assert not result.reused
    assert execute(TOY_ITEMS, LETTERS, case, home, {}).reused
    assert result.manifest.measurements == {"items": 2, "letters": 8, "written": 8, "rule": "README"}


def test_items_at_once_end_with_one_whole(case, home):
    """Airflow starts them side by side; both may see that all are done."""
    processes = [started(case, home, item, {}) for item in items(case)]
    for process in processes:
        process.join(60)

    assert [p.exitcode for p in processes] == [0, 0]
    assert states(TOY_ITEMS, case, {})["letters"].state == "done"


def test_a_killed_item_goes_on_where_it_was_and_ends_equal(case, home, tmp_path):
    """Two letters had been written; two are written now, and the whole is what an uninterrupted run writes."""
    item = next(iter(items(case)))
    given = {"fault": "killed"}
    process = started(case, home, item, given)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL

    resumed = execute(TOY_ITEMS, LETTERS, case, home, given, item=item)

    uninterrupted = execute(TOY_ITEMS, LETTERS, case, home, {}, item=item)
    assert resumed.manifest.measurements["written"] == 2
    assert resumed.manifest.outputs == uninterrupted.manifest.outputs
    assert not list(case.folder.rglob(".unfinished-*"))
    assert not list(case.folder.rglob(".draft-*"))


def test_a_refused_item_fails_the_stage_until_it_succeeds(case, home):
    """The failure lies with its item, so that another item's success does not hide it."""
    given = {"fault": "data"}
    bad = next(item for item in items(case) if text_of(case, item) == "wxyz")
    good = next(item for item in items(case) if item != bad)
    with pytest.raises(DataError, match="found a z") as raised:
        execute(TOY_ITEMS, LETTERS, case, home, given, item=bad)
    leave_failure(TOY_ITEMS, LETTERS, case, given, raised.value, item=bad, stub=False)

    execute(TOY_ITEMS, LETTERS, case, home, given, item=good)

    state = states(TOY_ITEMS, case, given)["letters"]
    assert (state.state, state.failure.message) == ("failed", "found a z, wanted none")
    assert state.items[good].state == "done"


def test_a_killed_item_is_transient_and_its_own(case, home):
    """Whoever started it leaves the failure, because it could not."""
    item = next(iter(items(case)))

    killed(case, LETTERS, 9, item)

    assert states(TOY_ITEMS, case, {})["letters"].failure.kind == "transient"
    execute(TOY_ITEMS, LETTERS, case, home, {}, item=item)
    assert states(TOY_ITEMS, case, {})["letters"].failure is None


def test_one_changed_entry_stops_its_item_only(case, home):
    """An item reads and verifies its own entries: with slides of 8 GB the others must not be hashed for each."""
    changed, intact = items(case)
    folder = states(TOY_ITEMS, case, {})["split"].folder
    (folder / "texts" / f"{changed}.txt").write_text("tampered")

    execute(TOY_ITEMS, LETTERS, case, home, {}, item=intact)
    with pytest.raises(DataError, match="not what was written"):
        execute(TOY_ITEMS, LETTERS, case, home, {}, item=changed)


def test_a_file_that_a_stage_reads_is_part_of_its_key(case, home):
    """Rules and model descriptions decide results as inputs do; the manifest names their hash."""
    result = execute(TOY_ITEMS, LETTERS, case, home, {})

    assert result.manifest.inputs["file:README.md"] == sha256_path(PROJECT / "README.md")
    with pytest.raises(RuntimeError, match=r"LICENSE\.md, which the project does not have"):
        states(TOY_ITEMS, case, {"rule": "LICENSE"})
    letters = TOY_ITEMS.stage("letters")
    assert letters.files({"rule": ""}) == ()
    assert letters.files({"rule": "README+CHANGELOG"}) == ("README.md", "CHANGELOG.md")


def test_an_unknown_item_is_told_in_a_sentence(case, home):
    with pytest.raises(DataError, match="no such item, only s"):
        execute(TOY_ITEMS, LETTERS, case, home, {}, item="s9")
    with pytest.raises(DataError, match="runs once a case"):
        execute(TOY_ITEMS, SPLIT, case, home, {}, item="s1")


def test_items_before_their_collection_say_what_to_run_first(tmp_path, home):
    study = tmp_path / "new"
    study.mkdir()
    (study / "a").write_text("a")
    case = admit(study, "toyitems", home)

    with pytest.raises(DataError, match="run `python -m algorithms toyitems split`"):
        execute(TOY_ITEMS, LETTERS, case, home, {}, item="s1")


def test_a_pipeline_that_maps_over_no_collection_is_refused():
    """A mistake in a declaration shows at import, not at a case."""
    with pytest.raises(ValueError, match="are not collections"):
        Pipeline("p", "P", "p", "p", (replace(SPLIT, outputs=(Output("texts", "t", "t"), Output("sizes", "s", "s"))), LETTERS))


def test_stubs_go_through_a_stage_that_maps(case, home):
    """The graph of a diagnostic with items is tried without its tools like any other."""
    for stage in (SPLIT, LETTERS, JOIN):
        execute(TOY_ITEMS, stage, case, home, {}, stub=True)

    assert states(TOY_ITEMS, case, {}, stub=True)["join"].state == "done"


def test_choices_may_be_the_files_of_a_folder():
    """A model described in a file can be chosen without a line of code."""
    assert "pipeline" in names_in("algorithms/contract", ".py")


def run_item(folder, root, item, given):
    """Run in a process of its own."""
    execute(TOY_ITEMS, LETTERS, Case.read(folder), Home(root), given, item=item)


def started(case: Case, home: Home, item: str, given: dict) -> multiprocessing.Process:
    """Return a process that runs ``letters`` for one item."""
    process = multiprocessing.get_context("spawn").Process(target=run_item, args=(case.folder, home.root, item, given))
    process.start()
    return process
