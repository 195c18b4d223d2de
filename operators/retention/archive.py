"""Originals in the object store, encrypted under their case's data key: the one thing that shredding that key makes unreadable.

::

    originals/<case id>/study/000001 ...   encrypted files, see `algorithms.contract.vault`
    originals/<case id>/whole              written last: how many files there are

Nothing of an original but its size can be told from what lies there.
"""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path

from airflow.sdk import Context

from algorithms.contract.case import SECRET, Case, Home
from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.contract.store import Store
from algorithms.contract.vault import data_key, decrypt, encrypt, has_key, read_key
from operators.case import CaseTask
from operators.credentials import deployment_store
from operators.results.audit import Action, append_once
from operators.results.database import transaction

log = logging.getLogger(__name__)

WHOLE = "whole"


class Archive(CaseTask):
    """Archive the originals of a case before anything reads and then deletes them; see `archive`."""

    ui_color = "#efe6fb"

    def execute(self, context: Context) -> dict[str, str]:
        """Return in one word what was done."""
        opened = self.open()
        case, here = opened.case, opened.here
        store = deployment_store(here)
        home = here.home_folder
        if store.exists(f"{folder_of(case.case_id)}/{WHOLE}") and has_key(home, case.case_id):
            return {"key": "", "state": "reused"}
        if not any(case.input_path(name, home).exists() for name in case.inputs if name != SECRET):
            log.info("the originals were deleted before they could be archived")
            return {"key": "", "state": "gone"}
        number = archive(case, home, store)
        with transaction(here.results_url) as connection:
            append_once(connection, action=Action.ARCHIVED, case_id=case.case_id, site=case.site, detail={"files": number})
        log.info("archived %d encrypted originals", number)
        return {"key": "", "state": "done"}


def folder_of(case_id: str) -> str:
    """Return where the originals of a case are in the store."""
    return f"originals/{case_id}"


def archive(case: Case, home: Home, store: Store) -> int:
    """Put every original of a case into the store, encrypted, and return how many there are.

    Raises
    ------
    DataError
        If the originals are gone, or are not what was received.
    """
    prefix, number = folder_of(case.case_id), 0
    key = data_key(home, case.case_id)
    with tempfile.TemporaryDirectory(dir=home.inbox, prefix=".archiving-") as folder:
        sealed = Path(folder) / "sealed"
        for name in sorted(set(case.inputs) - {SECRET}):
            original = case.verify_input(name, home)
            for path in sorted(p for p in original.rglob("*") if p.is_file()):
                told = f"{name}/{path.relative_to(original).as_posix()}"
                encrypt(path, sealed, key, told)
                store.put_file(sealed, f"{prefix}/{told}")
                number += 1
        sealed.write_text(json.dumps({"files": number}) + "\n")
        store.put_file(sealed, f"{prefix}/{WHOLE}")
    return number


def restore(case: Case, home: Home, store: Store, folder: Path) -> int:
    """Write the originals of a case below ``folder``, as they were received, and return how many there are.

    Raises
    ------
    DataError
        If they were never archived, the case was shredded, or a byte is not what was received.
    """
    key, prefix = read_key(home, case.case_id), f"{folder_of(case.case_id)}/"
    names = [name.removeprefix(prefix) for name in store.list(prefix)]
    if WHOLE not in names:
        raise DataError(f"the originals of case {case.case_id} were not archived; ask the site to send them again")
    names.remove(WHOLE)
    folder.mkdir(parents=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".restoring-") as draft:
        for name in names:
            sealed = store.get_file(prefix + name, Path(draft) / "sealed")
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            decrypt(sealed, folder / name, key, name)
            sealed.unlink()
    for name in set(case.inputs) - {SECRET}:
        if not (folder / name).exists() or sha256_path(folder / name) != case.inputs[name]:
            raise DataError(f"what was restored of case {case.case_id} is not what was received; restore the store's backup")
    return len(names)
