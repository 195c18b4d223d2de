"""Sending an examination: opaque names, the manifest last, and a second try that sends nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from algorithms.contract.errors import EXIT_DATA, DataError
from algorithms.contract.intake import Upload
from algorithms.contract.store import FileStore, open_store
from edge.upload import send

PROJECT = Path(__file__).resolve().parents[2]
SITE = {"pipeline": "coronary", "site": "site-07", "region": "eu-central-1"}
KEY = b"the sender's key"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "Mustermann^Max"
    (folder / "series 1").mkdir(parents=True)
    for name, content in {"series 1/a.dcm": b"one", "series 1/b.dcm": b"two", "Mustermann.dcm": b"one"}.items():
        (folder / name).write_bytes(content)
    (folder / "elsewhere").symlink_to("/etc/hostname")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    opened = open_store((tmp_path / "intake").as_uri())
    assert isinstance(opened, FileStore)
    return opened


def test_an_upload_holds_every_file_under_a_name_that_says_nothing(study: Path, store: FileStore) -> None:
    """Names of files and folders hold names of people more often than not; a link is not followed."""
    upload = send(study, store, KEY, **SITE)

    manifest = (store.root / upload / "manifest.json").read_bytes()
    assert store.list() == [f"{upload}/files/{number:06d}" for number in (1, 2, 3)] + [f"{upload}/manifest.json"]
    assert [file.size_bytes for file in Upload.parse(manifest).files] == [3, 3, 3]
    assert "Muster" not in manifest.decode()


def test_an_interrupted_upload_goes_on_and_a_finished_one_sends_nothing(study: Path, store: FileStore) -> None:
    """The upload is called by its content, and the store keeps what it has: a file's time tells that it was not sent anew."""
    upload = send(study, store, KEY, **SITE)
    (store.root / upload / "manifest.json").unlink()
    (store.root / upload / "files" / "000002").unlink()
    before = (store.root / upload / "files" / "000001").stat().st_mtime_ns

    assert send(study, store, KEY, **SITE) == upload
    assert (store.root / upload / "files" / "000001").stat().st_mtime_ns == before
    assert len(store.list()) == 4


def test_the_names_of_upload_and_study_take_the_senders_key(study: Path, store: FileStore) -> None:
    """Whoever has the same files, but not the key, cannot tell that they were sent."""
    first, second = send(study, store, KEY, **SITE), send(study, store, b"another key", **SITE)
    studies = {Upload.parse((store.root / name / "manifest.json").read_bytes()).study for name in (first, second)}

    assert first != second
    assert len(studies) == 2


def test_what_the_platform_would_refuse_is_not_sent(study: Path, store: FileStore) -> None:
    """The sender is the one who can mend it, and hears of it at once."""
    with pytest.raises(DataError, match="site in the upload's manifest"):
        send(study, store, KEY, **SITE | {"site": "Dr. Mustermann"})

    assert store.list() == []


def test_from_a_shell_it_prints_the_name_of_the_upload(study: Path, tmp_path: Path) -> None:
    """One line of JSON, and the exit code of a data error for an empty folder."""
    command = [sys.executable, "-m", "edge.upload", "--to", (tmp_path / "intake").as_uri(), "--home", str(tmp_path / "home")]
    codes = [text for name, value in SITE.items() for text in (f"--{name}", value)]
    (tmp_path / "empty").mkdir()

    sent = subprocess.run([*command, *codes, "--set", "series=2", str(study)], cwd=PROJECT, capture_output=True, check=True)
    empty = subprocess.run(
        [*command, *codes, str(tmp_path / "empty")], cwd=PROJECT, capture_output=True, text=True, check=False
    )

    manifest = (tmp_path / "intake" / json.loads(sent.stdout)["upload"] / "manifest.json").read_bytes()
    assert Upload.parse(manifest).parameters == {"series": "2"}
    assert empty.returncode == EXIT_DATA
    assert "0 files" in empty.stderr
