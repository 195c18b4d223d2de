"""DICOM over TLS: both sides show certificates, or the listening one alone.

References
----------
RFC 9325 (BCP 195); DICOM PS3.15 B.10 (Non-Downgrading BCP 195 TLS Profile): TLS 1.2 or later, forward secrecy, authenticated
ciphers.
"""

from __future__ import annotations

import ssl
import stat
from dataclasses import dataclass
from pathlib import Path

from algorithms.contract.errors import DataError

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM"
"""Of TLS 1.2 (RFC 9325 section 4.2); those of TLS 1.3 are all good."""


@dataclass(frozen=True)
class Tls:
    """Files in PEM: our certificate (with those between it and its issuer) and its key, and the issuers that we believe.

    A listener with a ``ca`` demands certificates of those who call; a caller without one believes the system's issuers.
    """

    certificate: str | None = None
    key: str | None = None
    ca: str | None = None


def listening(tls: Tls) -> ssl.SSLContext:
    """Return how a listener shakes hands; raises `DataError` if a file is not what it should be."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, tls)
    if tls.ca:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def calling(tls: Tls) -> ssl.SSLContext:
    """Return how a caller shakes hands; raises `DataError` if a file is not what it should be."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, tls)
    if not tls.ca:
        context.load_default_certs()
    return context


def _context(protocol: int, tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    if tls.certificate and tls.key:
        _require_private(Path(tls.key))
        try:
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(tls.certificate, tls.key, password="")
        except OSError as error:
            raise DataError(
                f"certificate and key for TLS cannot be used ({_reason(error)}); wanted two PEM files that belong together, "
                "the key without a password"
            ) from None
    if tls.ca:
        try:
            context.load_verify_locations(tls.ca)
        except OSError as error:
            raise DataError(f"the issuers for TLS (ca) cannot be used ({_reason(error)}); wanted a PEM file") from None
    return context


def _require_private(key: Path) -> None:
    try:
        mode = stat.S_IMODE(key.stat().st_mode)
    except OSError as error:
        raise DataError(f"the key for TLS cannot be read ({error.strerror}); name a PEM file") from None
    if mode & 0o007:
        raise DataError(f"the key for TLS has mode {mode:04o}: everybody can read it; run chmod o= on it and make a new one")


def _reason(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error.strerror or "damaged")
