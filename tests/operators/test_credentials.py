"""What opens the store: from a Connection into a client or a subprocess, and to nobody else."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from algorithms.contract.case import Case
from algorithms.contract.errors import DataError
from algorithms.contract.store import open_store
from operators import settings
from operators.credentials import deployment_store, environment
from operators.settings import Settings
from tests.operators.runners.test_local import stage
from tests.services import AWS_ACCOUNT, aws_environment, moto, rclone

SECRET = AWS_ACCOUNT["AWS_SECRET_ACCESS_KEY"]


@pytest.fixture(scope="module")
def signed() -> Iterator[str]:
    """An S3 that checks signatures."""
    with rclone() as endpoint:
        yield endpoint


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A deployment with a store in a bucket and a Connection for it, in an environment with somebody else's keys."""
    for name in AWS_ACCOUNT:
        monkeypatch.delenv(name, raising=False)
    return replace(Settings(), store="s3://bucket/prefix", store_connection="store")


def connect(monkeypatch: pytest.MonkeyPatch, **told: object) -> None:
    """Make the Connection ``store``; Airflow reads it from a variable like this one among others."""
    monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps({"conn_type": "aws", **told}))


def keys(endpoint: str) -> dict[str, object]:
    extra = {"endpoint_url": endpoint, "region_name": "eu-central-1"}
    return {"login": AWS_ACCOUNT["AWS_ACCESS_KEY_ID"], "password": SECRET, "extra": extra}


def test_without_a_connection_the_client_finds_its_own(here: Settings) -> None:
    """On AWS a role opens the store, and nothing is written down anywhere."""
    assert environment(replace(here, store_connection="")) == {}
    assert environment(replace(here, store_connection="", store_kms_key="alias/heartwood")) == {
        "HEARTWOOD_STORE_KMS_KEY": "alias/heartwood"
    }


def test_a_connection_becomes_what_every_client_knows(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names as boto3 reads them; the empty token takes the place of one that is around and belongs to other keys."""
    connect(monkeypatch, **keys("https://s3.example"))

    assert environment(here) == {
        "AWS_ACCESS_KEY_ID": AWS_ACCOUNT["AWS_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": "",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL_S3": "https://s3.example",
    }


def test_a_connection_may_say_where_and_leave_the_keys_to_the_role(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint of one's own network, opened by the role of the machine."""
    connect(monkeypatch, extra={"endpoint_url": "https://s3.example"})

    assert environment(here) == {"AWS_ENDPOINT_URL_S3": "https://s3.example"}


def test_a_connection_may_name_a_role(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys are those of the session that STS gives."""
    with moto() as endpoint:
        role = "arn:aws:iam::123456789012:role/heartwood"
        services = {"sts": {"endpoint_url": endpoint}}
        connect(
            monkeypatch,
            **keys(endpoint) | {"extra": {"role_arn": role, "region_name": "eu-central-1", "service_config": services}},
        )

        variables = environment(here)

    assert variables["AWS_ACCESS_KEY_ID"] != AWS_ACCOUNT["AWS_ACCESS_KEY_ID"]
    assert variables["AWS_SESSION_TOKEN"]


@pytest.mark.parametrize(
    ("told", "says"),
    [
        pytest.param(None, "there is no Connection store; add it", id="absent"),
        pytest.param({"conn_type": "http"}, "is of type http, wanted aws", id="of another type"),
    ],
)
def test_a_connection_that_is_not_there_is_not_replaced(
    here: Settings, monkeypatch: pytest.MonkeyPatch, told: dict[str, str] | None, says: str, airflow_tables: None
) -> None:
    """Airflow's own hook would quietly take the keys that are around, and a report would go to somebody else's bucket."""
    if told:
        connect(monkeypatch, **told)

    with pytest.raises(DataError, match=says):
        environment(here)


def test_the_store_opens_with_the_connection(
    here: Settings, monkeypatch: pytest.MonkeyPatch, signed: str, tmp_path: Path
) -> None:
    """Whatever keys are around: the server checks the signature."""
    connect(monkeypatch, **keys(signed))
    boto3.client(
        "s3", endpoint_url=signed, aws_access_key_id=AWS_ACCOUNT["AWS_ACCESS_KEY_ID"], aws_secret_access_key=SECRET
    ).create_bucket(Bucket="bucket")
    for name, value in aws_environment("http://127.0.0.1:1").items():
        monkeypatch.setenv(name, f"not {value}")
    (tmp_path / "report").write_text("0.83")

    store = deployment_store(here)
    store.put_file(tmp_path / "report", "a/report")

    assert store.list() == ["a/report"]


def test_a_local_stage_opens_the_store_too(
    case: Case, monkeypatch: pytest.MonkeyPatch, signed: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its weights may lie there; it finds the keys where every AWS client looks, and they are in no line of the log."""
    caplog.set_level(logging.DEBUG)
    connect(monkeypatch, **keys(signed))
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of somebody else")
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__STORE_CONNECTION", "store")
    monkeypatch.setattr("operators.stage.VISIBLE_S", 0)
    (tmp_path / "weights").write_text("tensors")
    open_store("s3://weights", environment(settings.load()))._client.create_bucket(Bucket="weights")  # type: ignore[attr-defined]
    open_store("s3://weights", environment(settings.load())).put_file(tmp_path / "weights", "w")
    script = (
        "import os, pathlib, sys; from algorithms.contract.store import open_store; "
        "open_store('s3://weights').get_file('w', pathlib.Path(sys.argv[1])); "
        "sys.exit(65 if not any(name.startswith('AIRFLOW') for name in os.environ) else 70)"
    )

    with pytest.raises(DataError):  # as the script says when it got them, and nothing of Airflow's
        stage(case, script, str(tmp_path / "back")).execute({})

    assert (tmp_path / "back").read_text() == "tensors"
    assert SECRET not in caplog.text
