"""What is done with one arrival: fetch, verify, admit, record, start, and only then release.

Each step may be the last one that a worker does before it dies.  Then the arrival is taken again, and every step finds what
it did before: fetched files by their sha256, the case by its content, its row by its id, the note of the admission by the
upload, the run by the case.  Fifty copies of one message therefore make one case and one run.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import Connection

from algorithms.contract.case import Case, Home
from algorithms.contract.catalogue import pipeline as pipeline_called
from algorithms.contract.digest import sha256_path
from algorithms.contract.envelope import unseal
from algorithms.contract.errors import DataError, TransientError
from algorithms.contract.inbox import admit
from algorithms.contract.intake import FILES, Message, Upload, manifest_text
from algorithms.contract.pipeline import Value
from algorithms.contract.store import Store
from algorithms.contract.vault import decrypt
from operators.intake.arrivals import Arrival, Arrivals
from operators.results.audit import Action, append, append_once
from operators.results.database import transaction, upsert
from operators.results.models import Case as CaseRow
from operators.results.rows import case_row
from operators.settings import Settings

log = logging.getLogger(__name__)

LOCKS = 4096
"""Two uploads share a lock by chance and then take turns; so there is a lock for each without a file for each."""


@dataclass(frozen=True)
class Admitted:
    """The note that an upload became a case, kept in the home: what a second message about it needs to know."""

    upload: str
    manifest_sha256: str
    case_id: str
    pipeline: str
    parameters: Mapping[str, Value]

    @property
    def run_id(self) -> str:
        """The id of the DAG run: the same for the same examination and parameters, whatever announced it."""
        if not self.parameters:
            return f"intake__{self.case_id}"
        text = json.dumps(dict(self.parameters), sort_keys=True)
        return f"intake__{self.case_id}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def write(self, home: Home) -> None:
        """Write the note; it appears whole."""
        place = _notes(home) / f"{self.upload}.json"
        draft = place.with_name(f".draft-{secrets.token_hex(8)}")
        draft.write_text(json.dumps(asdict(self), sort_keys=True) + "\n")
        draft.rename(place)

    @staticmethod
    def read(home: Home, message: Message) -> Admitted | None:
        """Return the note of an upload; raises `DataError` if its name was used for another one."""
        place = _notes(home) / f"{message.upload}.json"
        if not place.exists():
            return None
        note = Admitted(**json.loads(place.read_text()))
        if note.manifest_sha256 != message.manifest_sha256:
            raise DataError("another examination was admitted under the name of this upload; send it under a name of its own")
        return note


@dataclass(frozen=True)
class Outcome:
    """What became of an arrival: ``started``, ``running already`` or ``refused``."""

    state: str
    case_id: str = ""
    pipeline: str = ""
    run_id: str = ""


Start = Callable[[Admitted], bool]
"""Starts the DAG run of a case and returns whether it is new; starting it again changes nothing."""


def admit_next(arrivals: Arrivals, store: Store, here: Settings, start: Start) -> Outcome | None:
    """Take one arrival and return what became of it, or ``None`` where nothing has arrived.

    Raises
    ------
    TransientError
        If store, database or Airflow do not answer: the arrival is put off and comes again.
    """
    arrival = arrivals.take()
    if arrival is None:
        return None
    with arrivals.held(arrival):
        try:
            _require_progress(arrival, here)
            message = arrivals.message(arrival)
            with _one_at_a_time(here.home_folder, message.upload):
                admitted = Admitted.read(here.home_folder, message) or receive(message, store, here)
                # Also where another worker died after its note: the copy identifies a person.
                shutil.rmtree(_arriving(here.home_folder, message.upload), ignore_errors=True)
        except DataError as error:
            log.warning("refused an arrival: %s", error)
            _record_refusal(arrivals, arrival, here)
            arrivals.refuse(arrival, str(error))
            return Outcome("refused")
        new = start(admitted)
        arrivals.release(arrival)
    log.info("upload %s is case %s", message.upload, admitted.case_id)
    return Outcome("started" if new else "running already", admitted.case_id, admitted.pipeline, admitted.run_id)


def receive(message: Message, store: Store, here: Settings) -> Admitted:
    """Fetch an upload into the inbox, make and record its case, and leave a note of that.

    Raises
    ------
    DataError
        If the upload is not what its message and its manifest say, or not for this deployment.
    """
    home = here.home_folder
    arriving = _arriving(home, message.upload)
    arriving.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        upload = _announced(message, store, arriving, here)
        pipeline = pipeline_called(upload.pipeline)
        if not pipeline.unattended:
            raise DataError("no upload may begin a case of that pipeline; a person who may trigger its DAG can")
        parameters = pipeline.parse(dict(upload.parameters))
        study = fetch(upload, message.upload, store, arriving)
        if upload.envelope:
            study = opened(study, upload.envelope, here)
        case = admit(study, pipeline.name, home, region=upload.region, site=upload.site)
    except DataError:
        shutil.rmtree(arriving)
        raise
    record(case, upload, message.upload, here)
    admitted = Admitted(message.upload, message.manifest_sha256, case.case_id, pipeline.name, parameters)
    admitted.write(home)
    return admitted


def fetch(upload: Upload, name: str, store: Store, folder: Path) -> Path:
    """Return the folder with every file of an upload; one that an interrupted call fetched is not fetched again.

    Raises
    ------
    DataError
        If a file is missing, or is not the one that the manifest names.
    """
    study = folder / "study"
    study.mkdir(exist_ok=True)
    for number, file in enumerate(upload.files, start=1):
        place = study / Path(file.name).name
        if not place.exists() or sha256_path(place) != file.sha256:
            store.get_file(f"{name}/{file.name}", place)
            if sha256_path(place) != file.sha256 or place.stat().st_size != file.size_bytes:
                raise DataError(f"file {number} of {len(upload.files)} is not the one that the manifest names; send it again")
    # What an interrupted call began to fetch for another manifest.
    for stranger in {path.name for path in study.iterdir()} - {Path(file.name).name for file in upload.files}:
        (study / stranger).unlink()
    return study


def opened(study: Path, envelope: str, here: Settings) -> Path:
    """Return the folder with the files of an encrypted upload as they were; raises `DataError` if they cannot be read."""
    if not here.intake_key:
        raise DataError("the upload is encrypted and this platform has no key; set intake_key, then redrive it")
    key = unseal(envelope, Path(here.intake_key).expanduser())
    plain = study.with_name("opened")
    plain.mkdir(exist_ok=True)
    for path in sorted(study.iterdir()):
        decrypt(path, plain / path.name, key, f"{FILES}/{path.name}")
    return plain


def record(case: Case, upload: Upload, name: str, here: Settings) -> None:
    """Write the case's row and a line of the audit, so that it is known before anything is computed."""
    detail: dict[str, str | int] = {"upload": name, "study": upload.study, "files": len(upload.files)}
    with _results(here) as connection:
        upsert(connection, CaseRow, [case_row(case)])
        append_once(connection, action=Action.ADMITTED, case_id=case.case_id, site=case.site, detail=detail)


def _announced(message: Message, store: Store, folder: Path, here: Settings) -> Upload:
    """Return the upload whose manifest is the one that the message announces, if it may come in here."""
    text = manifest_text(store, message.upload, folder)
    if hashlib.sha256(text).hexdigest() != message.manifest_sha256:
        raise DataError("the manifest is not the one that was announced; send the examination again")
    upload = Upload.parse(text)
    if upload.region != here.region:
        raise DataError(
            f"an examination of region {upload.region} came to a deployment of region {here.region}; send it to its own region"
        )
    if (upload.pipeline, upload.site, upload.region) != (message.pipeline, message.site, message.region):
        raise DataError("the message says another pipeline, site or region than the manifest; send the examination again")
    return upload


def _record_refusal(arrivals: Arrivals, arrival: Arrival, here: Settings) -> None:
    site, detail = None, dict[str, str | int]()
    with suppress(DataError):
        message = arrivals.message(arrival)
        site, detail = message.site, {"upload": message.upload}
    with _results(here) as connection:
        append(connection, action=Action.DEAD_LETTERED, case_id=None, site=site, detail=detail)


@contextmanager
def _results(here: Settings) -> Iterator[Connection]:
    try:
        with transaction(here.results_url) as connection:
            yield connection
    except DataError as error:
        # It is the database that must be upgraded; the examination is none the worse.
        raise TransientError(str(error)) from error


def _require_progress(arrival: Arrival, here: Settings) -> None:
    if arrival.attempts > here.intake_attempts:
        raise DataError(
            f"taken {arrival.attempts - 1} times without coming to an end; see the logs of these attempts, then redrive it"
        )


@contextmanager
def _one_at_a_time(home: Home, upload: str) -> Iterator[None]:
    # Two messages about one upload at once: the second waits and finds the note.  The lock ends with its process.
    with (_notes(home) / f".lock-{int(upload, 16) % LOCKS:03x}").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _arriving(home: Home, upload: str) -> Path:
    return home.inbox / f".arriving-{upload}"


def _notes(home: Home) -> Path:
    folder = home.root / "intake"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
