"""Storage commitment: only what would survive a power loss is called safe, and the answer finds its caller."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    MRImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from edge import commitment
from edge.commitment import CLASS_CONFLICT, NO_SUCH_INSTANCE, NOT_ALLOWED, PROCESSING_FAILURE, TOLD, UNTOLD
from edge.database import Step
from edge.listener import SUCCESS, Listener
from edge.spool import Spool
from edge.tls import listening as tls_listening
from tests.edge.appliances import until
from tests.edge.certificates import issuer
from tests.edge.images import LISTEN, NAME, image, send
from tests.services import free_port, orthanc

CT, MR = str(CTImageStorage), str(MRImageStorage)
TRANSACTION = "2.25.4711"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once what was put off."""
    monkeypatch.setattr(commitment, "POLL_S", 0.05)
    monkeypatch.setattr(commitment, "FIRST_WAIT_S", 0.1)
    monkeypatch.setattr(commitment, "LINGER_S", 0.5)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "home", b"s" * 32)


@contextmanager
def listening(spool: Spool, answers: Mapping[str, str | None], **changes: Any) -> Iterator[Listener]:
    """Run a listener with these callers' addresses."""
    listener = Listener(replace(LISTEN, commitment=answers, **changes), spool)
    try:
        yield listener
    finally:
        listener.close(5)


def wanted(*instances: tuple[str, str]) -> Dataset:
    """Return the information of a request."""
    told = Dataset()
    told.TransactionUID, told.ReferencedSOPSequence = TRANSACTION, []
    for class_uid, uid in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = class_uid, uid
        told.ReferencedSOPSequence.append(item)
    return told


Told = tuple[int, Dataset]


def remembering(seen: list[Told]) -> Any:
    """Return what takes answers and keeps them."""

    def taken(event: evt.Event) -> tuple[int, None]:
        seen.append((event.event_type, event.event_information))
        return SUCCESS, None

    return [(evt.EVT_N_EVENT_REPORT, taken)]


def ask(port: int, told: Dataset, *, caller: str = "SENDER", action: int = 1, wait_for: list[Told] | None = None) -> int:
    """Ask, wait for the answer on the same association if there is a list for it, and return the status of the request."""
    entity = AE(ae_title=caller)
    entity.add_requested_context(StorageCommitmentPushModel)
    answered: list[str] = []
    handlers = remembering(wait_for) if wait_for is not None else []
    handlers.append((evt.EVT_DIMSE_SENT, lambda event: answered.append(type(event.message).__name__)))
    association = entity.associate("127.0.0.1", port, ae_title="EDGE", evt_handlers=handlers)
    assert association.is_established
    status, _ = association.send_n_action(told, action, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
    if wait_for is not None:
        until(lambda: "N_EVENT_REPORT_RSP" in answered)
    association.release()
    return int(status.Status)


def told_of(answer: Dataset) -> dict[str, int]:
    """Return the failure reason of each instance, 0 for one that is safe."""
    safe = {str(item.ReferencedSOPInstanceUID): 0 for item in answer.get("ReferencedSOPSequence", [])}
    return safe | {str(i.ReferencedSOPInstanceUID): int(i.FailureReason) for i in answer.get("FailedSOPSequence", [])}


def test_each_instance_is_told_by_what_is_on_the_disk(spool: Spool) -> None:
    """Here; never here; here under another class; here with two contents, of which nobody knows which is meant."""
    images = [image("1.2.3", number) for number in range(3)]
    changed = image("1.2.3", 2)
    changed.PatientComments = "other bytes"
    uids = [str(data.SOPInstanceUID) for data in images]
    seen: list[Told] = []
    with listening(spool, {"SENDER": None}) as listener:
        send(listener.port, [*images, changed])
        status = ask(listener.port, wanted((CT, uids[0]), (MR, uids[1]), (CT, uids[2]), (CT, "1.2.9")), wait_for=seen)
        until(lambda: spool.counts().get(TOLD))

    ((event, answer),) = seen
    assert (SUCCESS, 2, TRANSACTION) == (status, event, answer.TransactionUID)
    assert {uids[0]: 0, uids[1]: CLASS_CONFLICT, uids[2]: PROCESSING_FAILURE, "1.2.9": NO_SUCH_INSTANCE} == told_of(answer)
    assert [] == list((spool.home / "commitments").iterdir())


def test_when_all_are_safe_the_answer_says_so(spool: Spool) -> None:
    """Event type 1, without a list of failures."""
    data, seen = image("1.2.3"), []
    with listening(spool, {"SENDER": None}) as listener:
        send(listener.port, [data])
        ask(listener.port, wanted((CT, str(data.SOPInstanceUID))), wait_for=seen)

    ((event, answer),) = seen
    assert (1, False) == (event, "FailedSOPSequence" in answer)


def test_what_is_gone_from_the_disk_behind_our_back_is_not_safe(spool: Spool) -> None:
    """The row alone says nothing."""
    data, seen = image("1.2.3"), []
    with listening(spool, {"SENDER": None}) as listener:
        send(listener.port, [data])
        next((spool.home / "studies").glob("*/*.dcm")).unlink()
        ask(listener.port, wanted((CT, str(data.SOPInstanceUID))), wait_for=seen)

    assert {str(data.SOPInstanceUID): NO_SUCH_INSTANCE} == told_of(seen[0][1])


def test_what_was_sent_and_removed_is_told_from_the_record_until_that_is_forgotten(spool: Spool) -> None:
    """Not so what was discarded: nobody has it."""
    images = [image("1.2.3"), image("1.2.4")]
    first, second = (str(data.SOPInstanceUID) for data in images)
    with listening(spool, {"SENDER": None}) as listener:
        send(listener.port, images)
        sent, discarded = sorted(spool.studies(), key=lambda study: study.study != spool.study_name("1.2.3"))
        assert spool.advance(sent, Step.ANNOUNCED, 1000)
        assert spool.give_up(discarded, "no")
        assert spool.discard([discarded.study])
        assert all(spool.erase(study) for study in spool.studies())
        seen: list[Told] = []
        ask(listener.port, wanted((CT, first), (CT, second)), wait_for=seen)
        spool.forget_sent(1000)
        later: list[Told] = []
        ask(listener.port, wanted((CT, first)), wait_for=later)
        spool.forget_sent(1001)
        last: list[Told] = []
        ask(listener.port, wanted((CT, first)), wait_for=last)

    assert {first: 0, second: NO_SUCH_INSTANCE} == told_of(seen[0][1])
    assert [{first: 0}, {first: NO_SUCH_INSTANCE}] == [told_of(told[0][1]) for told in (later, last)]


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_the_answer_goes_to_the_callers_address_when_it_can_be_reached(tmp_path: Path, spool: Spool, secure: bool) -> None:
    """Over an association of its own, also when we were restarted in between; until then the request is kept."""
    issued = issuer(tmp_path / "known") if secure else None
    mine, theirs = (issued.issued(name) if issued else None for name in ("edge", "sender"))
    port, data = free_port(), image("1.2.3")
    uid = str(data.SOPInstanceUID)
    plain = replace(LISTEN, commitment={"SENDER": f"127.0.0.1:{port}"})
    with listening(spool, plain.commitment) as listener:
        send(listener.port, [data])
        ask(listener.port, wanted((CT, uid)))
        until(lambda: [p for p in (spool.home / "commitments").glob("*.json") if json.loads(p.read_text())["attempts"]])
    assert TOLD not in spool.counts()

    seen: list[Told] = []
    entity = AE(ae_title="SENDER")
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
    context = tls_listening(theirs) if theirs else None
    server = entity.start_server(("127.0.0.1", port), block=False, ssl_context=context, evt_handlers=remembering(seen))
    with listening(spool, plain.commitment, tls=mine):
        until(lambda: spool.counts().get(TOLD))
    assert server is not None
    server.shutdown()
    assert [(1, {uid: 0})] == [(event, told_of(answer)) for event, answer in seen]
    assert [] == list((spool.home / "commitments").glob("*.json"))


def test_who_has_gone_or_is_never_there_is_given_up(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One without an address when its association has ended; one with an address after a day. Counted, and no UID logged."""
    monkeypatch.setattr(commitment, "PATIENCE_S", 0.0)
    with listening(spool, {"SENDER": None, "OTHER": f"127.0.0.1:{free_port()}"}) as listener:
        for caller in ("SENDER", "OTHER"):
            ask(listener.port, wanted((CT, "1.2.9")), caller=caller)
        until(lambda: spool.counts().get(UNTOLD, (0, 0))[0] == 2)

    assert [] == list((spool.home / "commitments").iterdir())


def test_requests_that_are_none_or_of_strangers_are_refused(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    """By the status codes of PS3.7 annex C; nothing of them is kept."""
    good, empty, anonymous = wanted((CT, "1.2.9")), wanted(), wanted((CT, ""))
    with listening(spool, {"SENDER": None}) as listener:
        statuses = [
            ask(listener.port, good, caller="OTHER"),
            ask(listener.port, good, action=2),
            ask(listener.port, empty),
            ask(listener.port, anonymous),
        ]

    assert [NOT_ALLOWED, 0x0123, 0x0114, 0x0114] == statuses
    assert [] == list((spool.home / "commitments").iterdir())


def test_without_callers_it_is_not_offered(spool: Spool) -> None:
    """Nobody may rely on it then."""
    entity = AE(ae_title="SENDER")
    entity.add_requested_context(StorageCommitmentPushModel)
    with listening(spool, {}) as listener:
        association = entity.associate("127.0.0.1", listener.port, ae_title="EDGE")
        offered = association.is_established and association.accepted_contexts
        association.abort()

    assert not offered


@pytest.mark.slow
def test_an_independent_program_asks_and_understands_the_answer(spool: Spool) -> None:
    """Orthanc sends a study and asks by its own command: each instance is committed, and one that it never sent is not."""
    with orthanc() as archive:
        title, _, place = archive.address.partition("@")
        with listening(spool, {title: place}, callers=[title]) as listener:
            edge = {"AET": "EDGE", "Host": "127.0.0.1", "Port": listener.port, "AllowStorageCommitment": True}
            _asked(f"{archive.url}/modalities/edge", edge, "PUT")
            images = [image("1.2.3", number) for number in range(4)]
            ids = [_stored(archive.url, data) for data in images]
            _asked(f"{archive.url}/modalities/edge/store", ids[:3])
            sent = _asked(f"{archive.url}/modalities/edge/storage-commitment", {"Resources": ids[:3]})
            never = _asked(f"{archive.url}/modalities/edge/storage-commitment", {"Resources": ids})
            reports = [_report(archive.url, str(asked["ID"])) for asked in (sent, never)]

    assert ["Success", "Failure"] == [report["Status"] for report in reports]
    assert [3, 3] == [len(report["Success"]) for report in reports]
    assert [str(images[3].SOPInstanceUID)] == [failure["SOPInstanceUID"] for failure in reports[1]["Failures"]]
    assert NAME not in json.dumps(reports)


def _asked(url: str, body: object, method: str = "POST") -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), method=method)
    return json.loads(urllib.request.urlopen(request, timeout=120).read() or b"null")


def _stored(url: str, data: Dataset) -> str:
    buffer = BytesIO()
    dcmwrite(buffer, data, enforce_file_format=True)
    request = urllib.request.Request(f"{url}/instances", buffer.getvalue(), method="POST")
    return str(json.loads(urllib.request.urlopen(request, timeout=120).read())["ID"])


def _report(url: str, transaction: str) -> Any:
    until_s = time.monotonic() + 60
    while True:
        report = json.loads(urllib.request.urlopen(f"{url}/storage-commitment/{transaction}", timeout=60).read())
        if report["Status"] != "Pending" or time.monotonic() > until_s:
            return report
        threading.Event().wait(0.2)
