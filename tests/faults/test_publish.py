"""A case is published into an S3 that fails at every turn, as if it did not."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import boto3
import pytest

from algorithms.contract.errors import TransientError
from algorithms.contract.record import states
from algorithms.contract.store import open_store
from operators.publish import Published, publish
from tests.faults.s3_faults import failing
from tests.operators.conftest import case_for
from tests.operators.test_publish import CORONARY, run_through
from tests.services import AWS_ACCOUNT, moto

SHARES = {"busy": 0.2, "cut_request": 0.03, "lost": 0.03, "cut_answer": 0.03}

TRIES = 10


def test_a_case_is_published_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task is tried again as Airflow does; what then lies in the bucket is what a quiet store holds, each object once."""
    for name, value in AWS_ACCOUNT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    case = case_for("coronary", tmp_path)
    run_through(case)
    found = states(CORONARY, case, {}, stub=True)
    quiet = open_store((tmp_path / "quiet").as_uri())
    wanted = publish(case, found, quiet, limit_mib=1.0)

    with moto() as upstream, failing(upstream, 0, **SHARES) as (endpoint, faults):
        honest = boto3.client("s3", endpoint_url=upstream)
        honest.create_bucket(Bucket="published", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        honest.put_bucket_versioning(Bucket="published", VersioningConfiguration={"Status": "Enabled"})
        published = insisting(case, found, endpoint)
        again = insisting(case, found, endpoint)

        versions = honest.list_object_versions(Bucket="published")["Versions"]
        kept = {v["Key"]: honest.get_object(Bucket="published", Key=v["Key"])["Body"].read() for v in versions}

    assert len(versions) == len(quiet.list())
    assert {name: hashlib.sha256(content).hexdigest() for name, content in kept.items()} == {
        name: quiet.sha256(name) for name in quiet.list()
    }
    assert set(published.uris) == set(again.uris) == set(wanted.uris)
    assert sum(faults.struck.values()) > 10


def insisting(case: Any, found: Any, endpoint: str) -> Published:
    """Publish with a client of its own in each try, as each is a process of its own: boto3 gives one only so many retries."""
    for _ in range(TRIES - 1):
        try:
            return publish(case, found, open_store("s3://published", {"AWS_ENDPOINT_URL_S3": endpoint}), limit_mib=1.0)
        except TransientError:
            continue
    return publish(case, found, open_store("s3://published", {"AWS_ENDPOINT_URL_S3": endpoint}), limit_mib=1.0)
