"""``python -m operators.reprocess``: the whole way without Airflow, stages as real subprocesses."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from algorithms.contract.store import open_store
from operators import settings
from operators.reprocess.__main__ import main
from operators.results.audit import lines
from operators.results.database import transaction
from operators.settings import Settings
from tests.operators.reprocess.conftest import CORONARY, Answer, earlier


def told(capsys: pytest.CaptureFixture[str], *arguments: str):
    """Return what a command prints as JSON."""
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_cases_are_found_answered_again_and_compared(
    here: Settings, answered: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of two cases is of an older version: it alone is run, from the changed stage on, and the report compares it."""
    answered(number=1)
    old = answered(earlier(CORONARY, "render", version=0), number=2)
    before = {path: path.stat().st_mtime_ns for path in old.folder.glob("*/*/manifest.json")}

    found = told(capsys, "find")
    (comparison,) = told(capsys, "run")
    again = told(capsys, "run")

    assert [(s["case_id"], s["begins_at"]) for s in found["stale"]] == [(old.case_id, "render")]
    assert comparison["cases"] == 1
    new = set(old.folder.glob("*/*/manifest.json")) - set(before)
    assert {path.parts[-3] for path in new} == {"render", "report", "exchange"}
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert again == []
    assert told(capsys, "compare") == [comparison]
    assert len(open_store(here.store_uri).list("reprocess/")) == 3


@pytest.mark.slow
def test_two_runs_at_once_end_as_one(here: Settings, answered: Answer) -> None:
    """Both may find the same case stale and compute it: one result, one report, one line of the audit for each."""
    case = answered(earlier(CORONARY, "render", version=0))
    command = [sys.executable, "-m", "operators.reprocess", "run", "--json"]

    both = [subprocess.Popen(command, cwd=settings.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    told = [process.communicate() for process in both]

    assert [process.returncode for process in both] == [0, 0], told
    assert len(list((case.folder / "render").glob("*/manifest.json"))) == 2
    assert len(open_store(here.store_uri).list("reprocess/")) == 3
    with transaction(here.results_url) as connection:
        actions = [line.action for line, _ in lines(connection)]
    assert (actions.count("reprocessed"), actions.count("compared")) == (1, 1)


def test_a_person_reads_a_table(here: Settings, answered: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a case with the stage from which it would run, and a sum; nothing is run."""
    case = answered(earlier(CORONARY, "flow", version=0))

    assert main(["find", "--pipeline", "coronary", "--since", "2026-01-01"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["coronary", case.case_id, "run", "again", "from", "flow", "on"]
    assert lines[-1] == "1 cases looked at, 1 to answer again, 0 cannot be"
    assert len(list((case.folder / "flow").glob("*/manifest.json"))) == 1
