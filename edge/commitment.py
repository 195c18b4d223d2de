"""Storage commitment: whoever has sent instances asks whether they are safe here, and is told of each (push model).

::

    home/commitments/<request>.json    what was asked and not answered yet; holds UIDs

A request is on the disk before it is accepted, and goes when its answer has arrived.  The answer goes to the caller's address
over an association of its own, tried again with growing pauses for a day; or, to a caller without one, over the association
on which it asked.

References
----------
DICOM PS3.4 annex J (N-ACTION and N-EVENT-REPORT, tables J.3-1 to J.3-3); PS3.3 C.14.1.1 (failure reasons).
"""

from __future__ import annotations

import json
import logging
import secrets
import sqlite3
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pynetdicom import AE, build_role
from pynetdicom.association import Association

from algorithms.contract.errors import DataError, TransientError
from algorithms.contract.vault import new_file
from edge.archive import require_listener
from edge.config import Listen
from edge.head import class_of
from edge.spool import Spool, Whereabouts
from edge.tls import calling

log = logging.getLogger(__name__)

CONTEXT = "1.2.840.10008.1.20.1"
INSTANCE = "1.2.840.10008.1.20.1.1"
"""Storage Commitment Push Model SOP Class and its well-known instance (PS3.4 J.3.5)."""

REQUEST, ALL_SAFE, SOME_FAILED = 1, 1, 2
"""Action type of the request, event types of the answer."""

SUCCESS, NOT_ALLOWED, NO_SUCH_ACTION, NO_SUCH_ARGUMENT, NO_ROOM = 0x0000, 0x0124, 0x0123, 0x0114, 0x0213
PROCESSING_FAILURE, NO_SUCH_INSTANCE, CLASS_CONFLICT = 0x0110, 0x0112, 0x0119
"""Failure reasons: we have two contents of it, none, or one of another class."""

TOLD, UNTOLD = "commitments told", "commitments untold"
"""What is counted."""

FIRST_WAIT_S, LONGEST_WAIT_S, PATIENCE_S = 10.0, 3600.0, 86400.0
"""Between tries, and after which nobody is told any more."""

POLL_S = 1.0
LINGER_S = 1.0
"""A caller without an address that waits for the answer is still there after this; one that releases is not held up."""

WAIT_S, GRACE_S = 30, 5
"""For the other side, and for an answer under way when we stop."""


@dataclass(frozen=True)
class Asked:
    """A request: ``instances`` are class and SOPInstanceUID of each; times are seconds since 1970."""

    transaction: str = field(repr=False)
    caller: str
    instances: list[list[str]] = field(repr=False)
    at: float
    attempts: int = 0
    next_try: float = 0.0


def answer(asked: Asked, spool: Spool) -> tuple[int, Dataset]:
    """Return the event type and what is told of each instance."""
    safe: list[Dataset] = []
    failed: list[Dataset] = []
    for class_uid, uid in asked.instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = class_uid, uid
        reason = _failure(class_uid, uid, spool)
        if reason:
            item.FailureReason = reason
        (failed if reason else safe).append(item)
    told = Dataset()
    told.TransactionUID = asked.transaction
    if safe:
        told.ReferencedSOPSequence = Items(safe)
    if failed:
        told.FailedSOPSequence = Items(failed)
    return (SOME_FAILED if failed else ALL_SAFE), told


def _failure(class_uid: str, uid: str, spool: Spool) -> int:
    """Return why an instance is not safe, 0 where it is."""
    place, path = spool.whereabouts(uid)
    if place == Whereabouts.UNKNOWN:
        return NO_SUCH_INSTANCE
    if place == Whereabouts.CONTRADICTED:
        return PROCESSING_FAILURE
    return CLASS_CONFLICT if path is not None and class_of(path) != class_uid else 0


class Commitments:
    """Takes requests and answers them from a thread of its own; `close` ends that."""

    def __init__(self, listen: Listen, spool: Spool) -> None:
        self._listen, self._spool = listen, spool
        self._folder = spool.home / "commitments"
        self._folder.mkdir(exist_ok=True, mode=0o700)
        self._open: dict[str, Association] = {}
        for draft in self._folder.glob(".*"):
            draft.unlink()  # of a process that was killed before it said yes
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="commitments", daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        """Return whether requests are answered."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop answering; what is open is answered after the next start."""
        self._stop.set()
        self._wake.set()
        self._thread.join(GRACE_S)

    def asked(self, event: Any) -> tuple[int, None]:
        """Answer one N-ACTION request: whether there will be an answer."""
        caller = str(event.assoc.requestor.ae_title).strip()
        if caller not in self._listen.commitment:
            return NOT_ALLOWED, None
        if event.action_type != REQUEST:
            return NO_SUCH_ACTION, None
        told: Dataset = event.action_information
        items = told.get("ReferencedSOPSequence") or []
        instances = [[str(item.get(k, "")) for k in ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")] for item in items]
        if not told.get("TransactionUID") or not instances or not all(all(pair) for pair in instances):
            return NO_SUCH_ARGUMENT, None
        request = secrets.token_hex(8)
        self._open[request] = event.assoc
        try:
            now = time.time()
            linger_s = 0.0 if self._listen.commitment[caller] else LINGER_S
            self._keep(request, Asked(str(told.TransactionUID), caller, instances, now, next_try=now + linger_s))
        except OSError as error:
            del self._open[request]
            log.error("a request for commitment was not taken: %s", error.strerror)
            return NO_ROOM, None
        self._wake.set()
        return SUCCESS, None

    def _keep(self, request: str, asked: Asked) -> None:
        draft = self._folder / f".{secrets.token_hex(8)}"
        with new_file(draft) as file:
            file.write(json.dumps(asdict(asked)).encode())
        draft.rename(self._path(request))

    def _path(self, request: str) -> Path:
        return self._folder / f"{request}.json"

    def _work(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(POLL_S)
            self._wake.clear()
            for path in sorted(self._folder.glob("*.json")):
                try:
                    self._attempt(path.stem, Asked(**json.loads(path.read_text())), time.time())
                except (OSError, ValueError, TypeError, sqlite3.Error) as error:
                    log.error("a request for commitment cannot be worked on (%s)", type(error).__name__)

    def _attempt(self, request: str, asked: Asked, now: float) -> None:
        """Answer a request if it is due, and put it off where that does not succeed."""
        if asked.next_try > now or self._stop.is_set():
            return
        address = self._listen.commitment.get(asked.caller)
        done = self._told_there(asked, address) if address else self._told_here(asked, self._open.get(request))
        if done or address is None or now - asked.at > PATIENCE_S:
            self._spool.count(TOLD if done else UNTOLD, now)
            self._path(request).unlink()
            self._open.pop(request, None)
            if not done:
                log.warning("%s was not told what is safe here: no answer, or it has gone", asked.caller)
            return
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**asked.attempts)
        self._keep(request, replace(asked, attempts=asked.attempts + 1, next_try=now + wait_s))

    def _told_here(self, asked: Asked, association: Association | None) -> bool:
        return association is not None and association.is_established and self._reported(asked, association)

    def _told_there(self, asked: Asked, address: str) -> bool:
        host, _, port = address.rpartition(":")
        tls = calling(self._listen.tls) if self._listen.tls else None
        entity = AE(ae_title=self._listen.ae_title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = WAIT_S
        entity.add_requested_context(CONTEXT)
        try:
            require_listener(host, int(port), tls)
        except (DataError, TransientError) as error:
            log.warning("%s cannot be told what is safe here: %s", asked.caller, error)
            return False
        # Whoever reports plays the service's provider, although it has called (PS3.4 J.3.3).
        association = entity.associate(
            host,
            int(port),
            ae_title=asked.caller,
            ext_neg=[build_role(CONTEXT, scp_role=True)],
            tls_args=(tls, host) if tls else None,
        )
        try:
            return association.is_established and self._reported(asked, association)
        finally:
            if association.is_established:
                association.release()

    def _reported(self, asked: Asked, association: Association) -> bool:
        event, told = answer(asked, self._spool)
        try:
            status, _ = association.send_n_event_report(told, event, CONTEXT, INSTANCE)
        except (RuntimeError, ValueError):  # ended meanwhile, or the other side does not speak of it
            return False
        return "Status" in status and status.Status == SUCCESS
