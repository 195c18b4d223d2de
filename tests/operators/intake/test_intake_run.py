"""A whole Airflow: triggerer, scheduler, DAG processor and API; messages in SQS become cases that end."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest

from operators.laptop import embedded
from tests.operators.intake.ways import Intake
from tests.operators.whole_airflow import running
from tests.services import free_port

DEADLINE_S = 1200
"""For two cases one after the other on a machine that is busy with other tests; ten times what they take on a quiet one."""

SAMPLE_S = 0.5


class Database:
    """Airflow's own, for looking."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(statement).fetchall()

    def runs(self, dag_id: str) -> list[tuple[str, str]]:
        """Return id and state of every run of a DAG."""
        return self.rows(f"SELECT run_id, state FROM dag_run WHERE dag_id = '{dag_id}' ORDER BY run_id")


@pytest.fixture
def airflow(queue: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """An Airflow of this test's own, with a pool of one case at a time, that reads the queue."""
    home = tmp_path / "airflow"
    monkeypatch.setattr(embedded, "AIRFLOW_HOME", home)
    for name in ("home", "region", "intake_queue", "intake_dead_letters", "intake_store"):
        monkeypatch.setenv(f"AIRFLOW__HEARTWOOD__{name.upper()}", getattr(queue.here, name))
    # Long enough that on a busy machine a message comes back only if its worker is dead.
    chosen = {"stub": "True", "intake_pool": "cases", "intake_poll_s": "2", "intake_visibility_s": "120"}
    for name, value in chosen.items():
        monkeypatch.setenv(f"AIRFLOW__HEARTWOOD__{name.upper()}", value)
    environment = embedded.prepare(queue.here.home_folder.root, free_port())
    pool = ["-m", "airflow", "pools", "set", "--include-deferred", "cases", "1", "one case at a time"]
    embedded.run(pool, environment)
    with running(environment, home / "logs"):
        yield Database(home / "airflow.db")


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.timeout(DEADLINE_S + 300)
def test_messages_become_cases_that_end_one_after_the_other(queue: Intake, airflow: Database) -> None:
    """Two examinations, one announced three times, and a poison message; a pool of one slot.

    Each examination is answered by one run, never two of them at once, and meanwhile the second one's message stays where it
    is.  In the end the queue is empty, and Airflow's database knows nothing of what the poison message said.
    """
    first, second = queue.send("one"), queue.send("two")
    for upload in (first, first):
        queue.announce(upload)
    queue.put_message('{"PatientName": "Mustermann^Max"}')
    at_once, until = [], time.monotonic() + DEADLINE_S

    while time.monotonic() < until:
        states = [state for _, state in airflow.runs("coronary_ffr")]
        at_once.append(sum(state in {"queued", "running"} for state in states))
        if states == ["success"] * 2 and messages(queue) == 0:
            break
        time.sleep(SAMPLE_S)

    intake = airflow.runs("intake_queue")
    assert [state for _, state in airflow.runs("coronary_ffr")] == ["success"] * 2
    assert sorted(run_id for run_id, _ in airflow.runs("coronary_ffr")) == sorted(f"intake__{case}" for case in queue.cases())
    assert max(at_once) == 1
    assert messages(queue) == 0
    assert len(queue.letters()) == 1
    assert {state for _, state in intake} <= {"success", "running", "queued"}  # the next look may just begin
    assert "Mustermann" not in "\n".join(everything(airflow))
    assert second in "\n".join(path.name for path in (queue.here.home_folder.root / "intake").iterdir())


def messages(queue: Intake) -> int:
    """Return how many messages are in the queue, seen or not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = boto3.client("sqs").get_queue_attributes(QueueUrl=queue.here.intake_queue, AttributeNames=names)["Attributes"]
    return sum(int(told[name]) for name in names)


def everything(airflow: Database) -> Iterator[str]:
    """Yield every row of every table."""
    for (table,) in airflow.rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
        for row in airflow.rows(f'SELECT * FROM "{table}"'):
            yield repr(row)
