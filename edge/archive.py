"""The two ways into an archive: C-STORE (PS3.4 annex B) and STOW-RS (PS3.18 section 10.5), an object at a time."""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydicom import dcmread
from pydicom.dataset import Dataset

from algorithms.contract.errors import DataError, TransientError
from edge.receipts import FAILED, REFUSED, SENT

MAX_PDU = 2**17
"""Largest piece that we take, bytes; small ones cost a turn each."""

WAIT_S = 60
"""Longest wait for an answer, s; an archive that writes to tape may take a while."""

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

DUPLICATE = 0x0111
"""Status: the archive has the object already (PS3.7 C.5.8)."""

WARNING = 0xB
"""First digit of a status that says: stored, though something was noticed."""

BUSY_HTTP = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP answers that ask for the same request later (RFC 9110)."""


@dataclass(frozen=True)
class Answer:
    """What became of one object: a state of `edge.receipts`, and the archive's own code."""

    state: str
    status: str


class Archive(Protocol):
    """An open way into an archive."""

    def send(self, path: Path) -> Answer:
        """Send the object in ``path``; raises `TransientError` where the archive cannot be talked to any more."""


@contextmanager
def open_archive(address: str, paths: Sequence[Path], token: str = "", tls: ssl.SSLContext | None = None) -> Iterator[Archive]:
    """Give the way into the archive at ``address`` for the objects in ``paths``.

    Parameters
    ----------
    address
        ``AET@host:port``, or the https URL of a DICOMweb service.
    paths
        What is to be sent: C-STORE agrees on kinds of objects beforehand.
    token
        Bearer token of the DICOMweb service.
    tls
        How to shake hands (`edge.tls.calling`): C-STORE is not encrypted without it, and https believes the system's issuers.

    Raises
    ------
    DataError
        If the address is neither.
    TransientError
        If the archive does not answer.
    """
    if address.startswith(("http://", "https://")):
        yield _Stow(address, token, tls)
        return
    title, _, place = address.partition("@")
    host, _, port = place.rpartition(":")
    if not title or len(title) > 16 or not host or not port.isdigit():
        raise DataError("the archive's address is neither AET@host:port nor an https URL; give one of them")
    with _association(title, (host, int(port)), paths, tls) as store:
        yield store


@contextmanager
def _association(title: str, place: tuple[str, int], paths: Sequence[Path], tls: ssl.SSLContext | None) -> Iterator[Archive]:
    from pynetdicom import AE

    entity = AE(ae_title="HEARTWOOD")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = WAIT_S
    entity.maximum_pdu_size = MAX_PDU
    for kind, syntax in sorted({_kind(path) for path in paths}):
        entity.add_requested_context(kind, syntax)
    require_listener(*place, tls)
    association = entity.associate(*place, ae_title=title, max_pdu=MAX_PDU, tls_args=(tls, place[0]) if tls else None)
    if association.is_rejected:
        raise DataError("the archive rejected the association; have HEARTWOOD and this machine entered there")
    if not association.is_established:
        raise TransientError("the archive does not answer; it is tried again")
    try:
        yield _Store(association)
    finally:
        if association.is_established:
            association.release()


def require_listener(host: str, port: int, tls: ssl.SSLContext | None) -> None:
    """Raise `TransientError` if nobody listens, whose socket pynetdicom would leave open, `DataError` if TLS fails."""
    try:
        with socket.create_connection((host, port), timeout=WAIT_S) as connection:
            if tls is not None:
                tls.wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        raise _not_believed(error) from None
    except ssl.SSLError as error:
        raise DataError(f"the archive does not speak TLS with us ({error.reason}); see the port and --certificate") from None
    except OSError as error:
        raise TransientError(f"the archive cannot be reached ({type(error).__name__}); it is tried again") from None


def _not_believed(error: ssl.SSLCertVerificationError) -> DataError:
    return DataError(f"the archive's certificate is not believed ({error.verify_message}); see --ca and the host's name")


def _kind(path: Path) -> tuple[str, str]:
    meta = dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True).file_meta
    return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)


class _Store:
    """C-STORE over an association."""

    def __init__(self, association: object) -> None:
        self._association = association

    def send(self, path: Path) -> Answer:
        """See `Archive.send`."""
        dataset = dcmread(path)
        try:
            status: Dataset = self._association.send_c_store(dataset)  # type: ignore[attr-defined]
        except ValueError:
            return Answer(REFUSED, "no presentation context")
        except RuntimeError:
            raise TransientError("the archive has ended the association; it is tried again") from None
        if "Status" not in status:
            raise TransientError("the archive has broken off; it is tried again")
        return stored(int(status.Status))


def stored(status: int) -> Answer:
    """Return what a C-STORE status means (PS3.4 table B.2-1): out of resources passes, a refusal of the data does not."""
    if status in {0, DUPLICATE} or status >> 12 == WARNING:
        return Answer(SENT, f"{status:04X}")
    return Answer(FAILED if status >> 8 == 0xA7 else REFUSED, f"{status:04X}")


class _Stow:
    """STOW-RS, one object a request, so that each has an answer of its own."""

    def __init__(self, url: str, token: str, tls: ssl.SSLContext | None) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise DataError("results are not sent without encryption; give an https URL")
        if not parts.hostname:
            raise DataError("the archive's URL names no host; give https://host/path")
        self._parts, self._token, self._tls = parts, token, tls

    def send(self, path: Path) -> Answer:
        """See `Archive.send`."""
        boundary = secrets.token_hex(16)
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": "application/dicom+json",
        }
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        body = head + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        connection = self._connection()
        try:
            connection.request("POST", f"{self._parts.path.rstrip('/')}/studies", body, headers)
            response = connection.getresponse()
            return answered(response.status, response.read())
        except ssl.SSLCertVerificationError as error:
            raise _not_believed(error) from None
        except (OSError, http.client.HTTPException) as error:
            raise TransientError(f"the archive cannot be reached ({type(error).__name__}); it is tried again") from None
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port = str(self._parts.hostname), self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=WAIT_S, context=self._tls or ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=WAIT_S)


def answered(code: int, body: bytes) -> Answer:
    """Return what a STOW-RS answer means for the one object that was sent (PS3.18 10.5.3, table 10.5.3-1)."""
    if code in BUSY_HTTP:
        return Answer(FAILED, str(code))
    try:
        told: Mapping[str, Mapping[str, list[Mapping[str, Mapping[str, list[int]]]]]] = json.loads(body)
        failed = told.get("00081198", {}).get("Value", [])
        there = told.get("00081199", {}).get("Value", [])
    except (ValueError, AttributeError):
        failed, there = [], []
    if failed:
        return stored(int(failed[0].get("00081197", {}).get("Value", [0xC000])[0]))
    if code in {200, 202} and there:
        return Answer(SENT, str(code))
    return Answer(REFUSED, str(code))
