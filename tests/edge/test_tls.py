"""DICOM over TLS: who has no certificate of the issuer is not heard, and nobody is sent to who is not who they should be."""

from __future__ import annotations

import gc
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as s
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, Verification

from algorithms.contract.errors import DataError
from edge.archive import open_archive
from edge.listener import SUCCESS, Listener
from edge.spool import Spool
from edge.tls import Tls, calling, listening
from tests.edge.certificates import Issuer, issuer
from tests.edge.images import LISTEN, STORESCU, image, uids, written

pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <(ssl.SSLS|socket.s)ocket:pytest.PytestUnraisableExceptionWarning"
)
"""pynetdicom leaves the socket of a call that failed to the garbage collector; all such calls here are the test's own."""


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect that garbage here, and not in the middle of another test."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return issuer(tmp_path_factory.mktemp("tls") / "known")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "home", b"s" * 32)


@pytest.fixture
def listener(known: Issuer, spool: Spool) -> Iterator[Listener]:
    opened = Listener(replace(LISTEN, tls=known.issued("edge")), spool)
    yield opened
    opened.close(5)


def echo(port: int, tls: Tls | None, context: ssl.SSLContext | None = None) -> int | None:
    """Return the status of a C-ECHO, ``None`` where no association came about."""
    entity = AE(ae_title="SENDER")
    entity.add_requested_context(Verification)
    context = context or (calling(tls) if tls else None)
    association = entity.associate("127.0.0.1", port, ae_title="EDGE", tls_args=(context, "127.0.0.1") if context else None)
    status = association.send_c_echo().Status if association.is_established else None
    association.release()
    return status


def test_who_shows_a_certificate_of_the_issuer_is_heard_and_nobody_else(
    tmp_path: Path, known: Issuer, listener: Listener
) -> None:
    """By title, any of these might send."""
    stranger = issuer(tmp_path / "stranger").issued("sender")

    assert SUCCESS == echo(listener.port, known.issued("sender"))
    assert None is echo(listener.port, None)
    assert None is echo(listener.port, Tls(ca=str(known.ca)))
    assert None is echo(listener.port, replace(stranger, ca=str(known.ca)))
    assert SUCCESS == echo(listener.port, known.issued("sender"))


def test_without_issuers_anybody_may_call_by_tls(known: Issuer, spool: Spool) -> None:
    """The connection is encrypted, and the caller knows to whom it speaks."""
    listener = Listener(replace(LISTEN, tls=replace(known.issued("edge"), ca=None)), spool)

    answers = [echo(listener.port, Tls(ca=str(known.ca))), echo(listener.port, None)]
    listener.close(5)
    assert [SUCCESS, None] == answers


def test_an_independent_program_sends_by_tls(tmp_path: Path, known: Issuer, spool: Spool, listener: Listener) -> None:
    """The program storescu of dcmtk with its default profile (Non-Downgrading BCP 195)."""
    if not STORESCU.exists():
        pytest.skip("Debian's dcmtk is not installed")
    folder = written(tmp_path / "study", [image("1.2.3", number) for number in range(3)])
    sender = known.issued("sender")
    command = [str(STORESCU), "-aet", "SENDER", "-aec", "EDGE", "+tls", str(sender.key), str(sender.certificate)]
    done = subprocess.run(
        [*command, "+cf", str(known.ca), "+sd", "127.0.0.1", str(listener.port), str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (0, 3) == (done.returncode, len(uids(spool.home / "studies"))), done.stdout + done.stderr


def test_old_versions_and_ciphers_are_not_spoken(known: Issuer, listener: Listener) -> None:
    """TLS 1.1, and a key exchange of TLS 1.2 without forward secrecy; the same caller is heard by what is good."""
    old, plain = calling(known.issued("sender")), calling(known.issued("sender"))
    for context in (old, plain):
        context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    plain.maximum_version = ssl.TLSVersion.TLSv1_2
    plain.set_ciphers("AES256-GCM-SHA384")

    assert [None, None] == [echo(listener.port, None, context) for context in (old, plain)]
    plain.set_ciphers("ECDHE+AESGCM")
    assert SUCCESS == echo(listener.port, None, plain)


def test_one_who_connects_and_says_nothing_holds_up_nobody(known: Issuer, listener: Listener) -> None:
    """A probe of the port, or a scanner that hangs in its handshake."""
    with socket.create_connection(("127.0.0.1", listener.port)):
        assert SUCCESS == echo(listener.port, known.issued("sender"))


@pytest.fixture
def archive(known: Issuer) -> Iterator[tuple[str, list[str]]]:
    """An archive that demands certificates, and what it got."""
    seen: list[str] = []

    def store(event: evt.Event) -> int:
        seen.append(str(event.request.AffectedSOPInstanceUID))
        return SUCCESS

    entity = AE(ae_title="ARCHIVE")
    entity.add_supported_context(CTImageStorage, ExplicitVRLittleEndian)
    context = listening(known.issued("archive"))
    handlers = [(evt.EVT_C_STORE, store)]
    server = entity.start_server(("127.0.0.1", 0), block=False, ssl_context=context, evt_handlers=handlers)
    assert server is not None
    try:
        yield f"ARCHIVE@127.0.0.1:{server.socket.getsockname()[1]}", seen
    finally:
        server.shutdown()


def test_results_go_by_tls_to_an_archive_that_is_who_it_should_be(
    tmp_path: Path, known: Issuer, archive: tuple[str, list[str]]
) -> None:
    """Both show a certificate of the issuer."""
    (path,) = written(tmp_path / "study", [image("1.2.3")]).iterdir()
    address, seen = archive
    with open_archive(address, [path], tls=calling(known.issued("sender"))) as opened:
        answer = opened.send(path)

    assert ("sent", [image("1.2.3").SOPInstanceUID]) == (answer.state, seen)


def test_an_archive_that_cannot_prove_who_it_is_gets_nothing(tmp_path: Path, archive: tuple[str, list[str]]) -> None:
    """Of another issuer than ours; or it speaks no TLS at all."""
    (path,) = written(tmp_path / "study", [image("1.2.3")]).iterdir()
    stranger = issuer(tmp_path / "stranger")
    address, seen = archive
    with pytest.raises(DataError, match="not believed"), open_archive(address, [path], tls=calling(stranger.issued("s"))):
        pass
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        plain = f"ARCHIVE@127.0.0.1:{server.getsockname()[1]}"

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"this is no TLS\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with (
            pytest.raises(DataError, match="does not speak TLS"),
            open_archive(plain, [path], tls=calling(stranger.issued("s"))),
        ):
            pass
        thread.join()
    assert [] == seen


def test_a_certificate_for_another_host_is_not_believed(tmp_path: Path, known: Issuer, spool: Spool) -> None:
    """Or any machine of the hospital that has a certificate could be the archive."""
    (path,) = written(tmp_path / "study", [image("1.2.3")]).iterdir()
    listener = Listener(replace(LISTEN, tls=known.issued("other", "127.0.0.9")), spool)
    tls = calling(known.issued("sender"))
    with pytest.raises(DataError, match="not believed"), open_archive(f"EDGE@127.0.0.1:{listener.port}", [path], tls=tls):
        pass
    listener.close(5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"certificate": "none"}, "cannot be used", id="no certificate"),
        pytest.param({"key": "none"}, "cannot be read", id="no key"),
        pytest.param({"key": "open"}, "everybody can read it", id="a key for everybody"),
        pytest.param({"key": "other"}, "belong together", id="another key"),
        pytest.param({"key": "locked"}, "without a password", id="a key with a password"),
        pytest.param({"ca": "none"}, "issuers for TLS", id="no issuers"),
        pytest.param({"ca": "open"}, "issuers for TLS", id="issuers that are none"),
    ],
)
def test_files_that_are_not_what_they_should_be_are_said(
    tmp_path: Path, known: Issuer, changes: dict[str, str], message: str
) -> None:
    """In a sentence, and without asking for a password on a terminal that a service does not have."""
    good = known.issued("edge")
    key = s.load_pem_private_key(Path(str(good.key)).read_bytes(), None)
    locked = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"word"))
    (tmp_path / "locked").write_bytes(locked)
    (tmp_path / "other").write_bytes(Path(str(known.issued("another").key)).read_bytes())
    for name in ("locked", "other"):
        (tmp_path / name).chmod(0o600)
    (tmp_path / "open").write_text("nothing")
    (tmp_path / "open").chmod(0o644)

    with pytest.raises(DataError, match=message):
        listening(replace(good, **{name: str(tmp_path / file) for name, file in changes.items()}))
