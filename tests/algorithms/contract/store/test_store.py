"""The object store: whole or not at all, never replaced, verified on the way back; on disk and on S3 alike."""

from __future__ import annotations

import errno
import hashlib
import http.server
import os
import subprocess
import threading
from pathlib import Path

import boto3
import pytest

from algorithms.contract.errors import DataError, TransientError
from algorithms.contract.store import ATTEMPTS, Store, get_tree, open_store, put_tree


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_bytes(b"<p>0.83</p>")
    return path


def test_what_was_stored_comes_back_with_its_hash(store: Store, report: Path, tmp_path: Path) -> None:
    """The bytes and the sha256 are those of the file; the URI is the store's with the name behind it."""
    uri = store.put_file(report, "cases/7f3a/report.html")
    back = store.get_file("cases/7f3a/report.html", tmp_path / "back.html")

    assert uri == f"{store.uri}/cases/7f3a/report.html"
    assert back.read_bytes() == report.read_bytes()
    assert store.sha256("cases/7f3a/report.html") == hashlib.sha256(report.read_bytes()).hexdigest()


def test_names_are_listed_by_prefix_and_without_the_hashes(store: Store, report: Path) -> None:
    """A listing shows objects only: neither the hash beside a file nor a draft of an upload that was killed."""
    for name in ("cases/b/x", "cases/a/y", "models/z"):
        store.put_file(report, name)

    assert store.list("cases/") == ["cases/a/y", "cases/b/x"]
    assert store.list() == ["cases/a/y", "cases/b/x", "models/z"]
    assert store.exists("models/z")
    assert not store.exists("models")
    assert store.sha256("models/none") is None


def test_what_is_deleted_is_gone_and_its_name_free(store: Store, report: Path) -> None:
    """A case that shall be forgotten; deleting again what a killed run has deleted does no harm."""
    for name in ("cases/a/x", "cases/b/x"):
        store.put_file(report, name)

    for _ in range(2):
        store.delete("cases/a/x")

    assert store.list() == ["cases/b/x"]
    assert store.put_file(report, "cases/a/x").endswith("cases/a/x")


def test_storing_the_same_twice_is_storing_it_once(store: Store, report: Path) -> None:
    """A publish task that is retried must find its own upload and be content."""
    first = store.put_file(report, "a/report.html")

    assert store.put_file(report, "a/report.html") == first
    assert store.list() == ["a/report.html"]


def test_other_content_never_replaces_an_object(store: Store, report: Path, tmp_path: Path) -> None:
    """A published report is a document: the one that was read yesterday is the one that is there today."""
    store.put_file(report, "a/report.html")
    other = tmp_path / "other.html"
    other.write_bytes(b"<p>0.74</p>")

    with pytest.raises(FileExistsError):
        store.put_file(other, "a/report.html")
    assert store.get_file("a/report.html", tmp_path / "back").read_bytes() == b"<p>0.83</p>"


def test_a_changed_object_is_refused_and_leaves_nothing(store: Store, report: Path, tmp_path: Path) -> None:
    """One byte changed behind the store's back: the hash of what arrives is not the one that was stored."""
    store.put_file(report, "a/report.html")
    if store.uri.startswith("file:"):
        (tmp_path / "store with a space/a/report.html").write_bytes(b"<p>0.73</p>")
    else:
        bucket, prefix = store.uri.removeprefix("s3://").split("/")
        digest = hashlib.sha256(report.read_bytes()).hexdigest()
        key = f"{prefix}/a/report.html"
        boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=b"<p>0.73</p>", Metadata={"sha256": digest})

    with pytest.raises(DataError, match="is not what was stored"):
        store.get_file("a/report.html", tmp_path / "back")
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["report.html"]


def test_an_absent_object_is_a_data_error(store: Store, tmp_path: Path) -> None:
    """Trying again will not bring it: somebody must."""
    with pytest.raises(DataError, match="no object a/b"):
        store.get_file("a/b", tmp_path / "back")


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a\\b", "a\nb", "x.sha256"])
def test_a_name_never_leaves_the_store(store: Store, report: Path, name: str) -> None:
    """Names are made by us; one that is not plain is a bug, whichever store is behind it."""
    with pytest.raises(ValueError, match="relative path"):
        store.put_file(report, name)


def test_a_folder_comes_back_whole(store: Store, tmp_path: Path) -> None:
    """Every file under its relative name; a second call fetches only what is not there."""
    folder = tmp_path / "result"
    (folder / "views").mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (folder / "views/front.png").write_bytes(b"png")
    (folder / "zones.json").write_text("[]")
    uris = put_tree(store, folder, "cases/c")

    back = get_tree(store, "cases/c", tmp_path / "back")
    untouched = (back / "zones.json").stat().st_mtime_ns
    (back / "views/front.png").unlink()
    get_tree(store, "cases/c", back)

    assert uris[-1] == f"{store.uri}/cases/c/manifest.json"
    assert {p.relative_to(back).as_posix(): p.read_text() for p in back.rglob("*") if p.is_file()} == {
        "manifest.json": "{}",
        "views/front.png": "png",
        "zones.json": "[]",
    }
    assert (back / "zones.json").stat().st_mtime_ns == untouched


def test_a_folder_without_its_manifest_is_not_there(store: Store, report: Path, tmp_path: Path) -> None:
    """The manifest goes last, so one who was killed before it has stored nothing that anybody takes for a result."""
    store.put_file(report, "cases/c/report.html")

    with pytest.raises(DataError, match=r"no whole cases/c: its manifest\.json is absent"):
        get_tree(store, "cases/c", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_folder_is_stored_file_by_file(store: Store, tmp_path: Path) -> None:
    """Pictures are a folder: each file keeps its relative name."""
    folder = tmp_path / "pictures"
    (folder / "views").mkdir(parents=True)
    (folder / "pictures.json").write_text("{}")
    (folder / "views/front.png").write_bytes(b"png")

    uris = put_tree(store, folder, "cases/c/pictures")

    assert store.list() == ["cases/c/pictures/pictures.json", "cases/c/pictures/views/front.png"]
    assert uris == [f"{store.uri}/{name}" for name in store.list()]


def test_the_hash_beside_a_file_is_what_sha256sum_reads(report: Path, tmp_path: Path) -> None:
    """An auditor needs no Heartwood to verify a store: ``sha256sum -c`` does."""
    open_store((tmp_path / "store").as_uri()).put_file(report, "a/report.html")

    checked = subprocess.run(
        ["sha256sum", "-c", "report.html.sha256"], cwd=tmp_path / "store/a", capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stdout) == (0, "report.html: OK\n")


def test_a_busy_s3_is_asked_again_and_then_is_transient(monkeypatch: pytest.MonkeyPatch, aws: None, report: Path) -> None:
    """A server that only says 503 gets each request as often as declared; then Airflow retries the task."""
    asked: list[str] = []

    class Busy(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.path)
            self.send_response(503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    # The time between tries is botocore's own, and random; here only their number is looked at.
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)

    with pytest.raises(TransientError, match="503"):
        open_store("s3://busy").put_file(report, "a")
    server.shutdown()
    server.server_close()
    assert len(asked) == ATTEMPTS


def test_a_file_without_its_hash_is_not_there_yet(report: Path, tmp_path: Path) -> None:
    """The hash is written last; a writer killed before it is finished by the next one, and only with the same content."""
    store = open_store((tmp_path / "store").as_uri())
    store.put_file(report, "a/report.html")
    (tmp_path / "store/a/report.html.sha256").unlink()
    other = tmp_path / "other.html"
    other.write_bytes(b"<p>0.74</p>")

    assert (store.exists("a/report.html"), store.list()) == (False, [])
    with pytest.raises(FileExistsError):
        store.put_file(other, "a/report.html")
    store.put_file(report, "a/report.html")
    assert store.get_file("a/report.html", tmp_path / "back").read_bytes() == report.read_bytes()


def test_a_file_system_without_hard_links_will_do(report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network and desktop file systems refuse them (EPERM); what is stored is the same, and stays."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    store = open_store((tmp_path / "store").as_uri())
    store.put_file(report, "a/report.html")
    (tmp_path / "store/a/report.html.sha256").unlink()
    (tmp_path / "other").write_bytes(b"<p>0.74</p>")

    with pytest.raises(FileExistsError):
        store.put_file(tmp_path / "other", "a/report.html")
    store.put_file(report, "a/report.html")
    assert store.get_file("a/report.html", tmp_path / "back").read_bytes() == report.read_bytes()


def test_a_sweep_removes_what_a_killed_writer_left(report: Path, tmp_path: Path) -> None:
    """Drafts have names of their own; one that is young may still be written."""
    store = open_store((tmp_path / "store").as_uri())
    store.put_file(report, "a/report.html")
    (tmp_path / "store/a/.draft-0123456789abcdef").write_bytes(b"<p>0.")

    assert store.sweep(older_than_s=3600) == 0
    assert store.sweep(older_than_s=0) == 1
    assert [p.name for p in sorted((tmp_path / "store/a").iterdir())] == ["report.html", "report.html.sha256"]


def test_an_s3_out_of_reach_is_transient(monkeypatch: pytest.MonkeyPatch, aws: None, report: Path) -> None:
    """Nobody listens on port 1 of this machine: the network may come back."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)

    with pytest.raises(TransientError, match="out of reach"):
        open_store("s3://nowhere").put_file(report, "a")


@pytest.mark.parametrize("uri", ["", "store", "file:store", "file://host/x", "s3://", "gs://bucket/x", "/srv/store"])
def test_a_store_is_named_by_a_whole_uri(uri: str) -> None:
    """A relative folder would be another one in every process."""
    with pytest.raises(ValueError, match="file:///absolute/folder"):
        open_store(uri)
