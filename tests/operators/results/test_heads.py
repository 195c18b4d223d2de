"""`verify`: what was changed, taken out, put in, cut off or written anew is found, by line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import insert

from algorithms.contract.store import open_store
from operators.results.__main__ import main
from operators.results.audit import Action, append, head, lines
from operators.results.database import transaction
from operators.results.heads import publish_head, verify
from operators.results.models import Audit

UNGUARD = {
    "sqlite": ["DROP TRIGGER audit_refuses_update", "DROP TRIGGER audit_refuses_delete"],
    "postgresql": ["ALTER TABLE audit DISABLE TRIGGER USER"],
}
"""What somebody who owns the tables does before he changes the past."""


@pytest.fixture
def store(tmp_path: Path) -> str:
    return (tmp_path / "store").as_uri()


@pytest.fixture
def audited(url: str, store: str) -> str:
    """Five lines, the head published after the third and the fifth, and no trigger in the way."""
    with transaction(url) as connection:
        for number in range(1, 6):
            append(connection, action=Action.PUBLISHED, case_id=f"{number:016x}", site="north", detail={"artefacts": number})
            if number in {3, 5}:
                publish_head(head(connection), open_store(store))
        for statement in UNGUARD[connection.dialect.name]:
            connection.exec_driver_sql(statement)
    return url


def findings(url: str, store: str) -> list[tuple[int, str]]:
    with transaction(url) as connection:
        return [(f.number, f.what) for f in verify(connection, open_store(store)).findings]


def test_an_audit_that_nobody_touched_is_whole(audited: str, store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, and how much was looked at."""
    assert main(["verify", "--url", audited, "--store", store]) == 0
    assert json.loads(capsys.readouterr().out) == {"lines": 5, "heads": 2, "findings": []}


@pytest.mark.parametrize(
    ("tampering", "number", "what"),
    [
        ("UPDATE audit SET site = 'south' WHERE number = 2", 2, "is not what was written"),
        ("UPDATE audit SET at = '2020-01-01 00:00:00.000000' WHERE number = 5", 5, "is not what was written"),
        ("DELETE FROM audit WHERE number = 4", 4, "1 lines are missing here"),
        ("DELETE FROM audit WHERE number = 5", 5, "1 lines are missing at the end"),
        ("DELETE FROM audit", 1, "5 lines are missing at the end"),
    ],
)
def test_tampering_is_found(audited: str, store: str, tampering: str, number: int, what: str) -> None:
    """Exit code 65: a person must act.  A cut at the end is seen by the head that was published."""
    with transaction(audited) as connection:
        connection.exec_driver_sql(tampering)

    assert (number, what) in findings(audited, store)
    assert main(["verify", "--url", audited, "--store", store]) == 65


def test_a_chain_that_was_written_anew_is_found_by_its_heads(audited: str, store: str) -> None:
    """Whoever owns the tables can compute hashes too; what was published before is out of his reach."""
    with transaction(audited) as connection:
        old = [line for line, _ in lines(connection)]
        connection.exec_driver_sql("DELETE FROM audit")
        for line in old:
            detail = dict(line.detail) if line.number != 2 else {"artefacts": 99}
            append(connection, action=Action(line.action), case_id=line.case_id, site=line.site, detail=detail)

    assert findings(audited, store) == [
        (3, "is not the line whose hash was published"),
        (5, "is not the line whose hash was published"),
    ]


def test_a_line_that_was_put_in_breaks_the_chain(audited: str, store: str) -> None:
    """It carries a right hash of its own, but follows no line that is there."""
    with transaction(audited) as connection:
        *_, (last, _) = lines(connection)
        forged = type(last)(6, last.at, "published", "0" * 16, "north", {}, "1" * 64)
        connection.execute(insert(Audit).values(**vars(forged), hash=forged.hash()))

    assert findings(audited, store) == [(6, "does not follow the line before")]


def test_a_head_is_never_replaced(audited: str, store: str) -> None:
    """The same head again is the same object; an audit without a new line gets none."""
    before = open_store(store).list()
    with transaction(audited) as connection:
        end = head(connection)
    publish_head(end, open_store(store))

    assert open_store(store).list() == before
    assert before[-1] == f"audit/heads/{5:012d}-{end.hash}.json"
