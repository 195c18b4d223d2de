"""A large download that was killed goes on where it stopped, and what arrives is what was stored."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from algorithms.contract.errors import DataError, TransientError
from algorithms.contract.store import open_store, ranges
from tests.cases import PROJECT

MIB = 2**20
SIZE = 10 * MIB + 1


@pytest.fixture
def content(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Eleven ranges."""
    monkeypatch.setattr(ranges, "RANGE_BYTES", MIB)
    monkeypatch.setattr(ranges, "WAIT_S", 0)
    return random.Random(1).randbytes(SIZE)


@pytest.fixture
def stored(s3_store: Any, content: bytes, tmp_path: Path) -> Any:
    """A store with the content as ``volume``."""
    path = tmp_path / "volume.nii"
    path.write_bytes(content)
    s3_store.put_file(path, "volume")
    path.unlink()
    return s3_store


def killed_get(store: Any, path: Path, number: int) -> None:
    module = "tests.algorithms.contract.store.killed"
    command = [sys.executable, "-m", module, "get", store.uri, "volume", str(path), "GetObject", str(number)]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == -signal.SIGKILL


def counted(store: Any) -> list[str]:
    asked: list[str] = []
    store._client.meta.events.register("before-call.s3.GetObject", lambda params, **_: asked.append(params["headers"]["Range"]))
    return asked


@pytest.mark.parametrize("s3", ["moto", "rclone"])
def test_a_killed_download_goes_on_where_it_stopped(s3: str, stored: Any, content: bytes, tmp_path: Path) -> None:
    """What was written is read from the disk and hashed with the rest; nothing stays beside the file."""
    killed_get(stored, tmp_path / "back", 7)
    there = sum(p.stat().st_size for p in tmp_path.iterdir())
    asked = counted(stored)

    stored.get_file("volume", tmp_path / "back")

    # Python writes a file's last few KiB when it closes it, which the killed process never did.
    assert 4 * MIB <= there <= 6 * MIB
    assert min(int(text.partition("=")[2].partition("-")[0]) for text in asked) == there
    assert (tmp_path / "back").read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["back"]


def test_a_beginning_that_is_not_ours_is_fetched_again(stored: Any, content: bytes, tmp_path: Path) -> None:
    """A power loss can leave zeros where bytes were written; the hash of the whole finds it."""
    killed_get(stored, tmp_path / "back", 7)
    (left,) = tmp_path.iterdir()
    left.write_bytes(bytes(left.stat().st_size))

    assert stored.get_file("volume", tmp_path / "back").read_bytes() == content


def test_two_downloads_to_one_place_do_not_meet(stored: Any, content: bytes, tmp_path: Path) -> None:
    """Both find the same unfinished file; one has it, the other writes another."""
    threads = [threading.Thread(target=open_store(stored.uri).get_file, args=("volume", tmp_path / "back")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (tmp_path / "back").read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["back"]


def test_a_changed_object_is_refused_even_after_a_resume(stored: Any, bucket: str, client: Any, tmp_path: Path) -> None:
    """The beginning of the old object and the end of the new one are neither; the draft goes, it can never become right."""
    killed_get(stored, tmp_path / "back", 7)
    digest = stored.sha256("volume")
    client.put_object(Bucket=bucket, Key="heartwood/volume", Body=bytes(SIZE), Metadata={"sha256": digest})

    with pytest.raises(DataError, match="is not what was stored"):
        stored.get_file("volume", tmp_path / "back")
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_changes_while_it_is_read_is_asked_for_again(
    stored: Any, bucket: str, client: Any, content: bytes, tmp_path: Path
) -> None:
    """Somebody restores it from a backup meanwhile: the ETag that every range asks for is gone; a retry gets the new one."""
    asked = counted(stored)

    def restore(**_: Any) -> None:
        if len(asked) == 3:
            client.put_object(Bucket=bucket, Key="heartwood/volume", Body=bytes(SIZE))

    stored._client.meta.events.register("before-call.s3.GetObject", restore)

    with pytest.raises(TransientError, match="PreconditionFailed"):
        stored.get_file("volume", tmp_path / "back")


def test_an_empty_object_comes_back(s3_store: Any, tmp_path: Path) -> None:
    """It has no range that S3 would give."""
    (tmp_path / "empty").touch()
    s3_store.put_file(tmp_path / "empty", "empty")

    assert s3_store.get_file("empty", tmp_path / "back").read_bytes() == b""
