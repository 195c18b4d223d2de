"""Certificates made on the fly: an issuer, and who it knows."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.tls import Tls


@dataclass(frozen=True)
class Issuer:
    """An issuer whose certificates lie in a folder."""

    folder: Path
    name: x509.Name
    key: ec.EllipticCurvePrivateKey

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def issued(self, name: str, host: str = "127.0.0.1") -> Tls:
        """Return a certificate for a host (an address), its key, and this issuer."""
        key = ec.generate_private_key(ec.SECP256R1())
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        _write(self.folder / f"{name}.pem", _certificate(_name(name), key, self.name, self.key, address))
        path = self.folder / f"{name}.key"
        path.touch(mode=0o600)
        path.write_bytes(_pem(key))
        return Tls(str(self.folder / f"{name}.pem"), str(path), str(self.ca))


def issuer(folder: Path) -> Issuer:
    """Return a new issuer."""
    folder.mkdir(parents=True)
    key, name = ec.generate_private_key(ec.SECP256R1()), _name(f"issuer {folder.name}")
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    _write(folder / "ca.pem", _certificate(name, key, name, key, constraints))
    return Issuer(folder, name, key)


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    by: x509.Name,
    by_key: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        by, subject, key.public_key(), x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=1)
    ).add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(by_key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
