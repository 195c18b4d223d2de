"""Receives images from modalities and PACS by C-STORE, answers C-ECHO, and takes requests for storage commitment.

The data set is written as it came; only its first elements are read, to see which study it belongs to.  Success is answered
when `edge.spool` says that the instance would survive a power loss, and never before.

References
----------
DICOM PS3.4 annex B (Storage Service Class), table B.2-1 (status codes); PS3.7 section 9.1.1; PS3.10 section 7.1.
"""

from __future__ import annotations

import logging
import socket
import sqlite3
import threading
import time
from typing import Any, cast

from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts, VerificationPresentationContexts, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import ThreadedAssociationServer

from algorithms.contract.errors import DataError
from edge.commitment import CONTEXT as COMMITMENT
from edge.commitment import Commitments
from edge.config import Listen
from edge.head import head_of, part_10
from edge.spool import Arrived, Spool
from edge.tls import listening

log = logging.getLogger(__name__)

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000

FULL, REFUSED = "full", "refused"
"""What is counted beside the kinds of `Arrived`: instances for which there was no room, and those that are no DICOM."""

GREETING_S = 10
"""Whoever connects and asks for no association within this time takes the place of one no longer (a probe of the port)."""

QUIET_S = 0.05
"""Between two looks for associations that are still open."""


class Server(ThreadedAssociationServer):
    """Shakes hands in the connection's own thread; in pynetdicom's one who connects and says nothing holds up all others."""

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Return a connection as it came."""
        connection, address = cast(socket.socket, self.socket).accept()
        return connection, address

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Take one connection, after the handshake where there is one."""
        if self.ssl_context is not None:
            request.settimeout(GREETING_S)
            try:
                request = self.ssl_context.wrap_socket(request, server_side=True)
            except OSError as error:
                log.warning("a connection was refused: no TLS (%s)", getattr(error, "reason", None) or type(error).__name__)
                self.shutdown_request(request)
                return
            request.settimeout(None)
        super().process_request_thread(request, client_address)


class Listener:
    """An open port; `close` ends it."""

    def __init__(self, listen: Listen, spool: Spool) -> None:
        self._listen = listen
        self._spool = spool
        self._commitments = Commitments(listen, spool) if listen.commitment else None
        self._ae = AE(ae_title=listen.ae_title)
        self._ae.require_called_aet = True
        self._ae.require_calling_aet = listen.callers
        self._ae.maximum_associations = listen.max_associations
        self._ae.maximum_pdu_size = listen.max_pdu_bytes
        self._ae.acse_timeout = GREETING_S
        for context in AllStoragePresentationContexts:
            self._ae.add_supported_context(str(context.abstract_syntax), AllTransferSyntaxes)
        for context in VerificationPresentationContexts:
            self._ae.add_supported_context(str(context.abstract_syntax))
        if self._commitments:
            self._ae.add_supported_context(COMMITMENT)
        # pynetdicom's own lines repeat what the other side says, names of patients included.
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store), (evt.EVT_C_ECHO, lambda _: SUCCESS)]
        if self._commitments:
            handlers.append((evt.EVT_N_ACTION, self._commitments.asked))
        others = set(threading.enumerate())
        self._server: Any = self._ae.make_server(
            (listen.address, listen.port),
            evt_handlers=handlers,
            ssl_context=listening(listen.tls) if listen.tls else None,
            server_class=Server,
        )
        self._ae._servers.append(self._server)  # as its start_server does, so that its shutdown ends this one too
        threading.Thread(target=self._server.serve_forever, name="listener", daemon=True).start()
        self._threads = [thread for thread in threading.enumerate() if thread not in others]
        log.info("listening on port %d", self.port)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.socket.getsockname()[1])

    def accepted(self) -> list[PresentationContext]:
        """Return what a caller may propose."""
        return list(self._ae.supported_contexts)

    def alive(self) -> bool:
        """Return whether associations are taken."""
        return all(thread.is_alive() for thread in self._threads) and (not self._commitments or self._commitments.alive())

    def close(self, patience_s: float) -> None:
        """Take no more associations, and end those that have not ended by themselves after ``patience_s``."""
        until = time.monotonic() + patience_s
        self._server.shutdown()
        while any(a.is_established for a in self._ae.active_associations) and time.monotonic() < until:
            time.sleep(QUIET_S)
        self._ae.shutdown()
        if self._commitments:
            self._commitments.close()

    def _store(self, event: evt.Event) -> int:
        """Answer one C-STORE request; no exception leaves this, because pynetdicom would log what it holds."""
        now = time.time()
        try:
            return self._kept(event, now)
        except (OSError, sqlite3.OperationalError) as error:
            reason = error.strerror if isinstance(error, OSError) else error.sqlite_errorname
            log.error("an instance was not taken, because it could not be kept: %s", reason)
            _counted(self._spool, FULL, now)
            return OUT_OF_RESOURCES

    def _kept(self, event: evt.Event, now: float) -> int:
        if self._spool.free_bytes() < self._listen.least_free_mib * 2**20:
            log.error("an instance was not taken: less than %d MiB are free", self._listen.least_free_mib)
            _counted(self._spool, FULL, now)
            return OUT_OF_RESOURCES
        request: Any = event.request
        content = request.DataSet.getbuffer() if request.DataSet else memoryview(b"")
        transfer_syntax = str(event.context.transfer_syntax)
        try:
            head = head_of(content, transfer_syntax)
        except DataError as error:
            log.warning("an instance was not taken: %s", error)
            self._spool.count(REFUSED, now)
            return CANNOT_UNDERSTAND
        if head.SOPInstanceUID != str(request.AffectedSOPInstanceUID):
            log.warning("an instance was not taken: the request names another one than its data set")
            self._spool.count(REFUSED, now)
            return DOES_NOT_MATCH
        caller = str(event.assoc.requestor.ae_title)
        meta = part_10(str(request.AffectedSOPClassUID), head.SOPInstanceUID, transfer_syntax, caller)
        if self._spool.receive(head, transfer_syntax, meta, content, now) == Arrived.OTHER_BYTES:
            log.warning("an instance has the UID of another one that is here, with other bytes; it is kept aside")
        return SUCCESS


def _counted(spool: Spool, name: str, now: float) -> None:
    """Count what may be wrong with the very disk that holds the count."""
    try:
        spool.count(name, now)
    except sqlite3.Error:
        log.error("the spool's database cannot be written")
