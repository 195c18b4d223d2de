"""Originals whose time is over leave the inbox.

An entry is set aside by one rename, written into the audit, marked by a second rename, and deleted.  A run that was killed
anywhere is ended by the next one, and the audit has one line for it.

::

    inbox/<case id>  ->  inbox/.expiring-<mark>-<case id>  ->  audit  ->  inbox/.expired-<mark>-<case id>  ->  nothing
"""

from __future__ import annotations

import logging
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from algorithms.contract.case import CASE_ID, Case, Home
from algorithms.contract.errors import DataError
from operators.results.audit import Action, append_once
from operators.results.database import transaction
from operators.settings import Settings

log = logging.getLogger(__name__)

DAY_S = 86_400
ASIDE = re.compile(r"\.(expiring|expired)-([0-9a-f]{16})-([0-9a-f]{16}|other)")


@dataclass(frozen=True)
class Expired:
    """What was deleted: entries of the inbox, the files in them, their size."""

    entries: int
    files: int
    bytes: int


def expire(here: Settings, now_s: float) -> Expired:
    """Delete what has lain in the inbox for longer than `Settings.inbox_days`, audited and counted.

    Parameters
    ----------
    here
        The deployment.
    now_s
        Seconds since 1970.  What came "later" than now is kept.
    """
    if here.inbox_days <= 0:
        raise ValueError("[heartwood] inbox_days must be above 0")
    inbox = here.home_folder.inbox
    for entry in sorted(inbox.iterdir()) if inbox.exists() else ():
        if not ASIDE.fullmatch(entry.name) and newest_s(entry) < now_s - here.inbox_days * DAY_S:
            case_id = entry.name if CASE_ID.fullmatch(entry.name) else "other"
            entry.rename(inbox / f".expiring-{secrets.token_hex(8)}-{case_id}")
    found = [_end(here, inbox / m[0]) for m in map(ASIDE.fullmatch, _names(inbox)) if m]
    together = Expired(sum(e.entries for e in found), sum(e.files for e in found), sum(e.bytes for e in found))
    log.info("deleted %d entries of the inbox whose time was over, %d files", together.entries, together.files)
    return together


def newest_s(entry: Path) -> float:
    """Return when something was last put into an entry of the inbox, or taken out of it, in seconds since 1970."""
    return max(float(path.lstat().st_mtime) for path in [entry, *(entry.iterdir() if entry.is_dir() else ())])


def forget(home: Home, case_id: str) -> None:
    """Delete everything of a case from the inbox, also what was set aside."""
    for place in [home.inbox / case_id, *home.inbox.glob(f".expir*-*-{case_id}")]:
        if place.exists():
            shutil.rmtree(place)


def site_of(home: Home, case_id: str) -> str | None:
    """Return the site of a case, ``None`` where there is no such case any more."""
    try:
        return Case.read(home.case_folder(case_id)).site
    except DataError:
        return None


def _names(inbox: Path) -> list[str]:
    return sorted(path.name for path in inbox.iterdir()) if inbox.exists() else []


def _end(here: Settings, aside: Path) -> Expired:
    """Audit and delete one entry that was set aside."""
    match = ASIDE.fullmatch(aside.name)
    assert match is not None
    state, mark, case_id = match.groups()
    files = [p for p in [aside, *aside.rglob("*")] if p.is_file() and not p.is_symlink()]
    size = sum(p.stat().st_size for p in files)
    if state == "expiring":
        known = case_id if case_id != "other" else None
        detail = {"mark": mark, "files": len(files), "bytes": size}
        # An emptied folder of a case that was de-identified holds nothing to tell of.
        if files:
            site = site_of(here.home_folder, known) if known else None
            with transaction(here.results_url) as connection:
                append_once(connection, action=Action.INBOX_EXPIRED, case_id=known, site=site, detail=detail)
        aside = aside.rename(aside.with_name(f".expired-{mark}-{case_id}"))
    if aside.is_dir():
        shutil.rmtree(aside)
    else:
        aside.unlink()
    return Expired(1 if files else 0, len(files), size)
