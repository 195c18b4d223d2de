"""What only a bucket can do: refuse a second writer, encrypt with a key, keep versions, check a signature."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest

from algorithms.contract.errors import TransientError
from algorithms.contract.store import open_store
from algorithms.contract.store.s3 import KMS_KEY
from tests.services import AWS_ACCOUNT

MIB = 2**20


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_bytes(b"<p>0.83</p>")
    return path


@pytest.fixture
def volume(tmp_path: Path, small_parts: int) -> Path:
    """A file of three parts."""
    path = tmp_path / "volume.nii"
    path.write_bytes(bytes(range(256)) * (13 * MIB // 256))
    return path


def before(store: Any, operation: str, action: Callable[..., object]) -> None:
    """Let something happen between the store's look and its request, once."""
    done: list[bool] = []

    def once(**told: Any) -> None:
        if not done:
            done.append(True)
            action(**told)

    store._client.meta.events.register(f"before-call.s3.{operation}", once)


@pytest.mark.parametrize(("operation", "file"), [("PutObject", "report"), ("CompleteMultipartUpload", "volume")])
def test_a_faster_writer_of_the_same_content_is_as_good_as_oneself(
    s3_store: Any, bucket: str, request: pytest.FixtureRequest, operation: str, file: str
) -> None:
    """Two publish tasks at once: the second one's condition fails, and the hash says that nothing is wrong."""
    path = request.getfixturevalue(file)
    before(s3_store, operation, lambda **_: open_store(s3_store.uri).put_file(path, "a"))

    s3_store.put_file(path, "a")

    assert s3_store.list() == ["a"]
    assert "Uploads" not in s3_store._client.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize(("operation", "file"), [("PutObject", "report"), ("CompleteMultipartUpload", "volume")])
def test_a_faster_writer_of_other_content_wins(
    s3_store: Any, tmp_path: Path, request: pytest.FixtureRequest, operation: str, file: str
) -> None:
    """The look before said "not there"; only the condition (If-None-Match) keeps the first one's content."""
    path, other = request.getfixturevalue(file), tmp_path / "other"
    other.write_bytes(b"<p>0.74</p>")
    before(s3_store, operation, lambda **_: open_store(s3_store.uri).put_file(other, "a"))

    with pytest.raises(FileExistsError):
        s3_store.put_file(path, "a")
    assert s3_store.get_file("a", tmp_path / "back").read_bytes() == b"<p>0.74</p>"


@pytest.mark.parametrize("file", ["report", "volume"])
def test_a_named_key_encrypts_what_is_stored(
    bucket: str, client: Any, tmp_path: Path, request: pytest.FixtureRequest, file: str
) -> None:
    """By parts too, whose headers are those of the first request; without a key the bucket's own rule holds."""
    path = request.getfixturevalue(file)
    open_store(f"s3://{bucket}", {KMS_KEY: "alias/heartwood"}).put_file(path, "with")
    open_store(f"s3://{bucket}").put_file(path, "without")

    encrypted, plain = (client.head_object(Bucket=bucket, Key=key) for key in ("with", "without"))

    assert (encrypted["ServerSideEncryption"], encrypted["SSEKMSKeyId"]) == ("aws:kms", "alias/heartwood")
    assert "SSEKMSKeyId" not in plain
    assert open_store(f"s3://{bucket}").get_file("with", tmp_path / "back").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("file", ["report", "volume"])
def test_storing_again_makes_no_version(
    s3_store: Any, bucket: str, client: Any, request: pytest.FixtureRequest, file: str
) -> None:
    """A bucket that keeps versions would else keep, and bill, one for each retry."""
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    path = request.getfixturevalue(file)

    for _ in range(3):
        s3_store.put_file(path, "a")

    assert len(client.list_object_versions(Bucket=bucket)["Versions"]) == 1


def test_a_cut_object_with_our_hash_is_not_taken_for_ours(s3_store: Any, bucket: str, client: Any, report: Path) -> None:
    """Metadata are a promise; the size is a fact."""
    s3_store.put_file(report, "a")
    digest = s3_store.sha256("a")
    client.put_object(Bucket=bucket, Key="heartwood/a", Body=b"<p>0.", Metadata={"sha256": digest})

    with pytest.raises(FileExistsError):
        s3_store.put_file(report, "a")


@pytest.mark.parametrize(("operation", "file"), [("PutObject", "report"), ("UploadPart", "volume")])
def test_bytes_damaged_on_the_way_do_not_stay(
    s3_store: Any, tmp_path: Path, request: pytest.FixtureRequest, operation: str, file: str
) -> None:
    """A server that checks no checksum, as moto, proves nothing by its answer, so the object is read back."""
    path = request.getfixturevalue(file)

    def damage(params: dict[str, Any], **_: Any) -> None:
        params["body"] = BytesIO(bytes(len(params["body"].read())))

    before(s3_store, operation, damage)

    with pytest.raises(TransientError, match="did not keep what was sent"):
        s3_store.put_file(path, "a")
    s3_store.put_file(path, "a")
    assert s3_store.get_file("a", tmp_path / "back").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("s3", ["rclone"])
def test_credentials_that_are_given_count_more_than_those_around(
    s3: str, bucket: str, report: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What comes from a Connection is meant; a profile or a token that the worker happens to have is not."""
    given = {name: AWS_ACCOUNT[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of somebody else")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of somebody else")

    store = open_store(f"s3://{bucket}", given)

    store.put_file(report, "a")
    assert store.get_file("a", tmp_path / "back").read_bytes() == report.read_bytes()


@pytest.mark.parametrize("s3", ["rclone"])
def test_a_wrong_secret_is_refused_at_once_and_stays_secret(
    s3: str, bucket: str, report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No retry makes it right; the message says what to look at and never what was tried."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2-hunter2")

    with pytest.raises(PermissionError, match="store_connection") as refused:
        open_store(f"s3://{bucket}").put_file(report, "a")
    assert "hunter2" not in str(refused.value)


def test_no_credentials_at_all_are_refused_with_the_remedy(aws: None, report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker without role and Connection."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    boto3.DEFAULT_SESSION = None

    with pytest.raises(PermissionError, match="no credentials"):
        open_store("s3://nobody").put_file(report, "a")
