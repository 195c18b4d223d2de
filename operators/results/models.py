"""The tables: a case, its results, its numbers, its reports.  Nothing here identifies a person.

::

    cases 1 -- n stage_runs 1 -- n measurements
          1 -- n reports
    site_roles                                    which role of PostgreSQL sees which site
    audit                                         a chain of its own, see `operators.results.audit`

Every other row is named by content keys, so recording the same thing again changes nothing, and a newer result lands beside the
older one.  The current report of a case is the one that ``cases.report_key`` names.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from algorithms.contract.case import LOCAL

Document = JSON().with_variant(JSONB(), "postgresql")


def _now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """Constraints have names, so that a migration can name them on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        }
    )


class Case(Base):
    """One examination, by its opaque id, and what its current report says.

    ``chosen`` are the parameters that somebody chose for that report; the others followed the defaults of its time.  A check
    that the migration writes lets the region of this deployment in and no other.
    """

    __tablename__ = "cases"
    __table_args__ = (CheckConstraint("length(case_id) = 16", name="opaque_id"),)

    case_id: Mapped[str] = mapped_column(String(16), primary_key=True)
    pipeline: Mapped[str] = mapped_column(String(64))
    region: Mapped[str] = mapped_column(String(32), default=LOCAL)
    site: Mapped[str] = mapped_column(String(32), default=LOCAL, index=True)
    verdict: Mapped[str | None] = mapped_column(String(16))
    report_key: Mapped[str | None] = mapped_column(String(64))
    chosen: Mapped[dict[str, Any] | None] = mapped_column(Document)
    recorded_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=_now)


class StageRun(Base):
    """One result of one stage, or its failure: what made it and what it cost."""

    __tablename__ = "stage_runs"
    __table_args__ = (Index(None, "stage", "version"),)

    case_id: Mapped[str] = mapped_column(ForeignKey("cases.case_id"), primary_key=True)
    stage: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    version: Mapped[int]
    run: Mapped[str] = mapped_column(String(200))
    heartwood: Mapped[str] = mapped_column(String(32))
    image: Mapped[str] = mapped_column(String(200))
    parameters: Mapped[dict[str, Any]] = mapped_column(Document)
    inputs: Mapped[dict[str, str]] = mapped_column(Document)
    outputs: Mapped[dict[str, str]] = mapped_column(Document)
    seconds: Mapped[float | None]
    cpu_seconds: Mapped[float | None]
    peak_memory_mib: Mapped[float | None]
    price: Mapped[float | None]
    currency: Mapped[str | None] = mapped_column(String(3))
    price_list: Mapped[str | None] = mapped_column(String(64))
    failure_kind: Mapped[str | None] = mapped_column(String(16))
    failure_message: Mapped[str | None] = mapped_column(Text)
    manifest_uri: Mapped[str | None] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=_now)


class Measurement(Base):
    """One number, or one word, that a stage measured; ``subject`` is the vessel or lesion it is of, empty for the case."""

    __tablename__ = "measurements"
    __table_args__ = (
        ForeignKeyConstraint(["case_id", "stage", "key"], ["stage_runs.case_id", "stage_runs.stage", "stage_runs.key"]),
        Index(None, "name", "subject"),
    )

    case_id: Mapped[str] = mapped_column(String(16), primary_key=True)
    stage: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    subject: Mapped[str] = mapped_column(String(64), primary_key=True, default="")
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    word: Mapped[str | None] = mapped_column(Text)


class Report(Base):
    """One published report: what it says in one word, why, and where it is."""

    __tablename__ = "reports"

    case_id: Mapped[str] = mapped_column(ForeignKey("cases.case_id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    verdict: Mapped[str] = mapped_column(String(16))
    reasons: Mapped[list[Any]] = mapped_column(Document)
    uris: Mapped[dict[str, str]] = mapped_column(Document)
    hashes: Mapped[dict[str, str]] = mapped_column(Document)
    published_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=_now)


class SiteRole(Base):
    """A role of PostgreSQL and a site whose rows it sees; ``*`` is every site.  SQLite has no roles."""

    __tablename__ = "site_roles"

    role: Mapped[str] = mapped_column(String(63), primary_key=True)
    site: Mapped[str] = mapped_column(String(32), primary_key=True)


class Audit(Base):
    """One line of the audit: what was done with a case, and the hash over it and the line before."""

    __tablename__ = "audit"
    __table_args__ = (
        CheckConstraint("case_id IS NULL OR length(case_id) = 16", name="opaque_id"),
        UniqueConstraint("previous"),
        Index(None, "case_id", "action"),
    )

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    action: Mapped[str] = mapped_column(String(32))
    case_id: Mapped[str | None] = mapped_column(String(16))
    site: Mapped[str | None] = mapped_column(String(32))
    detail: Mapped[dict[str, Any]] = mapped_column(Document)
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))
