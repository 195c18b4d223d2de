"""The stores that every test of the room can have: on disk, in moto's S3 (semantics) and in rclone's (signatures, streams)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from algorithms.contract.store import Store, multipart, open_store
from tests.services import aws_environment, moto, rclone

MIB = 2**20


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """An S3 that knows conditions, KMS and versions, and believes every signature and checksum."""
    with moto() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def rclone_endpoint() -> Iterator[str]:
    """An S3 that checks signatures and MD5, keeps parts on disk, and ignores conditions."""
    with rclone() as endpoint:
        yield endpoint


@pytest.fixture
def s3_kind(request: pytest.FixtureRequest) -> str:
    """Which of the two S3 servers: what the test's parameter ``s3`` or ``store`` says, moto without one."""
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    return parameters.get("s3") or parameters.get("store") or "moto"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, s3_kind: str) -> None:
    """The environment in which boto3 talks to the S3 of this test."""
    for name, value in aws_environment(request.getfixturevalue(f"{s3_kind}_endpoint")).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def client(aws: None) -> Any:
    """A client of the test's own."""
    return boto3.client("s3")


@pytest.fixture
def bucket(client: Any, tmp_path: Path) -> str:
    """An empty bucket."""
    name = f"test-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:16]}"
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return name


@pytest.fixture
def s3_store(bucket: str) -> Any:
    """A store in the bucket."""
    return open_store(f"s3://{bucket}/heartwood")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """Parts as small as S3 takes them, so that a few MiB are several: their size in bytes, up to 1 MiB more."""
    monkeypatch.setattr(multipart, "PART_BYTES", 5 * MIB)
    return 5 * MIB


@pytest.fixture(params=["file", "moto", "rclone"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """One store of each kind."""
    if request.param == "file":
        return open_store((tmp_path / "store with a space").as_uri())
    opened: Store = request.getfixturevalue("s3_store")
    return opened
