"""The audit: what was done with which case, one line after the other, each sealed over the one before.

A line is never changed and never deleted: triggers refuse both.  Each carries a hash over its own content and the hash of the
line before, so a line that was changed, taken out or put in breaks the chain from there on.  A cut at the end breaks nothing;
that is why the chain's head is published into the object store, see `operators.results.heads`.

A detail is a count, a key, an id or a word of ours, and never a text that a person wrote: `append` refuses what has a blank.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, desc, insert, select

from operators.results.models import Audit

GENESIS = "0" * 64
"""What the first line carries in the place of a hash before it."""

WORD = re.compile(r"[A-Za-z0-9._:/+-]{1,128}")
NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")

CHAIN_LOCK = 0x4865617274
"""Number of the PostgreSQL advisory lock that a writer holds from reading the head until its transaction ends."""


class Action(StrEnum):
    """All that can be written into the audit; a new one gets its row in docs/operations.md."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    DEAD_LETTERED = "dead-lettered"
    REDRIVEN = "redriven"
    PUBLISHED = "published"
    REPROCESSED = "reprocessed"
    COMPARED = "compared"
    ARCHIVED = "archived"
    RESTORED = "restored"
    INBOX_EXPIRED = "inbox-expired"
    SHRED_REQUESTED = "shred-requested"
    SHREDDED = "shredded"


@dataclass(frozen=True)
class Line:
    """One line of the audit as it is hashed."""

    number: int
    at: datetime
    action: str
    case_id: str | None
    site: str | None
    detail: Mapping[str, str | int]
    previous: str

    def hash(self) -> str:
        """Return the sha256 over the line before and this one, written in one way only."""
        # SQLite gives times back without their zone; both databases keep microseconds.
        at = self.at.replace(tzinfo=UTC) if self.at.tzinfo is None else self.at.astimezone(UTC)
        content = asdict(self) | {"at": at.isoformat(timespec="microseconds")}
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Head:
    """The end of the chain: how many lines there are, and the hash of the last one."""

    count: int
    hash: str


def append(
    connection: Connection,
    *,
    action: Action,
    case_id: str | None,
    site: str | None,
    detail: Mapping[str, str | int],
) -> None:
    """Add a line; it is there when the caller's transaction is.

    On PostgreSQL writers take turns until their transaction ends, so append last.

    Parameters
    ----------
    connection
        As `operators.results.database.transaction` gives it.
    action
        What was done.
    case_id, site
        The case and its site, ``None`` where it was done with none.
    detail
        Counts, keys, ids: numbers, or words without a blank.

    Raises
    ------
    ValueError
        If a detail could hold more than that.
    """
    _require_opaque(detail)
    before = _locked_head(connection)
    _add(connection, before, action=Action(action).value, case_id=case_id, site=site, detail=dict(detail))


def append_once(
    connection: Connection,
    *,
    action: Action,
    case_id: str | None,
    site: str | None,
    detail: Mapping[str, str | int],
) -> None:
    """Add a line like `append`, unless the newest one of this action and case says the same: for what may be tried again."""
    _require_opaque(detail)
    before = _locked_head(connection)
    newest = (
        select(Audit.site, Audit.detail)
        .where(Audit.action == Action(action), Audit.case_id.is_not_distinct_from(case_id))
        .order_by(desc(Audit.number))
        .limit(1)
    )
    if connection.execute(newest).one_or_none() != (site, dict(detail)):
        _add(connection, before, action=Action(action).value, case_id=case_id, site=site, detail=dict(detail))


def head(connection: Connection) -> Head:
    """Return the end of the chain."""
    row = connection.execute(select(Audit.number, Audit.hash).order_by(desc(Audit.number)).limit(1)).one_or_none()
    return Head(*row) if row else Head(0, GENESIS)


def lines(connection: Connection) -> Iterator[tuple[Line, str]]:
    """Yield every line with the hash that it carries, in order."""
    columns = (Audit.number, Audit.at, Audit.action, Audit.case_id, Audit.site, Audit.detail, Audit.previous, Audit.hash)
    for row in connection.execute(select(*columns).order_by(Audit.number).execution_options(yield_per=1000)):
        yield Line(*row[:-1]), row.hash


def _require_opaque(detail: Mapping[str, str | int]) -> None:
    for name, value in detail.items():
        if not NAME.fullmatch(name) or not (isinstance(value, int) or (isinstance(value, str) and WORD.fullmatch(value))):
            raise ValueError("a detail of the audit is a whole number, or a word without a blank, under a lower-case name")


def _locked_head(connection: Connection) -> Head:
    # SQLite has one writer at a time from the transaction's begin on.
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({CHAIN_LOCK})")
    return head(connection)


def _add(connection: Connection, before: Head, **said: Any) -> None:
    line = Line(number=before.count + 1, at=datetime.now(UTC), previous=before.hash, **said)
    connection.execute(insert(Audit).values(**asdict(line), hash=line.hash()))
