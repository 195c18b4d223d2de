"""An S3 that fails at every turn: each put, get and tree ends right, nothing is there twice, and nothing wrong is."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest

from algorithms.contract.errors import DataError, TransientError
from algorithms.contract.store import Store, get_tree, multipart, open_store, put_tree, ranges
from tests.faults.s3_faults import Faults, failing
from tests.services import AWS_ACCOUNT, moto

T = TypeVar("T")

MIB = 2**20

SHARES = {"busy": 0.2, "cut_request": 0.05, "lost": 0.05, "cut_answer": 0.05}
"""A third of all requests fails."""

TRIES = 10
"""Of a task, far more than Airflow is told to make: here every one must end."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with moto() as endpoint:
        yield endpoint


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits between tries are as long as one likes; parts and ranges are small, so that there are many."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    monkeypatch.setattr(ranges, "WAIT_S", 0)
    monkeypatch.setattr(ranges, "RANGE_BYTES", MIB)
    monkeypatch.setattr(multipart, "PART_BYTES", 5 * MIB)


@pytest.fixture
def honest(upstream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client that sees what is really in the bucket, which keeps every version."""
    for name, value in AWS_ACCOUNT.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=upstream)
    client.create_bucket(Bucket="faults", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client.put_bucket_versioning(Bucket="faults", VersioningConfiguration={"Status": "Enabled"})
    yield client
    for version in client.list_object_versions(Bucket="faults").get("Versions", ()):
        client.delete_object(Bucket="faults", Key=version["Key"], VersionId=version["VersionId"])
    client.delete_bucket(Bucket="faults")


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """A finished stage's folder: some small files, one of three parts, and the manifest."""
    numbers = random.Random(1)
    folder = tmp_path / "result"
    for name in [f"pictures/{n:02d}.png" for n in range(12)]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(numbers.randbytes(3000))
    (folder / "volume.nii").write_bytes(numbers.randbytes(13 * MIB))
    (folder / "manifest.json").write_text("{}")
    return folder


def insisting(task: Callable[[], T]) -> T:
    """Return what a task returns, trying it again after a transient error as Airflow does; any other error is a failure."""
    for _ in range(TRIES - 1):
        try:
            return task()
        except TransientError:
            continue
    return task()


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def whole_way(store: Store, result: Path, back: Path) -> None:
    """Store a result and get it back."""
    insisting(lambda: put_tree(store, result, "cases/c"))
    insisting(lambda: get_tree(store, "cases/c", back))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12))])
def test_everything_ends_right_when_a_third_of_all_requests_fails(
    upstream: str, honest: Any, result: Path, tmp_path: Path, seed: int
) -> None:
    """One object and one version of each file, byte for byte, no upload left over, and the same for who reads it back."""
    with failing(upstream, seed, **SHARES) as (endpoint, faults):
        store = open_store("s3://faults/p", {"AWS_ENDPOINT_URL_S3": endpoint})
        whole_way(store, result, tmp_path / "back")
        insisting(lambda: put_tree(store, result, "cases/c"))  # the task runs again
        names = insisting(lambda: store.list("cases/c"))

    versions = honest.list_object_versions(Bucket="faults")["Versions"]
    kept = {v["Key"]: honest.get_object(Bucket="faults", Key=v["Key"])["Body"].read() for v in versions}
    assert len(versions) == len(contents(result))
    assert kept == {f"p/cases/c/{name}": content for name, content in contents(result).items()}
    assert contents(tmp_path / "back") == contents(result)
    assert names == sorted(f"cases/c/{name}" for name in contents(result))
    assert honest.list_multipart_uploads(Bucket="faults").get("Uploads", []) == []
    assert set(faults.struck) == set(SHARES)


@pytest.mark.parametrize(
    ("shares", "kind"),
    [
        pytest.param({"lost": 1 / 3}, "lost", id="every third acknowledgement is lost"),
        pytest.param({"busy": 1 / 3}, "busy", id="every third answer is 503"),
        pytest.param({"cut_request": 1 / 6, "cut_answer": 1 / 6}, "cut_answer", id="every third body is cut"),
    ],
)
def test_one_kind_of_fault_at_its_worst(
    upstream: str, honest: Any, result: Path, *, shares: dict[str, float], kind: str
) -> None:
    """Far beyond what a real S3 does; much more, and boto3's own brake on retries lets a task fail at its first fault."""
    with failing(upstream, 0, **shares) as (endpoint, faults):
        whole_way(open_store("s3://faults/p", {"AWS_ENDPOINT_URL_S3": endpoint}), result, result.with_name("back"))

    assert contents(result.with_name("back")) == contents(result)
    assert len(honest.list_object_versions(Bucket="faults")["Versions"]) == len(contents(result))
    assert faults.struck[kind] > 5


def test_an_outage_is_transient_and_over_when_it_is_over(upstream: str, honest: Any, result: Path, tmp_path: Path) -> None:
    """While nothing answers a task fails as transient and has stored no manifest; the next try ends."""
    with failing(upstream, 0, busy=1.0) as (endpoint, faults):
        store = open_store("s3://faults/p", {"AWS_ENDPOINT_URL_S3": endpoint})
        with pytest.raises(TransientError, match="S3 answered 503"):
            put_tree(store, result, "cases/c")
        assert honest.list_objects_v2(Bucket="faults")["KeyCount"] == 0

        faults.shares = {}
        put_tree(store, result, "cases/c")
        get_tree(store, "cases/c", tmp_path / "back")

    assert contents(tmp_path / "back") == contents(result)


def test_damaged_bytes_never_arrive(upstream: str, honest: Any, result: Path, tmp_path: Path) -> None:
    """Where each answer has a wrong byte there is an error and no file; the next try, on a better way, has the right ones."""
    with failing(upstream, 0) as (endpoint, faults):
        store = open_store("s3://faults/p", {"AWS_ENDPOINT_URL_S3": endpoint})
        store.put_file(result / "volume.nii", "volume")
        faults.shares = {"damaged": 1.0}
        with pytest.raises(DataError, match="is not what was stored"):
            store.get_file("volume", tmp_path / "back")
        assert [p.name for p in tmp_path.iterdir()] == ["result"]

        faults.shares = {}
        assert store.get_file("volume", tmp_path / "back").read_bytes() == (result / "volume.nii").read_bytes()


def test_the_same_seed_gives_the_same_faults() -> None:
    """Whatever the order in which threads ask, or the ids that a server gives out."""
    asked = [("PUT", "/b/k?uploadId=1&partNumber=1"), ("PUT", "/b/k?uploadId=1&partNumber=2"), ("GET", "/b/k")] * 20
    other = [(method, target.replace("uploadId=1", "uploadId=2")) for method, target in reversed(asked)]

    first, second = Faults(7, SHARES), Faults(7, SHARES)

    assert sorted(str(first.kind(*one)) for one in asked) == sorted(str(second.kind(*one)) for one in other)
