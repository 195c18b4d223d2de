"""A large upload that was killed goes on with the parts that are there, and with no others."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from algorithms.contract.errors import DataError
from algorithms.contract.store import open_store
from algorithms.contract.store.multipart import Sums, part_bytes
from tests.cases import PROJECT

MIB = 2**20
SIZE = 25 * MIB
PARTS = 5
"""Of 5 to 6 MiB each."""


def written(path: Path, seed: int) -> Path:
    path.write_bytes(random.Random(seed).randbytes(SIZE))
    return path


@pytest.fixture
def volume(tmp_path: Path, small_parts: int) -> Path:
    path = written(tmp_path / "volume.nii", 1)
    assert -(-SIZE // part_bytes(digest(path), SIZE)) == PARTS
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def killed_put(store: Any, path: Path, operation: str, number: int) -> None:
    """Store a file as ``volume`` in a process of its own that is killed."""
    module = "tests.algorithms.contract.store.killed"
    command = [sys.executable, "-m", module, "put", store.uri, "volume", str(path), operation, str(number)]
    ended = subprocess.run(command, cwd=PROJECT, check=False)
    assert ended.returncode == -signal.SIGKILL


def counted(store: Any, operation: str) -> list[dict[str, Any]]:
    """Return a list that every request of an operation adds to."""
    asked: list[dict[str, Any]] = []
    store._client.meta.events.register(f"before-call.s3.{operation}", lambda params, **_: asked.append(params))
    return asked


@pytest.mark.parametrize("s3", ["moto", "rclone"])
@pytest.mark.parametrize(
    ("operation", "number", "left"),
    [
        pytest.param("UploadPart", 1, PARTS, id="before the first part"),
        pytest.param("UploadPart", 4, PARTS - 3, id="with three parts there"),
        pytest.param("CompleteMultipartUpload", 1, 0, id="with all parts there"),
    ],
)
def test_a_killed_upload_goes_on_with_the_parts_that_are_there(
    s3_store: Any, volume: Path, s3: str, *, operation: str, number: int, left: int
) -> None:
    """Only what is missing is sent, nothing of the first upload stays, and the object is the file."""
    killed_put(s3_store, volume, operation, number)
    assert s3_store.list() == []
    sent = counted(s3_store, "UploadPart")

    s3_store.put_file(volume, "volume")

    assert len(sent) == left
    assert s3_store.sha256("volume") == digest(volume)
    assert s3_store.get_file("volume", volume.with_suffix(".back")).read_bytes() == volume.read_bytes()
    assert s3_store.sweep(older_than_s=0) == 0


@pytest.mark.parametrize("s3", ["moto", "rclone"])
def test_an_upload_of_another_file_is_not_gone_on_with(s3: str, s3_store: Any, volume: Path, tmp_path: Path) -> None:
    """The two files begin alike and have one name; an upload that is gone on with would give one the other's hash."""
    other = tmp_path / "other.nii"
    other.write_bytes(volume.read_bytes()[:-1] + b"x")
    killed_put(s3_store, other, "UploadPart", 3)
    sent = counted(s3_store, "UploadPart")

    s3_store.put_file(volume, "volume")

    assert len(sent) == PARTS
    assert s3_store.sha256("volume") == digest(volume)
    assert s3_store.get_file("volume", tmp_path / "back").read_bytes() == volume.read_bytes()


def test_a_part_that_is_not_ours_is_sent_again(s3_store: Any, bucket: str, client: Any, volume: Path, tmp_path: Path) -> None:
    """What is there is believed by its hash, not by its number."""
    killed_put(s3_store, volume, "UploadPart", 4)
    upload = client.list_multipart_uploads(Bucket=bucket)["Uploads"][0]
    where = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
    client.upload_part(**where, PartNumber=2, Body=bytes(part_bytes(digest(volume), SIZE)))
    sent = counted(s3_store, "UploadPart")

    s3_store.put_file(volume, "volume")

    assert sorted(params["query_string"]["partNumber"] for params in sent) == [2, 4, 5]
    assert s3_store.get_file("volume", tmp_path / "back").read_bytes() == volume.read_bytes()


def test_a_file_that_changes_on_the_way_is_refused(s3_store: Any, bucket: str, volume: Path, tmp_path: Path) -> None:
    """Its hash was taken before; what would arrive is neither the old file nor the new one."""

    def change(**_: Any) -> None:
        with volume.open("r+b") as file:
            file.seek(SIZE - 1)
            file.write(b"x")

    s3_store._client.meta.events.register("before-call.s3.CreateMultipartUpload", change)

    with pytest.raises(DataError, match="changed while it was stored"):
        s3_store.put_file(volume, "volume")
    assert s3_store.list() == []
    assert s3_store._client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


@pytest.mark.parametrize("s3", ["rclone"])
def test_a_sweep_ends_old_uploads_of_this_store_only(s3: str, s3_store: Any, client: Any, bucket: str, volume: Path) -> None:
    """By the bucket's clock; a young one may be somebody's who is still sending, another prefix is another store."""
    client.create_multipart_upload(Bucket=bucket, Key="elsewhere/volume")
    killed_put(s3_store, volume, "UploadPart", 2)

    assert s3_store.sweep(older_than_s=3600) == 0
    assert s3_store.sweep(older_than_s=0) == 1
    assert [upload["Key"] for upload in client.list_multipart_uploads(Bucket=bucket)["Uploads"]] == ["elsewhere/volume"]


def test_two_at_once_send_one_object(s3_store: Any, bucket: str, client: Any, volume: Path) -> None:
    """The second finds the first one's upload and goes on with it; whoever is later takes the object as it is."""
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    second = open_store(s3_store.uri)

    def overtake(params: dict[str, Any], **_: Any) -> None:
        if params["query_string"]["partNumber"] == 4:
            second.put_file(volume, "volume")

    s3_store._client.meta.events.register("before-call.s3.UploadPart", overtake)

    s3_store.put_file(volume, "volume")

    assert len(client.list_object_versions(Bucket=bucket)["Versions"]) == 1


@pytest.mark.parametrize(
    ("size_bytes", "least"),
    [pytest.param(17 * MIB, 16 * MIB, id="small"), pytest.param(5 * 2**40, 5 * 2**40 // 9000, id="the largest that S3 takes")],
)
def test_parts_are_within_what_s3_takes(size_bytes: int, least: int) -> None:
    """5 MiB to 5 GiB each, at most 10,000; the same file always has the same, other files have others."""
    sizes = {part_bytes(hashlib.sha256(bytes([n])).hexdigest(), size_bytes) for n in range(50)}

    assert len(sizes) == 50
    assert all(least <= size <= least + MIB and size_bytes / size < 10_000 for size in sizes)


def test_a_proof_is_a_hash_of_what_arrived() -> None:
    """An ETag is one only where S3 stores plainly; with KMS its SHA-256 is, and neither where a server gives another ETag."""
    sums = Sums.of(b"abc")

    assert sums.proved_by({"ETag": '"900150983cd24fb0d6963f7d28e17f72"'})  # RFC 1321, A.5
    assert sums.proved_by({"ETag": '"1"', "ChecksumSHA256": "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="})  # FIPS 180-2, B.1
    assert not sums.proved_by({"ETag": '"1"'})
    assert not sums.proved_by({})
