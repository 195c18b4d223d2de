"""A study from a real PACS by DICOMweb: all of it, unchanged, also over a line that breaks, and never a name in a message."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from algorithms.contract.errors import EXIT_DATA, EXIT_OK, DataError, TransientError
from edge.fetch import Pacs, fetch, main, split
from tests.edge.images import NAME, image, uids
from tests.edge.pacs import Orthanc, orthanc
from tests.faults.s3_faults import failing

PROJECT = Path(__file__).resolve().parents[2]
STUDY = "1.2.826.0.1.3680043.8.498.4711"


@pytest.fixture(scope="module")
def pacs() -> Iterator[Orthanc]:
    """An Orthanc with a study of 25 images and another one of the same patient's."""
    with orthanc() as server:
        images = [image(STUDY, number, side=64) for number in range(25)]
        for data in images:
            data.AccessionNumber = "ACC-5550173/1"
        server.put(images)
        server.put([image("1.2.3", 1)])
        yield server


def test_a_study_is_found_by_its_accession_number_and_comes_whole(pacs: Orthanc, tmp_path: Path) -> None:
    """The command line, with what would identify the study on standard input; pixels are those that were stored."""
    command = [sys.executable, "-m", "edge.fetch", "--from", pacs.dicom_web, "--to", str(tmp_path / "study")]

    done = subprocess.run(
        [*command, "--accession", "-"], cwd=PROJECT, input="ACC-5550173/1\n", capture_output=True, text=True, check=True
    )

    assert {"instances": 25, "fetched": 25} == json.loads(done.stdout)
    kept = {data.SOPInstanceUID: data for data in map(dcmread, (tmp_path / "study").iterdir())}
    sent = {data.SOPInstanceUID: data for data in (image(STUDY, number, side=64) for number in range(25))}
    assert {uid: data.PixelData for uid, data in sent.items()} == {uid: data.PixelData for uid, data in kept.items()}
    said = done.stdout + done.stderr + "".join(path.name for path in (tmp_path / "study").iterdir())
    assert not [word for word in (NAME, "4711", "5550173", STUDY) if word in said]


def test_a_second_fetch_brings_what_is_missing_only(pacs: Orthanc, tmp_path: Path) -> None:
    """Three files are gone; the others keep their time."""
    service = Pacs(pacs.dicom_web)
    fetch(service, STUDY, tmp_path)
    files = sorted(tmp_path.iterdir())
    for path in files[:3]:
        path.unlink()
    before = {path: path.stat().st_mtime_ns for path in files[3:]}

    assert {"instances": 25, "fetched": 3} == fetch(service, STUDY, tmp_path)
    assert before.items() <= {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}.items()
    assert {"instances": 25, "fetched": 0} == fetch(service, STUDY, tmp_path)


def test_over_a_line_that_breaks_repeating_it_ends_with_the_whole_study(pacs: Orthanc, tmp_path: Path) -> None:
    """Half of the answers are cut in the middle, a tenth are 503; half an image is never kept."""
    struck = 0
    for seed in range(4):
        folder = tmp_path / str(seed)
        with failing(f"http://127.0.0.1:{pacs.port}", seed, cut_answer=0.5, busy=0.1) as (endpoint, faults):
            service = Pacs(f"{endpoint}/dicom-web")
            for _ in range(40):
                try:
                    fetch(service, STUDY, folder)
                    break
                except TransientError:
                    continue
        struck += faults.struck["cut_answer"]
        assert sorted(image(STUDY, number).SOPInstanceUID for number in range(25)) == uids(folder)
        assert [] == [path for path in folder.iterdir() if path.suffix != ".dcm"]

    assert struck >= 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["--accession", "none"], "found 0 matching studies", id="unknown"),
        pytest.param(["--accession", "ACC*"], "found 0 matching studies", id="a wildcard, which the PACS follows"),
        pytest.param(["--patient-id", "MUSTER-4711"], "found 2 matching studies", id="two studies of one patient"),
        pytest.param(["--study", "1.2.3.4.5"], "no instances of this study", id="no such study"),
        pytest.param(["--study", "../../etc"], "digits and dots only", id="a path for a UID"),
    ],
)
def test_what_is_not_one_study_is_told_without_naming_it(
    pacs: Orthanc, tmp_path: Path, caplog: pytest.LogCaptureFixture, arguments: list[str], sentence: str
) -> None:
    """And nothing is written."""
    caplog.set_level(logging.DEBUG)

    code = main(["--from", pacs.dicom_web, "--to", str(tmp_path / "study"), *arguments])

    assert (EXIT_DATA, True) == (code, sentence in caplog.text)
    assert "4711" not in caplog.text
    assert [] == list(tmp_path.rglob("*.dcm"))


class Service:
    """A DICOMweb service that gives what a test wants; it keeps the headers of what it was asked."""

    def __init__(self, answers: dict[str, tuple[int, dict[str, str], bytes]]) -> None:
        self.asked: list[tuple[str, str | None]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                service.asked.append((path, self.headers.get("Authorization")))
                code, headers, body = answers.get(path, (404, {}, b""))
                self.send_response(code)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.root = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_a_token_is_sent_and_never_to_where_a_redirect_points(tmp_path: Path) -> None:
    """Nor are the identifiers of the query."""
    (tmp_path / "token").write_text("s3cret\n")
    with Service({}) as elsewhere, Service({"/studies": (302, {"Location": f"{elsewhere.root}/studies"}, b"")}) as service:
        arguments = ["--to", str(tmp_path / "study"), "--accession", "1", "--token-file", str(tmp_path / "token")]

        code = main(["--from", service.root, *arguments])

    assert (EXIT_DATA, [("/studies", "Bearer s3cret")], []) == (code, service.asked, elsewhere.asked)


def test_an_instance_of_another_study_is_refused(tmp_path: Path) -> None:
    """A service that mixes up studies would mix up patients."""
    listed = json.dumps([{"00080018": {"Value": ["1.2.5"]}, "0020000E": {"Value": ["1.2.4"]}}]).encode()
    buffer = io.BytesIO()
    image("1.2.99").save_as(buffer, enforce_file_format=True)
    body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + buffer.getvalue() + b"\r\n--x--"
    kind = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'}
    answers = {"/studies/1.2.3/instances": (200, {}, listed), "/studies/1.2.3": (200, kind, body)}

    with Service(answers) as service, pytest.raises(DataError, match="of another study"):
        fetch(Pacs(service.root), "1.2.3", tmp_path)
    assert [] == list(tmp_path.iterdir())


def test_an_instance_that_never_comes_is_missed(tmp_path: Path) -> None:
    """QIDO-RS lists two, WADO-RS brings one: the command says so and does not call it a study."""
    data = image("1.2.3")
    entries = [{"00080018": {"Value": [uid]}, "0020000E": {"Value": ["1.2.4"]}} for uid in (data.SOPInstanceUID, "1.2.5")]
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    body = b"--x\r\n\r\n" + buffer.getvalue() + b"\r\n--x--\r\n"
    kind = {"Content-Type": 'multipart/related; boundary="x"'}
    again = {"/studies/1.2.3/series/1.2.4/instances/1.2.5": (503, {}, b"")}
    answers = {"/studies/1.2.3/instances": (200, {}, json.dumps(entries).encode()), "/studies/1.2.3": (200, kind, body)} | again

    with Service(answers) as service, pytest.raises(TransientError, match="1 of 2 instances are still missing"):
        fetch(Pacs(service.root), "1.2.3", tmp_path)
    assert [data.SOPInstanceUID] == uids(tmp_path)


@given(st.lists(st.binary(max_size=300).filter(lambda content: b"\r\n--mark" not in content), max_size=5), st.integers(1, 64))
def test_parts_are_told_apart_however_they_are_cut_into_blocks(contents: list[bytes], block: int) -> None:
    """A boundary may lie across two reads; what looks like one within a part is content."""

    class Drip(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(block)

    body = b"preamble" + b"".join(b"\r\n--mark\r\nA: b\r\n\r\n" + content for content in contents) + b"\r\n--mark--\r\n"

    assert contents == [b"".join(part) for part in split(Drip(body), b"mark")]


def test_the_exit_code_of_success_is_that_of_every_command(pacs: Orthanc, tmp_path: Path) -> None:
    """A script goes by it."""
    assert EXIT_OK == main(["--from", pacs.dicom_web, "--study", STUDY, "--to", str(tmp_path)])
