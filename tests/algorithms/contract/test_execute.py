"""Running a stage once: reuse, equal runs at once, half-written results, inputs that changed, full and locked disks."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from dataclasses import replace

import pytest

from algorithms.contract import execute as execution
from algorithms.contract.case import Case, Home
from algorithms.contract.command import leave_failure
from algorithms.contract.errors import DataError, failure_kind
from algorithms.contract.execute import execute
from algorithms.contract.inbox import admit
from algorithms.contract.manifest import MANIFEST, Manifest
from algorithms.contract.pipeline import Pipeline
from algorithms.contract.record import states
from tests.algorithms.contract.toy import COUNT, DOUBLE, TELL, TOY


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def case(tmp_path, home) -> Case:
    study = tmp_path / "study"
    study.mkdir()
    (study / "one").write_bytes(b"12345")
    (study / "two").write_bytes(b"1234567")
    return admit(study, "toy", home)


def test_a_result_is_named_by_its_key_and_carries_its_manifest(case, home):
    """Twelve bytes were received; the manifest tells what made the number and what it cost."""
    result = execute(TOY, COUNT, case, home, {})

    assert result.folder == case.folder / "count" / result.manifest.key[:12]
    assert json.loads((result.folder / "count.json").read_text()) == {"bytes": 12}
    manifest = Manifest.read(result.folder)
    assert manifest == result.manifest
    assert manifest.measurements == {"bytes": 12}
    assert manifest.inputs == {"study": case.inputs["study"]}
    assert manifest.peak_memory_mib > 1
    assert manifest.seconds >= 0


def test_a_second_run_does_nothing(case, home):
    """Reuse is by content: the folder is the same one, untouched."""
    first = execute(TOY, COUNT, case, home, {})
    stamp = first.folder.stat().st_mtime_ns

    second = execute(TOY, COUNT, case, home, {})

    assert (first.reused, second.reused) == (False, True)
    assert second.folder.stat().st_mtime_ns == stamp


def test_another_parameter_lands_beside_the_old_result(case, home):
    """Nothing is overwritten, so the two can be compared; downstream follows the parameters it is given."""
    execute(TOY, COUNT, case, home, {})
    two = execute(TOY, DOUBLE, case, home, {"factor": 2})

    three = execute(TOY, replace(DOUBLE, consumes=()), case, home, {"factor": 3})

    assert two.folder != three.folder
    assert [json.loads((r.folder / "folder" / "double.json").read_text()) for r in (two, three)] == [24, 36]


def test_a_higher_version_is_another_result(case, home):
    """That is how "reprocess everything older than X" works."""
    newer = Pipeline("toy", "Toy", "A toy.", "anything", (replace(COUNT, version=2), DOUBLE, TELL))

    assert states(TOY, case, {})["count"].key != states(newer, case, {})["count"].key


def test_a_stage_without_its_input_says_what_to_run_first(case, home):
    with pytest.raises(DataError, match="run `python -m algorithms toy count`"):
        execute(TOY, DOUBLE, case, home, {})


def test_an_artefact_that_was_changed_stops_the_stage_that_reads_it(case, home):
    """The manifest holds its sha256; an edited number must not become a report."""
    counted = execute(TOY, COUNT, case, home, {})
    (counted.folder / "count.json").write_text('{"bytes": 13}')

    with pytest.raises(DataError, match="not what was written"):
        execute(TOY, DOUBLE, case, home, {})


def test_an_original_that_was_changed_stops_the_stage_that_reads_it(case, home):
    """Hashes are taken once at the door and hold for the life of the case."""
    (case.input_path("study", home) / "000001").write_bytes(b"54321")

    with pytest.raises(DataError, match="has changed since it was received"):
        execute(TOY, COUNT, case, home, {})


def test_the_original_is_deleted_only_after_its_consumer_has_published(case, home):
    """``double`` consumes the study; before it the original is there, after it a rerun needs it no more."""
    execute(TOY, COUNT, case, home, {})
    assert case.input_path("study", home).exists()

    execute(TOY, DOUBLE, case, home, {})

    assert not case.input_path("study", home).exists()
    assert execute(TOY, COUNT, case, home, {}).reused
    with pytest.raises(DataError, match="is not in the inbox: it was deleted after de-identification, or --home is not"):
        execute(TOY, COUNT, case, home, {"slow_s": 0.001})


def test_a_stage_that_forgets_an_output_is_a_bug(case, home):
    """It is ours to mend, not the site's."""
    with pytest.raises(RuntimeError, match=r"declares count\.json but did not write it"):
        execute(TOY, COUNT, case, home, {"fault": "forgets"})


@pytest.mark.parametrize(
    ("fault", "kind"), [pytest.param("data", "data"), pytest.param("bug", "bug"), pytest.param("disk", "transient")]
)
def test_a_failed_run_leaves_no_result_and_one_failure(case, home, fault, kind):
    """A full disk passes when somebody frees space; only a bug keeps its traceback; no message names a file."""
    with pytest.raises((DataError, ZeroDivisionError, OSError)) as raised:
        execute(TOY, COUNT, case, home, {"fault": fault})
    failure = leave_failure(TOY, COUNT, case, {"fault": fault}, raised.value, stub=False)

    assert failure.kind == kind == failure_kind(raised.value)
    assert bool(failure.traceback) == (kind == "bug")
    assert "some/file" not in failure.message
    assert [p.name for p in (case.folder / "count").iterdir()] == ["failure.json"]
    assert states(TOY, case, {"fault": fault})["count"].state == "failed"
    assert states(TOY, case, {})["count"].state == "not run"


def test_a_success_forgets_the_failure_before_it(case, home):
    """A retry that worked must not leave a case that looks failed."""
    leave_failure(TOY, COUNT, case, {}, DataError("found 0"), stub=False)

    execute(TOY, COUNT, case, home, {})

    assert states(TOY, case, {})["count"].state == "done"
    assert not (case.folder / "count" / "failure.json").exists()


def run_count(folder, root, given):
    """Run in a process of its own."""
    execute(TOY, COUNT, Case.read(folder), Home(root), given)


def started(case: Case, home: Home, given: dict) -> multiprocessing.Process:
    """Return a process that runs ``count``."""
    process = multiprocessing.get_context("spawn").Process(target=run_count, args=(case.folder, home.root, given))
    process.start()
    return process


def test_two_equal_runs_at_once_both_succeed_with_one_result(case, home):
    """Both compute, the first to rename wins, the other finds the result there."""
    processes = [started(case, home, {"slow_s": 1.0}) for _ in range(2)]
    for process in processes:
        process.join(60)

    assert [p.exitcode for p in processes] == [0, 0]
    assert [states(TOY, case, {"slow_s": 1.0})["count"].folder] == list((case.folder / "count").iterdir())


def test_a_run_whose_originals_an_equal_run_has_used_up_takes_that_one_s_result(case, home, monkeypatch):
    """The other run deletes the originals while this one still reads them: neither has failed."""
    execute(TOY, COUNT, case, home, {})
    call = execution._call

    def overtaken(*arguments):
        monkeypatch.setattr(execution, "_call", call)
        execute(TOY, DOUBLE, case, home, {})
        raise FileNotFoundError(case.input_path("study", home))

    monkeypatch.setattr(execution, "_call", overtaken)

    result = execute(TOY, DOUBLE, case, home, {})

    assert not case.input_path("study", home).exists()
    assert [result.folder] == list((case.folder / "double").iterdir())


def test_a_killed_run_leaves_no_result_and_the_next_one_cleans_up(case, home):
    """The half-written file lies in a draft folder that no reader looks into."""
    process = started(case, home, {"fault": "killed"})
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    drafts = list((case.folder / "count").glob(".draft-*"))
    assert len(drafts) == 1
    assert states(TOY, case, {"fault": "killed"})["count"].state == "not run"

    execute(TOY, COUNT, case, home, {})

    assert not list((case.folder / "count").glob(".draft-*"))


def test_a_folder_without_manifest_is_not_a_result(case, home):
    """A copy that was broken off (rsync, a restored backup) must not count as done."""
    key = states(TOY, case, {})["count"].key
    assert key is not None
    (case.folder / "count" / key[:12]).mkdir(parents=True)

    result = execute(TOY, COUNT, case, home, {})

    assert not result.reused
    assert (result.folder / MANIFEST).exists()


def test_an_unwritable_case_folder_is_told_in_a_sentence(case, home):
    """A plain file stands where the stage's folder should be: even root cannot write below it."""
    (case.folder / "count").write_text("in the way")

    with pytest.raises(DataError, match="cannot write into the folder of results"):
        execute(TOY, COUNT, case, home, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_case_folder_without_permission_is_told_in_a_sentence(case, home):
    """The same for the user that Airflow's workers run as."""
    case.folder.chmod(0o500)

    with pytest.raises(DataError, match="cannot write into the folder of results"):
        execute(TOY, COUNT, case, home, {})


def test_the_stage_that_always_runs_tells_what_failed(case, home):
    """``tell`` gets no ``double`` and writes a rejection from the record."""
    leave_failure(TOY, COUNT, case, {}, DataError("found 0 slices"), stub=False)

    result = execute(TOY, TELL, case, home, {})

    told = json.loads((result.folder / "told.json").read_text())
    assert told == {"verdict": "rejected", "states": {"count": "failed", "double": "not run"}}


def test_a_report_is_made_anew_when_the_case_went_on(case, home):
    """The record is an input like any other: another record, another key."""
    early = execute(TOY, TELL, case, home, {})
    execute(TOY, COUNT, case, home, {})
    execute(TOY, DOUBLE, case, home, {})

    late = execute(TOY, TELL, case, home, {})

    assert early.folder != late.folder
    assert json.loads((late.folder / "told.json").read_text())["verdict"] == "answered"


def raised(text: str) -> Exception:
    """Return an error with a cause, as a library raises it: both messages hold the value that was read."""
    try:
        try:
            int(text)
        except ValueError as first:
            raise KeyError(text) from first
    except KeyError as error:
        return error
    raise AssertionError("not reached")


def test_a_bug_over_originals_keeps_its_places_and_withholds_its_messages(case, home):
    """``count`` reads what the site sent: a value in a message would go to log, database and developers."""
    failure = leave_failure(TOY, COUNT, case, {}, raised("Muster^Max"), stub=False)

    assert failure.message == "KeyError"
    assert "Muster" not in (case.folder / "count" / "failure.json").read_text()
    assert "int(text)" in failure.traceback
    assert failure.traceback.index("ValueError") < failure.traceback.index("KeyError")


def test_a_bug_over_our_own_artefacts_keeps_its_message(case, home):
    """Nothing identifying is in what the other stages read, and the message helps."""
    execute(TOY, COUNT, case, home, {})
    other = replace(DOUBLE, consumes=())
    failure = leave_failure(replace(TOY, stages=(COUNT, other, TELL)), other, case, {}, raised("12,5"), stub=False)

    assert "12,5" in failure.message
    assert "12,5" in failure.traceback
