"""Data keys under a key of AWS KMS: the same vault, and the home's secret opens nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from algorithms.contract.case import Home
from algorithms.contract.errors import DataError, TransientError
from algorithms.contract.vault import data_key, destroy_key, read_key
from algorithms.contract.wrapping import KMS_KEY, KMS_MARK

CASE_ID = "0123456789abcdef"


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The id of a key in moto's KMS."""
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "eu-central-1"}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield boto3.client("kms").create_key()["KeyMetadata"]["KeyId"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def told(home: Home, key_id: str) -> None:
    """Tell the home that a key of KMS wraps from now on."""
    home.vault.mkdir(parents=True, exist_ok=True)
    (home.vault / KMS_KEY).write_text(f"{key_id}\n")


def test_kms_wraps_the_key_and_the_secret_plays_no_part(home, kms):
    """The home has no secret at all here; what lies in the vault is KMS's ciphertext."""
    told(home, kms)

    key = data_key(home, CASE_ID)

    wrapped = (home.vault / "keys" / CASE_ID).read_bytes()
    assert len(key) == 32
    assert key == data_key(home, CASE_ID)
    assert wrapped.startswith(KMS_MARK)
    assert key not in wrapped
    assert not (home.vault / "secret").exists()


def test_a_home_that_changes_over_reads_its_earlier_keys(home, kms):
    """Keys are told apart by their bytes; new ones are wrapped by what the home says now."""
    before = data_key(home, CASE_ID)
    told(home, kms)
    after = data_key(home, "f" * 16)

    assert before == read_key(home, CASE_ID)
    assert after == read_key(home, "f" * 16)
    assert (home.vault / "keys" / ("f" * 16)).read_bytes().startswith(KMS_MARK)
    (home.vault / KMS_KEY).unlink()
    with pytest.raises(DataError, match="name the KMS key in it again"):
        read_key(home, "f" * 16)


def test_a_key_belongs_to_its_case(home, kms):
    """The case is KMS's encryption context: a key copied from another case is refused."""
    told(home, kms)
    data_key(home, CASE_ID)
    (home.vault / "keys" / ("f" * 16)).write_bytes((home.vault / "keys" / CASE_ID).read_bytes())

    with pytest.raises(DataError, match="damaged"):
        read_key(home, "f" * 16)


def test_a_shredded_key_is_gone_and_a_lost_kms_key_asks_for_a_person(home, kms):
    """Destroying the wrapped key of one case leaves the others; without KMS's key all are closed, and the message says so."""
    told(home, kms)
    data_key(home, CASE_ID)
    data_key(home, "f" * 16)

    destroy_key(home, CASE_ID)
    told(home, "11111111-2222-3333-4444-555555555555")

    with pytest.raises(DataError, match="was shredded"):
        read_key(home, CASE_ID)
    with pytest.raises(DataError, match="KMS refused to decrypt"):
        read_key(home, "f" * 16)


def test_a_kms_out_of_reach_is_tried_again_later(home, monkeypatch):
    """Nobody listens at the endpoint: the data are fine, the network is not."""
    told(home, "alias/heartwood")
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "eu-central-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1")
    monkeypatch.setattr("algorithms.contract.wrapping.ATTEMPTS", 1)

    with pytest.raises(TransientError, match="KMS out of reach"):
        data_key(home, CASE_ID)
