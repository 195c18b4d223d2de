"""What is done with a whole study: de-identify, encrypt, upload, announce; each step once, in order, and again after a kill.

::

    work/<study>/<revision>/deidentified/     images without identity, and privacy.json
    work/<study>/<revision>/sealed/           the same encrypted, by the names under which they go up
    work/<study>/<revision>/upload.json       the manifest of the upload

A step reads what the one before it left, and counts as done when the spool says so; one that was killed is done again.
Uploading goes on with what the store has.  Announcing is repeated where a kill came between the message and its record, and
the platform takes both messages for the same upload.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from algorithms.contract.case import Home
from algorithms.contract.disk import flush
from algorithms.contract.envelope import seal
from algorithms.contract.errors import TransientError, failure_kind
from algorithms.contract.intake import Upload, announcement
from algorithms.contract.store import open_store
from algorithms.contract.vault import data_key, destroy_key
from edge.config import Config
from edge.database import Step, Study
from edge.deidentifier import Deidentifier, Request, images
from edge.spool import Spool
from edge.upload import keyed, named_files, put, sealed_files, upload_id

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 3600.0
DAY_S = 86400.0
MANIFEST = "upload.json"


@dataclass(frozen=True)
class Place:
    """What the steps share."""

    config: Config
    home: Home
    spool: Spool
    deidentify: Deidentifier
    stop: threading.Event

    def key(self) -> bytes:
        """Return the appliance's secret."""
        return bytes.fromhex(self.home.secret().read_text().strip())

    def folder(self, study: Study) -> Path:
        """Return where the steps of this revision of a study leave what they made."""
        return self.spool.work(study.study) / str(study.revision)


def work(place: Place) -> int:
    """Do what is due now, one step of one study after the other, and return how many steps ended well."""
    done = 0
    for study in place.spool.studies():
        now = time.time()
        if place.stop.is_set():
            break
        if study.step == Step.DISCARDED or _outlived(study, place.config, now):
            if place.spool.erase(study):
                destroy_key(place.home, study.study)
        elif not study.dead and study.next_try <= now and study.step in STEPS and _whole(study, place, now):
            done += _attempt(study, place)
    return done


def _outlived(study: Study, config: Config, now: float) -> bool:
    return study.step == Step.ANNOUNCED and now - study.step_at >= config.keep_days * DAY_S


def _whole(study: Study, place: Place, now: float) -> bool:
    """Return whether a study can be worked on: all of it has come, or nothing more seems to come."""
    if study.step != Step.RECEIVING or (study.expected is not None and study.instances >= study.expected):
        return True
    quiet_s = now - study.last_arrival
    if study.expected is None:
        return quiet_s >= place.config.complete.stable_s
    if quiet_s >= place.config.complete.patience_s:
        place.spool.give_up(
            study,
            f"{study.instances} of {study.expected} instances have come; have the rest sent, or redrive it to send these",
        )
    return False


def _attempt(study: Study, place: Place) -> bool:
    """Do the next step of a study and return whether it ended well; what went wrong is recorded with the study."""
    step, function = STEPS[study.step]
    now = time.time()
    try:
        function(study, place)
    except Exception as error:  # noqa: BLE001 - the outermost frame of a step: every failure is recorded and the next study goes on
        if place.stop.is_set():
            return False
        kind = failure_kind(error)
        place.spool.count(f"failed {kind}", now)
        # A bug's text may hold anything: its type and place are enough for a developer.
        told = type(error).__name__ if kind == "bug" and not isinstance(error, OSError) else str(error)
        reason = (error.strerror or told) if isinstance(error, OSError) else told  # an OSError's text names files
        log.error("study %s did not get to %s (%s): %s", study.study, step, kind, reason)
        if kind == "data" or study.attempts + 1 >= place.config.send.attempts:
            place.spool.give_up(study, reason)
        else:
            wait_s = min(LONGEST_WAIT_S, place.config.send.first_wait_s * 2**study.attempts)
            place.spool.put_off(study, now + wait_s)
        return False
    if place.spool.advance(study, step, time.time()):
        log.info("study %s is %s, %d instances, in %.1f s", study.study, step, study.instances, time.time() - now)
        if step == Step.ANNOUNCED:
            shutil.rmtree(place.spool.work(study.study), ignore_errors=True)
        return True
    return False


def deidentify(study: Study, place: Place) -> None:
    """Make ``deidentified/`` of the originals."""
    work_folder = place.spool.work(study.study)
    # Of an earlier revision, or of a try that was killed.
    shutil.rmtree(work_folder, ignore_errors=True)
    draft = work_folder / f"draft-{secrets.token_hex(4)}"
    (draft / "out").mkdir(parents=True)
    request = Request(place.spool.folder(study.study), draft / "out", draft / "quarantine")
    place.deidentify(request, place.stop)
    _kept(request.quarantine, place.spool.home / "quarantine" / study.study)
    found = set(images(request.target))
    records = draft / "records"
    records.mkdir()
    for path in sorted(p for p in request.target.rglob("*") if p.is_file() and p not in found):
        path.rename(records / path.name)  # what the engine says of its work stays here
    _kept(records, place.spool.home / "records" / study.study)
    flush(request.target)
    place.folder(study).mkdir()
    request.target.rename(place.folder(study) / "deidentified")


def _kept(folder: Path, place: Path) -> None:
    """Move a folder to its place, instead of what an earlier try has left there."""
    shutil.rmtree(place, ignore_errors=True)
    if folder.exists():
        place.parent.mkdir(exist_ok=True, mode=0o700)
        folder.rename(place)


def encrypt_files(study: Study, place: Place) -> None:
    """Make ``sealed/`` and the manifest; equal images are encrypted to equal bytes, so that a repeated upload is the same."""
    folder = place.folder(study)
    key = data_key(place.home, study.study)
    shutil.rmtree(folder / "sealed", ignore_errors=True)
    (folder / "sealed").mkdir()
    files = [file for file, _ in sealed_files(named_files(folder / "deidentified"), folder / "sealed", key)]
    send = place.config.send
    manifest = Upload(
        pipeline=send.pipeline,
        site=send.site,
        region=send.region,
        study=keyed(place.key(), f"study {study.study}"),
        files=files,
        envelope=seal(key, send.seal_for),
    )
    (folder / MANIFEST).write_bytes(manifest.text())
    flush(folder)


def upload(study: Study, place: Place) -> None:
    """Store the encrypted files, the manifest last."""
    manifest = Upload.parse((place.folder(study) / MANIFEST).read_bytes())
    paths = {file.name: place.folder(study) / "sealed" / Path(file.name).name for file in manifest.files}
    put(manifest, paths, open_store(place.config.send.store), place.key())


def announce(study: Study, place: Place) -> None:
    """Send the message that tells the platform, where it reads a queue."""
    if place.config.send.queue is None:
        return
    text = (place.folder(study) / MANIFEST).read_bytes()
    _send(place.config.send.queue, announcement(upload_id(text, place.key()), text).text())


def _send(queue: str, message: str) -> None:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        boto3.client("sqs").send_message(QueueUrl=queue, MessageBody=message)
    except (BotoCoreError, ClientError) as error:
        raise TransientError(f"the queue did not take the message ({type(error).__name__}); look at send.queue") from error


STEPS: Mapping[Step, tuple[Step, Callable[[Study, Place], None]]] = {
    Step.RECEIVING: (Step.DEIDENTIFIED, deidentify),
    Step.DEIDENTIFIED: (Step.SEALED, encrypt_files),
    Step.SEALED: (Step.SENT, upload),
    Step.SENT: (Step.ANNOUNCED, announce),
}
"""From how far a study has come to the next step and what does it."""
