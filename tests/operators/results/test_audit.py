"""The audit: it only grows, it cannot fork, and it holds no text that a person wrote."""

from __future__ import annotations

import itertools
import re
import threading

import pytest
from sqlalchemy.exc import DBAPIError

from operators.results.audit import GENESIS, Action, append, append_once, head, lines
from operators.results.database import transaction, upgrade
from tests.operators.airflow_home import PROJECT

CASE_ID = "0123456789abcdef"


def add(url: str, action: Action = Action.PUBLISHED, **detail: str | int) -> None:
    with transaction(url) as connection:
        append(connection, action=action, case_id=CASE_ID, site="north", detail=detail)


def test_each_line_is_sealed_over_the_one_before(url: str) -> None:
    """What is read back gives the hash that was written, on both databases; the first line follows nothing."""
    add(url, report="a" * 64, objects=3)
    add(url, Action.SHREDDED)

    with transaction(url) as connection:
        found = list(lines(connection))
        end = head(connection)

    assert [line.number for line, _ in found] == [1, 2]
    assert [line.hash() for line, _ in found] == [sealed for _, sealed in found]
    assert [line.previous for line, _ in found] == [GENESIS, found[0][1]]
    assert (end.count, end.hash) == (2, found[1][1])
    assert found[0][0].detail == {"report": "a" * 64, "objects": 3}


@pytest.mark.parametrize("statement", ["UPDATE audit SET site = 'south'", "DELETE FROM audit"])
def test_no_line_is_changed_or_deleted(url: str, statement: str) -> None:
    """Not even by the owner of the tables, who would have to take the triggers away first."""
    add(url)

    with pytest.raises(DBAPIError, match="never changed or deleted"), transaction(url) as connection:
        connection.exec_driver_sql(statement)


def test_the_audit_is_not_emptied(empty_postgresql: str) -> None:
    """PostgreSQL's TRUNCATE passes by the triggers of single rows."""
    upgrade(empty_postgresql)

    with pytest.raises(DBAPIError, match="never changed or deleted"), transaction(empty_postgresql) as connection:
        connection.exec_driver_sql("TRUNCATE audit")


def test_writers_at_once_make_one_chain(url: str) -> None:
    """Each reads the head before it writes; had two read the same one, a line would be lost or the chain would fork."""
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for turn in range(5):
                add(url, writer=number, turn=turn)
        except BaseException as error:  # noqa: BLE001 - looked at below
            errors.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    with transaction(url) as connection:
        found = list(lines(connection))
    assert [line.number for line, _ in found] == list(range(1, 21))
    assert all(after.previous == sealed for (_, sealed), (after, _) in itertools.pairwise(found))


def test_the_database_itself_refuses_a_fork(url: str) -> None:
    """Two lines after the same one: whatever program wrote the second, it does not get in."""
    add(url)
    columns = "at, action, case_id, site, detail, previous, hash"

    with pytest.raises(DBAPIError, match=r"previous"), transaction(url) as connection:
        connection.exec_driver_sql(f"INSERT INTO audit (number, {columns}) SELECT 2, {columns} FROM audit")


def test_what_is_tried_again_is_written_once(url: str) -> None:
    """A task that died after its commit runs again; the same thing done anew after something else is a new line."""
    for report in ("a", "a", "b", "a"):
        with transaction(url) as connection:
            append_once(connection, action=Action.PUBLISHED, case_id=CASE_ID, site="north", detail={"report": report})

    with transaction(url) as connection:
        assert [line.detail["report"] for line, _ in lines(connection)] == ["a", "b", "a"]


def test_a_failed_transaction_leaves_no_line(url: str) -> None:
    """What was not done is not told, and the next line takes its place in the chain."""
    with pytest.raises(ValueError, match="whole number"), transaction(url) as connection:  # noqa: PT012 - a line, then an error
        for report in ("a", "not a word"):
            append(connection, action=Action.PUBLISHED, case_id=CASE_ID, site="north", detail={"report": report})
    add(url)

    with transaction(url) as connection:
        assert head(connection).count == 1


@pytest.mark.parametrize("detail", [{"reason": "Jane Doe"}, {"Name": 1}, {"seconds": 1.5}, {"keys": ["a"]}, {"note": ""}])
def test_a_detail_is_a_count_or_a_word(url: str, detail: dict) -> None:
    """A sentence could hold a name; what refused it does not repeat it."""
    with pytest.raises(ValueError, match="a whole number, or a word") as caught, transaction(url) as connection:
        append(connection, action=Action.REFUSED, case_id=None, site=None, detail=detail)
    assert "Jane" not in str(caught.value)


def test_only_listed_actions_are_written(url: str) -> None:
    """The list is what docs/operations.md explains; a word made up on the spot would be found by no query."""
    with pytest.raises(ValueError, match="tidied"), transaction(url) as connection:
        append(connection, action="tidied", case_id=None, site=None, detail={})  # type: ignore[arg-type]


def test_every_action_is_explained() -> None:
    """docs/operations.md is what an auditor reads beside the table."""
    text = (PROJECT / "docs/operations.md").read_text()
    table = text.partition("## Audit")[2].partition("## ")[0]

    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == [action.value for action in Action]
