"""Every object arrives once, each with a receipt; what fails is tried again, and what nobody released stays here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt

from algorithms.contract.case import Home
from algorithms.contract.errors import EXIT_DATA, EXIT_TRANSIENT, DataError
from algorithms.contract.identity import record_of, remember
from algorithms.contract.manifest import Manifest, written
from algorithms.dicom.identity import identity_of
from edge.archive import answered, stored
from edge.audit import audit_path
from edge.deliver import deliver, main, objects_of, results_of
from edge.receipts import Receipts, open_receipts
from tests.algorithms.dicom.results import small
from tests.services import free_port

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three objects of one case."""
    folder = tmp_path_factory.mktemp("results")
    small.received(folder / "originals")
    return small.results(folder / "results", small.deidentified(folder / "images", folder / "originals"))


@pytest.fixture
def receipts(tmp_path: Path) -> Iterator[Receipts]:
    with open_receipts(tmp_path / "receipts.sqlite") as opened:
        yield opened


def store_of(seen: list[str], answer: Callable[[int], int | None]) -> Iterator[str]:
    """Run an archive that answers the n-th object with a status, or ends the association where there is none."""

    def on_store(event: evt.Event) -> int:
        seen.append(str(event.request.AffectedSOPInstanceUID))
        status = answer(len(seen))
        if status is None:
            event.assoc.abort()
            return 0xC000
        return status

    entity = AE(ae_title="ARCHIVE")
    kinds = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.104.1")
    for kind in kinds:
        entity.add_supported_context(kind, ExplicitVRLittleEndian)
    port = free_port()
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)])
    try:
        yield f"ARCHIVE@127.0.0.1:{port}"
    finally:
        server.shutdown()


archive = contextmanager(store_of)


@contextmanager
def web_archive(seen: list[dict[str, str]], answer: Callable[[int], tuple[int, bytes]]) -> Iterator[str]:
    """Run a DICOMweb service that answers the n-th request as told."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append(
                {"path": self.path, "type": self.headers["Content-Type"], "auth": self.headers.get("Authorization", "")}
            )
            seen[-1]["magic"] = str(body.partition(b"\r\n\r\n")[2][128:132])
            code, text = answer(len(seen))
            self.send_response(code)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
    finally:
        server.shutdown()
        server.server_close()


def paths_of(results: Path) -> list[Path]:
    return objects_of(results, preliminary=False)


def test_every_object_arrives_and_a_second_delivery_sends_nothing(results, receipts):
    """The receipts alone decide: the archive is not even called."""
    seen: list[str] = []
    with archive(seen, lambda _: 0) as address:
        first = deliver(paths_of(results), address, receipts)
    second = deliver(paths_of(results), address, receipts)  # nobody listens there any more

    assert first == {"there_before": 0, "sent": 3, "refused": 0, "failed": 0}
    assert second == {"there_before": 3, "sent": 0, "refused": 0, "failed": 0}
    assert sorted(seen) == sorted(str(pydicom.dcmread(path).SOPInstanceUID) for path in paths_of(results))
    assert {(r.state, r.status, r.attempts) for r in receipts.all()} == {("sent", "0000", 1)}


def test_what_failed_is_tried_again_and_nothing_else(results, receipts):
    """The second of three meets a full disk (A700) once."""
    seen: list[str] = []
    with archive(seen, lambda n: 0xA700 if n == 2 else 0) as address:
        done = deliver(paths_of(results), address, receipts, wait_s=0.01)

    assert done == {"there_before": 0, "sent": 3, "refused": 0, "failed": 0}
    assert len(seen) == 4
    assert seen[1] == seen[3]
    assert sorted(r.attempts for r in receipts.all()) == [1, 1, 2]


def test_a_broken_association_loses_nothing(results, receipts):
    """The archive goes away in the middle; what it had acknowledged is not sent again."""
    seen: list[str] = []
    with archive(seen, lambda n: None if n == 2 else 0) as address:
        done = deliver(paths_of(results), address, receipts, wait_s=0.01)

    assert done["sent"] == 3
    assert seen.count(seen[0]) == 1
    assert {r.state for r in receipts.all()} == {"sent"}


def test_what_the_archive_refuses_is_not_tried_again_by_itself(results, receipts):
    """A person must see to it (C000: cannot understand); the others arrive."""
    seen: list[str] = []
    with archive(seen, lambda n: 0xC000 if n == 1 else 0) as address:
        done = deliver(paths_of(results), address, receipts, wait_s=0.01)

    assert done == {"there_before": 0, "sent": 2, "refused": 1, "failed": 0}
    assert len(seen) == 3


def test_an_archive_that_is_down_leaves_everything_to_be_sent_later(results, receipts):
    """Exit code 75; the same command goes on when it is back."""
    down = deliver(paths_of(results), f"ARCHIVE@127.0.0.1:{free_port()}", receipts, attempts=2, wait_s=0.01)

    assert down == {"there_before": 0, "sent": 0, "refused": 0, "failed": 3}
    assert {(r.state, r.attempts) for r in receipts.all()} == {("failed", 2)}


def test_another_object_under_a_uid_that_was_sent_is_refused_here(results, receipts, tmp_path):
    """An archive would keep the first one in silence, and a wrong answer would stand."""
    with archive([], lambda _: 0) as address:
        deliver(paths_of(results), address, receipts)
    dataset = pydicom.dcmread(results / "report.dcm")
    dataset.DocumentTitle = "Another report"
    dataset.save_as(tmp_path / "report.dcm")

    with pytest.raises(DataError, match="with other content"):
        deliver([tmp_path / "report.dcm"], address, receipts)


def test_nothing_preliminary_is_sent_unless_it_is_wished_for(results, tmp_path):
    """A value that nobody released, in the archive, is read as an answer."""
    dataset = pydicom.dcmread(results / "report.dcm")
    dataset.SeriesDescription = "PRELIMINARY A report"
    dataset.save_as(tmp_path / "report.dcm")

    with pytest.raises(DataError, match="1 of 1 objects are preliminary"):
        objects_of(tmp_path, preliminary=False)
    assert objects_of(tmp_path, preliminary=True) == [tmp_path / "report.dcm"]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        pytest.param(0x0000, "sent", id="success"),
        pytest.param(0xB000, "sent", id="coerced"),
        pytest.param(0x0111, "sent", id="there already"),
        pytest.param(0xA700, "failed", id="out of resources"),
        pytest.param(0xA900, "refused", id="does not match its class"),
        pytest.param(0xC123, "refused", id="cannot understand"),
        pytest.param(0x0122, "refused", id="class not supported"),
    ],
)
def test_a_status_means_what_the_standard_says(status, state):
    """PS3.4 table B.2-1 and PS3.7 annex C."""
    assert stored(status).state == state


THERE = b'{"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["2.25.1"]}}]}}'
FULL = b'{"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [42752]}}]}}'


@pytest.mark.parametrize(
    ("code", "body", "state"),
    [
        pytest.param(200, THERE, "sent", id="stored"),
        pytest.param(202, THERE, "sent", id="stored with warnings"),
        pytest.param(409, FULL, "failed", id="out of resources"),
        pytest.param(409, b"{}", "refused", id="refused without a reason"),
        pytest.param(503, b"", "failed", id="busy"),
        pytest.param(401, b"who are you", "refused", id="not allowed"),
        pytest.param(200, b"<html>", "refused", id="something that is no DICOMweb service"),
    ],
)
def test_an_answer_of_the_web_service_means_what_the_standard_says(code, body, state):
    """PS3.18 10.5.3: a 200 counts only with the object named in it."""
    assert answered(code, body).state == state


def test_objects_go_by_the_web_one_a_request_with_the_token(results, receipts):
    """The second answer is a gateway's; its object alone is sent again."""
    seen: list[dict[str, str]] = []
    with web_archive(seen, lambda n: (502, b"") if n == 2 else (200, THERE)) as address:
        done = deliver(paths_of(results), address, receipts, token="abc", wait_s=0.01)

    assert done["sent"] == 3
    assert len(seen) == 4
    assert {(s["path"], s["auth"], s["magic"]) for s in seen} == {("/dicom-web/studies", "Bearer abc", "b'DICM'")}
    assert all('type="application/dicom"' in s["type"] for s in seen)


@pytest.mark.parametrize("address", ["http://example.org/dicom-web", "nowhere", "AET@host", "A-TITLE-THAT-IS-TOO-LONG@h:104"])
def test_a_bad_address_is_refused_before_anything_is_sent(results, receipts, address):
    """Without encryption an identity would be read on the way."""
    with pytest.raises(DataError, match="https URL"):
        deliver(paths_of(results), address, receipts)


def test_receipts_hold_no_value_of_the_patient(results, tmp_path):
    """UIDs, hashes and codes; the file is its owner's."""
    with archive([], lambda _: 0) as address, open_receipts(tmp_path / "r.sqlite") as opened:
        deliver(paths_of(results), address, opened)

    content = (tmp_path / "r.sqlite").read_bytes()
    assert small.PSEUDONYM.encode() not in content
    assert (tmp_path / "r.sqlite").stat().st_mode & 0o077 == 0


def test_a_cases_own_objects_are_found_and_verified(results, tmp_path):
    """By the manifest; no answer, or two of them, or one that was changed since, is for a person."""
    with pytest.raises(DataError, match="0 results of its stage exchange"):
        results_of(tmp_path)

    for key in ("a" * 12, "b" * 12):
        folder = tmp_path / "exchange" / key
        shutil.copytree(results, folder / "dicom_results")
        outputs = {"dicom_results": written(folder, "dicom_results", collection=False)}
        Manifest(key, "coronary", "exchange", "a test", 1, {}, {}, outputs, {}, 0.0, 0.0, 0.0).write(folder)
        if key.startswith("a"):
            assert results_of(tmp_path) == folder / "dicom_results"
    with pytest.raises(DataError, match="2 results of its stage exchange"):
        results_of(tmp_path)
    shutil.rmtree(tmp_path / "exchange" / ("b" * 12))
    (tmp_path / "exchange" / ("a" * 12) / "dicom_results" / "report.dcm").write_bytes(b"changed")
    with pytest.raises(DataError, match="dicom_results"):
        results_of(tmp_path)


def test_objects_become_the_patients_on_their_way_and_lie_nowhere_after_it(results, tmp_path, capsys):
    """Given twice, the command makes the same objects and sends them once; without a home there is no way to the patient."""
    home = Home(tmp_path / "home")
    originals = results.parent / "originals"
    identity = identity_of(originals, [path.name for path in originals.iterdir()], small.SECRET)
    study = str(pydicom.dcmread(results / "report.dcm").StudyInstanceUID)
    remember(home, record_of(home, study), identity)
    seen: list[str] = []
    with archive(seen, lambda _: 0) as address:
        command = ["--results", str(results), "--to", address, "--receipts", str(tmp_path / "r"), "--attempts", "1"]
        codes = [main([*command, "--home", str(home.root)]) for _ in range(2)]
        lost = main([*command, "--pseudonyms", str(tmp_path / "p.json")])

    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert ([0, 0], EXIT_DATA) == (codes, lost)
    assert [(3, 0), (0, 3)] == [(line["sent"], line["there_before"]) for line in told]
    assert not set(seen) & {str(pydicom.dcmread(path).SOPInstanceUID) for path in paths_of(results)}
    assert not list((home.root / "delivering").rglob("*.dcm"))
    assert len(audit_path(home).read_text().splitlines()) == 2


def test_from_a_shell_the_exit_code_tells_who_must_act(results, tmp_path):
    """75 while the archive is down, 65 for what is refused, 0 when all is there; one line of JSON each."""
    command = [
        sys.executable,
        "-m",
        "edge.deliver",
        "--results",
        str(results),
        "--receipts",
        str(tmp_path / "r"),
        "--attempts",
        "1",
    ]
    with archive([], lambda n: 0xC000 if n == 1 else 0) as address:
        refused = subprocess.run([*command, "--to", address], cwd=PROJECT, capture_output=True, text=True, check=False)
        done = subprocess.run([*command, "--to", address], cwd=PROJECT, capture_output=True, text=True, check=False)
    down = subprocess.run(
        [*command, "--to", f"B@127.0.0.1:{free_port()}"], cwd=PROJECT, capture_output=True, text=True, check=False
    )

    assert (refused.returncode, done.returncode, down.returncode) == (EXIT_DATA, 0, EXIT_TRANSIENT)
    assert json.loads(done.stdout) == {"there_before": 2, "sent": 1, "refused": 0, "failed": 0}
    assert small.PSEUDONYM not in refused.stderr + done.stderr + down.stderr
