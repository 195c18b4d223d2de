"""Who a case is about: written into the vault when the identity is taken out, sealed under the case's data key.

Destroying that key (`algorithms.contract.vault.destroy_key`) makes the record unreadable, as everything else of the case that
was encrypted.  Nothing here ever reaches a message, a log, or a file outside the vault.

A study that was de-identified outside a case, by a command or by the appliance, has a record too.  Its id is a keyed hash of
the pseudonymous StudyInstanceUID (`record_of`), so that its results find it by themselves.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from algorithms.contract.case import CASE_ID, Home
from algorithms.contract.errors import DataError
from algorithms.contract.seal import seal, unseal
from algorithms.contract.vault import IDENTITIES, data_key, flush_folder, has_key, new_file, read_key

NAME = "identity"
"""The name under which the record is sealed."""


@dataclass(frozen=True)
class Identity:
    """What was taken out of an examination and is wanted back in its results.

    ``attributes`` are DICOM keywords with their original text (PatientName, PatientID, AccessionNumber, StudyDate ...),
    ``uids`` the original UID of each pseudonymous one.
    """

    attributes: Mapping[str, str] = field(repr=False)
    uids: Mapping[str, str] = field(repr=False)


def remember(home: Home, case_id: str, identity: Identity) -> None:
    """Keep who a case is about; remembering the same again changes nothing, another record takes the place of the first."""
    content = json.dumps(asdict(identity), sort_keys=True).encode()
    sealed = io.BytesIO()
    seal(io.BytesIO(content), sealed, data_key(home, case_id), NAME, hashlib.sha256(content).hexdigest())
    path = _place(home, case_id)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{case_id}-{secrets.token_hex(8)}")
    try:
        with new_file(draft) as file:
            file.write(sealed.getvalue())
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    flush_folder(path.parent)


def remember_study(home: Home, record: str, identity: Identity) -> None:
    """Keep who a study is about beside what is known of it: images that came at another time have results too."""
    if is_remembered(home, record) and has_key(home, record):
        known = recall(home, record)
        identity = Identity({**known.attributes, **identity.attributes}, {**known.uids, **identity.uids})
    remember(home, record, identity)


def record_of(home: Home, StudyInstanceUID: str) -> str:
    """Return the id of the record of a study by its pseudonymous UID; without the home's secret nobody can compute it."""
    secret = bytes.fromhex(home.secret().read_text().strip())
    return hmac.new(secret, f"identity {StudyInstanceUID}".encode(), hashlib.sha256).hexdigest()[:16]


def recall(home: Home, case_id: str) -> Identity:
    """Return who a case is about.

    Raises
    ------
    DataError
        If nothing was remembered here, or the case was shredded.
    """
    path = _place(home, case_id)
    if not path.exists():
        raise DataError(f"nothing is remembered here of who case {case_id} is about; ask where it was de-identified")
    plain = io.BytesIO()
    with path.open("rb") as source:
        unseal(source, plain, read_key(home, case_id), NAME)
    return Identity(**json.loads(plain.getvalue()))


def is_remembered(home: Home, case_id: str) -> bool:
    """Return whether there is a record of the case, readable or not."""
    return _place(home, case_id).exists()


def remembered_before(home: Home, when: float) -> list[str]:
    """Return the ids of the records that were last written before ``when`` (seconds since 1970)."""
    records = (home.vault / IDENTITIES).glob("*")
    return sorted(path.name for path in records if CASE_ID.fullmatch(path.name) and path.stat().st_mtime < when)


def _place(home: Home, case_id: str) -> Path:
    if not CASE_ID.fullmatch(case_id):
        raise DataError("a case id is 16 hexadecimal digits")
    return home.vault / IDENTITIES / case_id
