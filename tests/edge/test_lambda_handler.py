"""The function in AWS: run by Amazon's own runtime client, on S3 and SQS over HTTP."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import boto3
import pytest

from algorithms.contract.intake import Message
from algorithms.contract.store import open_store
from edge.upload import send
from tests.edge.runtime_api import Function, function
from tests.services import AWS_ACCOUNT, aws_environment, moto

SITE = {"pipeline": "coronary", "site": "site-07", "region": "eu-central-1"}


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, str]]:
    """An AWS with a bucket and two queues, and the environment of a function that uses them."""
    with moto() as endpoint, pytest.MonkeyPatch.context() as patch:
        for name, value in aws_environment(endpoint).items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(
            Bucket="arrivals", CreateBucketConfiguration={"LocationConstraint": AWS_ACCOUNT["AWS_DEFAULT_REGION"]}
        )
        queues = {
            variable: boto3.client("sqs").create_queue(QueueName=name)["QueueUrl"]
            for variable, name in (("INTAKE_QUEUE", "intake"), ("INTAKE_DEAD_LETTERS", "dead-letters"))
        }
        yield aws_environment(endpoint) | queues


@pytest.fixture(scope="module")
def announce(aws: dict[str, str]) -> Iterator[Function]:
    with function("edge.lambda_handler.handler", aws) as called:
        yield called


def created(key: str, **object_: Any) -> dict[str, Any]:
    """Return what S3 tells of a created object, as far as the function reads it."""
    return {"Records": [{"s3": {"bucket": {"name": "arrivals"}, "object": {"key": quote_plus(key, safe="/"), **object_}}}]}


def received(url: str) -> list[dict[str, Any]]:
    """Return and remove the messages of a queue."""
    queue = boto3.client("sqs")
    found = queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get("Messages", [])
    for message in found:
        queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def put_manifest(key: str, text: bytes) -> None:
    """Store an object as `edge.upload` does, with whatever in it."""
    boto3.client("s3").put_object(Bucket="arrivals", Key=key, Body=text, Metadata={"sha256": _sha256(text)})


def _sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def test_an_upload_is_announced_when_its_manifest_is_created(aws: dict[str, str], announce: Function, tmp_path: Path) -> None:
    """The message is what the manifest says and the hash of its bytes, so that the platform takes no other one for it."""
    (tmp_path / "image.dcm").write_bytes(b"an image")
    upload = send(tmp_path, open_store("s3://arrivals/intake"), b"key", **SITE)
    manifest = boto3.client("s3").get_object(Bucket="arrivals", Key=f"intake/{upload}/manifest.json")["Body"].read()

    kind, answer = announce(created(f"intake/{upload}/manifest.json", size=len(manifest)))

    (message,) = received(aws["INTAKE_QUEUE"])
    assert (kind, answer) == ("response", {"announced": 1, "refused": 0})
    assert Message.parse(message["Body"].encode()) == Message(upload, _sha256(manifest), **SITE)
    assert received(aws["INTAKE_DEAD_LETTERS"]) == []


@pytest.mark.parametrize(
    ("key", "text", "reason"),
    [
        pytest.param("intake/" + "ab" * 16, b'{"version": 1, "site": "Mustermann"}', "has no pipeline", id="fields missing"),
        pytest.param("intake/" + "cd" * 16, b"Mustermann^Max", "is not JSON", id="no JSON"),
        pytest.param("intake/Mustermann^Max", b"{}", "32 hexadecimal digits", id="an upload called by a name"),
    ],
)
def test_a_bad_manifest_becomes_a_dead_letter_with_the_reason_and_nothing_else_of_it(
    aws: dict[str, str], announce: Function, key: str, text: bytes, reason: str
) -> None:
    """Somebody must look, and what they look at is no place for a patient's name."""
    put_manifest(f"{key}/manifest.json", text)

    kind, answer = announce(created(f"{key}/manifest.json", size=len(text)))

    (letter,) = received(aws["INTAKE_DEAD_LETTERS"])
    assert (kind, answer) == ("response", {"announced": 0, "refused": 1})
    assert reason in letter["MessageAttributes"]["reason"]["StringValue"]
    assert "Mustermann" not in json.dumps(letter)
    assert json.loads(letter["Body"]).get("upload", key.removeprefix("intake/")) == key.removeprefix("intake/")
    assert received(aws["INTAKE_QUEUE"]) == []


def test_a_manifest_that_no_sender_would_write_is_refused_unread(aws: dict[str, str], announce: Function) -> None:
    """A function has little disk; S3 says the size before the bytes are fetched."""
    _, answer = announce(created(f"intake/{'ef' * 16}/manifest.json", size=2**40))

    (letter,) = received(aws["INTAKE_DEAD_LETTERS"])
    assert answer == {"announced": 0, "refused": 1}
    assert "more than 16 MiB" in letter["MessageAttributes"]["reason"]["StringValue"]


def test_a_function_that_cannot_reach_its_queue_fails_so_that_lambda_calls_it_again(
    aws: dict[str, str], tmp_path: Path
) -> None:
    """Nothing is lost between bucket and queue: an answer would end the event."""
    (tmp_path / "image.dcm").write_bytes(b"another image")
    upload = send(tmp_path, open_store("s3://arrivals/intake"), b"key", **SITE)
    gone = aws | {"INTAKE_QUEUE": aws["INTAKE_QUEUE"].replace("intake", "gone")}

    with function("edge.lambda_handler.handler", gone) as announce_nowhere:
        kind, answer = announce_nowhere(created(f"intake/{upload}/manifest.json"))

    assert kind == "error"
    assert "QueueDoesNotExist" in answer["errorType"]
