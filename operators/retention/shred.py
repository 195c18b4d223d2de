"""Forgetting a case on request: its data key is destroyed, its inbox deleted, and its results too where that was asked for.

A request is a file in the vault.  It stays until everything is done, and every step can be done again, so a run that was killed
is ended by the next one.

::

    vault/shred/<case id>-keep.json      the results stay: nothing in them identifies a person
    vault/shred/<case id>-delete.json    case folder, published objects and rows go too
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, select

from algorithms.contract.case import CASE_ID, Home
from algorithms.contract.errors import DataError
from algorithms.contract.store import Store
from algorithms.contract.vault import destroy_key, has_key
from operators.results.audit import Action, append_once
from operators.results.database import transaction
from operators.results.models import Audit, Case, Measurement, Report, StageRun
from operators.retention.archive import folder_of
from operators.retention.inbox import forget, site_of
from operators.settings import Settings

log = logging.getLogger(__name__)

RESULTS = ("keep", "delete")
"""What becomes of the results of a case that is shredded."""

NAME = re.compile(rf"({CASE_ID.pattern})-({'|'.join(RESULTS)})\.json")


@dataclass(frozen=True)
class Request:
    """That a case shall be shredded; ``mark`` tells this request from a later one for the same case."""

    path: Path
    case_id: str
    results: str
    mark: str
    site: str | None


def request(here: Settings, case_id: str, results: str) -> Request:
    """Record that a case shall be shredded, and return the request; one that is recorded already is the same one.

    Raises
    ------
    DataError
        If nothing is known of such a case.
    """
    home = here.home_folder
    if results not in RESULTS:
        raise ValueError(f"results must be one of {', '.join(RESULTS)}")
    folder = home.case_folder(case_id)
    if not (folder.exists() or has_key(home, case_id) or (home.inbox / case_id).exists()):
        raise DataError(f"nothing is known here of case {case_id}; see the id in the report or in the address of the case page")
    path = _folder(home) / f"{case_id}-{results}.json"
    _write_once(path, json.dumps({"mark": secrets.token_hex(8), "site": site_of(home, case_id)}) + "\n")
    made = _read(path)
    _tell(Action.SHRED_REQUESTED, made, here)
    return made


def requests(home: Home) -> list[Request]:
    """Return what was asked for and is not done."""
    return [_read(path) for path in sorted(_folder(home).glob("*.json")) if NAME.fullmatch(path.name)]


def shred(asked: Request, here: Settings, store: Store) -> None:
    """Do what was asked for, and then take the request away."""
    home = here.home_folder
    # Whoever asked may have been killed between the request and its line.
    _tell(Action.SHRED_REQUESTED, asked, here)
    destroy_key(home, asked.case_id)
    forget(home, asked.case_id)
    # Nobody can read them any more; an examination that is sent again will be encrypted under a new key, at the same names.
    _delete_objects(f"{folder_of(asked.case_id)}/", store)
    if asked.results == "delete":
        _delete_results(asked.case_id, here, store)
    _tell(Action.SHREDDED, asked, here)
    asked.path.unlink(missing_ok=True)
    log.info("shredded case %s, results: %s", asked.case_id, asked.results)


def _tell(action: Action, asked: Request, here: Settings) -> None:
    """Write into the audit what was asked for, or done, unless it says so already."""
    detail = {"request": asked.mark, "results": asked.results}
    told = select(Audit.detail).where(Audit.action == action.value, Audit.case_id == asked.case_id)
    with transaction(here.results_url) as connection:
        if detail not in connection.scalars(told).all():
            append_once(connection, action=action, case_id=asked.case_id, site=asked.site, detail=detail)


def _delete_results(case_id: str, here: Settings, store: Store) -> None:
    _delete_objects(f"cases/{case_id}/", store)
    with transaction(here.results_url) as connection:
        for model in (Measurement, Report, StageRun, Case):
            connection.execute(delete(model).where(model.case_id == case_id))
    folder = here.home_folder.case_folder(case_id)
    if folder.exists():
        shutil.rmtree(folder)


def _delete_objects(prefix: str, store: Store) -> None:
    for name in store.list(prefix):
        store.delete(name)


def _folder(home: Home) -> Path:
    folder = home.vault / "shred"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _read(path: Path) -> Request:
    match = NAME.fullmatch(path.name)
    assert match is not None
    document = json.loads(path.read_text())
    return Request(path, match[1], match[2], document["mark"], document["site"])


def _write_once(path: Path, text: str) -> None:
    draft = path.with_name(f".{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
