"""Arrivals from an SQS queue.

A message that is taken is invisible for a while, and its holder renews that while it works: if the holder dies, the message is
back after the rest of that time.  The count of its receptions is SQS's own.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from algorithms.contract.errors import DataError, TransientError
from algorithms.contract.intake import Message
from operators.intake.arrivals import Arrival, Letter

log = logging.getLogger(__name__)

LONGEST_PUT_OFF_S = 3600
"""Between two tries of what fails for reasons that pass."""

READING_S = 60
"""How long dead letters are out of others' sight while a person looks at them."""

GONE = frozenset(
    {"InvalidParameterValue", "MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", "ReceiptHandleIsInvalid"}
)
"""SQS's answers to whoever holds a message no longer."""

NO_REASON = "taken too often and never ended; its holder died each time, or the queue's own policy moved it"


class QueueArrivals:
    """See `operators.intake.arrivals.Arrivals`; ``client`` is boto3's of SQS."""

    def __init__(self, client: Any, url: str, dead_letters_url: str, visibility_s: int) -> None:
        self.url = url
        self.dead_letters_url = dead_letters_url
        self.visibility_s = visibility_s
        self._client = client

    def waiting(self) -> int:
        """See `Arrivals.waiting`; counting receives nothing, so no message comes nearer to being taken too often."""
        with _sqs_errors():
            counted = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(counted["Attributes"]["ApproximateNumberOfMessages"])

    def take(self) -> Arrival | None:
        """See `Arrivals.take`."""
        found = self._received(self.url, 1, self.visibility_s)
        if not found:
            return None
        attempts = int(found[0]["Attributes"]["ApproximateReceiveCount"])
        return Arrival(attempts, found[0]["ReceiptHandle"], found[0]["Body"].encode())

    def message(self, arrival: Arrival) -> Message:
        """See `Arrivals.message`."""
        return Message.parse(arrival.text)

    @contextmanager
    def held(self, arrival: Arrival) -> Iterator[None]:
        """See `Arrivals.held`."""
        over = threading.Event()

        def renew() -> None:
            while not over.wait(self.visibility_s / 3):
                try:
                    self._hide(self.url, arrival.handle, self.visibility_s)
                except (TransientError, ClientError):
                    log.warning("the queue did not let a message be held longer; it may be taken by somebody else too")

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield
        except BaseException:
            over.set()
            thread.join()
            # A crash of the store or the database must not make a dead letter of every message that came meanwhile.
            with suppress(TransientError, ClientError):
                self._hide(self.url, arrival.handle, min(LONGEST_PUT_OFF_S, self.visibility_s * 2 ** (arrival.attempts - 1)))
            raise
        finally:
            over.set()
            thread.join()

    def release(self, arrival: Arrival) -> None:
        """See `Arrivals.release`."""
        self._delete(self.url, arrival.handle)

    def refuse(self, arrival: Arrival, reason: str) -> None:
        """See `Arrivals.refuse`; the letter is there before the message goes."""
        self._send(self.dead_letters_url, _safe(arrival.text), {"reason": reason})
        self._delete(self.url, arrival.handle)

    @contextmanager
    def letters(self) -> Iterator[Sequence[Letter]]:
        """See `Arrivals.letters`."""
        found: dict[str, Letter] = {}
        while batch := self._received(self.dead_letters_url, 10, READING_S):
            found |= {entry["MessageId"]: _letter(entry) for entry in batch}
        try:
            yield list(found.values())
        finally:
            for letter in found.values():
                self._hide(self.dead_letters_url, letter.handle, 0)

    def redrive(self, letter: Letter) -> None:
        """See `Arrivals.redrive`; the message is there before the letter goes."""
        if letter.message is None:
            raise DataError("the dead letter holds no message; let the site send the examination again, and discard it")
        self._send(self.url, letter.message.text(), {})
        self.discard(letter)

    def discard(self, letter: Letter) -> None:
        """See `Arrivals.discard`."""
        self._delete(self.dead_letters_url, letter.handle)

    def _received(self, url: str, most: int, hidden_s: int) -> list[dict[str, Any]]:
        with _sqs_errors():
            answer = self._client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=most,
                VisibilityTimeout=hidden_s,
                WaitTimeSeconds=1,  # asks all of SQS's servers, not a sample of them
                MessageAttributeNames=["reason"],
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
        found: list[dict[str, Any]] = answer.get("Messages", [])
        return found

    def _send(self, url: str, text: str, attributes: dict[str, str]) -> None:
        typed = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        with _sqs_errors():
            self._client.send_message(QueueUrl=url, MessageBody=text, MessageAttributes=typed)

    def _delete(self, url: str, handle: str) -> None:
        with _sqs_errors():
            self._client.delete_message(QueueUrl=url, ReceiptHandle=handle)

    def _hide(self, url: str, handle: str, seconds: int) -> None:
        try:
            with _sqs_errors():
                self._client.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=seconds)
        except ClientError as error:
            # A message that is gone, or is visible again, is held by nobody.
            if error.response["Error"]["Code"] not in GONE:
                raise


def _safe(text: bytes) -> str:
    """Return the message if it is one of ours; of anything else only its hash, because nobody knows what is in it."""
    try:
        return Message.parse(text).text()
    except DataError:
        return json.dumps({"sha256": hashlib.sha256(text).hexdigest(), "size_bytes": len(text)}, sort_keys=True)


def _letter(entry: dict[str, Any]) -> Letter:
    try:
        message = Message.parse(entry["Body"].encode())
    except DataError:
        message = None
    reason = entry.get("MessageAttributes", {}).get("reason", {}).get("StringValue", NO_REASON)
    return Letter(entry["MessageId"], reason, message, entry["ReceiptHandle"])


@contextmanager
def _sqs_errors() -> Iterator[None]:
    """Turn what SQS answers when it is busy or out of reach into `TransientError`."""
    try:
        yield
    except (ConnectionError, HTTPClientError) as error:
        raise TransientError(f"SQS is out of reach ({type(error).__name__})") from error
    except ClientError as error:
        code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status >= 500 or "Throttl" in code:
            raise TransientError(f"SQS answered {code}") from error
        raise
