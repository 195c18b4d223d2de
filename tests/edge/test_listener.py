"""Images sent by two independent programs are kept once and as they came, or their sender is told that they are not."""

from __future__ import annotations

import errno
import logging
import os
import random
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID, AllTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts
from pynetdicom.sop_class import CTImageStorage, Verification

from edge.listener import CANNOT_UNDERSTAND, DOES_NOT_MATCH, OUT_OF_RESOURCES, SUCCESS, Listener
from edge.spool import Spool
from tests.edge.images import LISTEN, NAME, image, send, storescu, uids, written


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "home", b"s" * 32)


@pytest.fixture
def listener(spool: Spool) -> Iterator[Listener]:
    opened = Listener(LISTEN, spool)
    yield opened
    opened.close(5)


def counts(spool: Spool) -> dict[str, int]:
    return {name: count for name, (count, _) in spool.counts().items()}


def test_two_associations_at_once_in_any_order_and_again(tmp_path: Path, spool: Spool, listener: Listener) -> None:
    """One study comes twice at a time from dcmtk, another one backwards from pynetdicom: each image is kept once, unchanged."""
    first = [image("1.2.3", number) for number in range(12)]
    second = [image("1.2.4", number) for number in range(12)]
    folder = written(tmp_path / "first", first)
    other = written(tmp_path / "again", random.Random(1).sample(first, len(first)))

    senders = [storescu(listener.port, folder), storescu(listener.port, other, caller="OTHER")]
    statuses = send(listener.port, second[::-1])
    said = [sender.communicate()[0] for sender in senders]

    assert [SUCCESS] * 12 == statuses
    assert [0, 0] == [sender.returncode for sender in senders], said
    assert sorted(data.SOPInstanceUID for data in first + second) == uids(spool.home / "studies")
    assert {"received": 24, "duplicates": 12} == counts(spool)
    kept = {data.SOPInstanceUID: data for data in map(dcmread, (spool.home / "studies").rglob("*.dcm"))}
    assert all(kept[data.SOPInstanceUID] == data for data in first + second)
    assert {"SENDER", "OTHER"} >= {str(data.file_meta.SourceApplicationEntityTitle) for data in kept.values()}


def test_strangers_are_refused_and_friends_get_an_echo(listener: Listener) -> None:
    """By both titles: who calls, and who is called."""
    answers = []
    for caller, called in (("SENDER", "EDGE"), ("STRANGER", "EDGE"), ("SENDER", "ANY-SCP")):
        entity = AE(ae_title=caller)
        entity.add_requested_context(Verification)
        association = entity.associate("127.0.0.1", listener.port, ae_title=called)
        answers.append(association.send_c_echo().Status if association.is_established else "refused")
        association.release()

    assert [SUCCESS, "refused", "refused"] == answers


def test_no_more_associations_than_allowed(spool: Spool) -> None:
    """A sender beyond the limit is told to come again, and can when another one has gone."""
    listener = Listener(replace(LISTEN, max_associations=1), spool)
    entity = AE(ae_title="SENDER")
    entity.add_requested_context(Verification)
    first = entity.associate("127.0.0.1", listener.port, ae_title="EDGE")
    second = entity.associate("127.0.0.1", listener.port, ae_title="EDGE")
    found = (first.is_established, second.is_rejected)
    first.release()
    listener.close(5)

    assert (True, True) == found


def test_without_room_the_sender_is_told_and_may_send_again(
    spool: Spool, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status A700; what was acknowledged before is still there, and what was not is taken when there is room."""
    images = [image("1.2.3", number) for number in range(6)]
    real, calls = os.fsync, []

    def full_after_three(descriptor: int) -> None:
        calls.append(descriptor)
        if len(set(spool.folder(spool.study_name("1.2.3")).glob("*.dcm"))) >= 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full_after_three)
    statuses = send(listener.port, images)
    acknowledged = uids(spool.home / "studies")
    monkeypatch.undo()

    assert OUT_OF_RESOURCES in statuses
    assert sorted(d.SOPInstanceUID for d, status in zip(images, statuses, strict=True) if status == SUCCESS) == acknowledged
    assert [SUCCESS] * 6 == send(listener.port, images)
    assert sorted(data.SOPInstanceUID for data in images) == uids(spool.home / "studies")
    assert len(acknowledged) == counts(spool)["duplicates"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MiB; only root can mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("cannot mount a tmpfs here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_on_a_disk_that_fills_up_what_was_acknowledged_stays(small_disk: Path) -> None:
    """A real full disk, which hits files and database alike; with room again the rest is taken, and nothing twice."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2**20))
    images = [image("1.2.3", number, side=256) for number in range(20)]
    spool = Spool(small_disk / "home", b"s" * 32)
    listener = Listener(replace(LISTEN, least_free_mib=0), spool)
    statuses = send(listener.port, images)
    acknowledged = [data.SOPInstanceUID for data, status in zip(images, statuses, strict=True) if status == SUCCESS]
    listener.close(5)
    spool.close()

    assert {SUCCESS, OUT_OF_RESOURCES} == set(statuses)
    assert sorted(acknowledged) == uids(small_disk / "home" / "studies")
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    spool = Spool(small_disk / "home", b"s" * 32)
    assert {"adopted": 0, "dropped": 0} == spool.recover(1)
    listener = Listener(replace(LISTEN, least_free_mib=0), spool)
    assert [SUCCESS] * 20 == send(listener.port, images)
    listener.close(5)
    spool.close()
    assert sorted(data.SOPInstanceUID for data in images) == uids(small_disk / "home" / "studies")


def test_too_little_free_space_is_as_good_as_none(spool: Spool) -> None:
    """So that database and steps can end what they are at."""
    listener = Listener(replace(LISTEN, least_free_mib=2**40), spool)
    statuses = send(listener.port, [image("1.2.3")])
    listener.close(5)

    assert [OUT_OF_RESOURCES] == statuses
    assert [] == spool.studies()


def test_what_is_no_instance_is_refused_without_a_word_of_it(
    spool: Spool, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the log nor a file's name repeats a value."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    nameless, good = image("1.2.3", 1), image("1.2.3", 2)
    del nameless.StudyInstanceUID
    entity = AE(ae_title="SENDER")
    entity.add_requested_context(CTImageStorage)
    association = entity.associate("127.0.0.1", listener.port, ae_title="EDGE")
    statuses = [association.send_c_store(data).Status for data in (nameless, good)]
    association.release()

    assert [CANNOT_UNDERSTAND, SUCCESS] == statuses
    assert {"received": 1, "refused": 1} == counts(spool)
    assert not [word for word in (NAME, "4711", nameless.SOPInstanceUID, good.SOPInstanceUID) if word in caplog.text]
    assert not [path for path in spool.home.rglob("*") if good.SOPInstanceUID in path.name]


def test_a_request_that_names_another_instance_than_its_data_set(spool: Spool, listener: Listener) -> None:
    """One of the two is wrong, and nobody knows which."""
    from pynetdicom.dimse_primitives import C_STORE

    data = image("1.2.3")
    entity = AE(ae_title="SENDER")
    entity.add_requested_context(CTImageStorage, data.file_meta.TransferSyntaxUID)
    real = C_STORE.AffectedSOPInstanceUID.fset
    association = entity.associate("127.0.0.1", listener.port, ae_title="EDGE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            C_STORE,
            "AffectedSOPInstanceUID",
            C_STORE.AffectedSOPInstanceUID.setter(lambda self, _: real(self, "1.2.3.4")),
        )
        status = association.send_c_store(data).Status
    association.release()

    assert DOES_NOT_MATCH == status
    assert [] == spool.studies()


def test_a_sender_that_dies_leaves_whole_images_only(tmp_path: Path, spool: Spool, listener: Listener) -> None:
    """A PACS may break the association within an image; sent again, all images are there once."""
    images = [image("1.2.3", number, side=256) for number in range(30)]
    folder = written(tmp_path / "study", images)
    sender = storescu(listener.port, folder)
    while not counts(spool).get("received", 0) >= 3:
        threading.Event().wait(0.01)
    sender.kill()
    sender.communicate()

    before = uids(spool.home / "studies")
    assert len(before) >= 3
    assert (0, sorted(data.SOPInstanceUID for data in images)) == (
        _ended(storescu(listener.port, folder)),
        uids(spool.home / "studies"),
    )
    assert [] == list((spool.home / "incoming").iterdir())


def _ended(sender: subprocess.Popen[str]) -> int:
    sender.communicate()
    return sender.returncode


def test_what_is_accepted_is_what_the_documentation_says(spool: Spool) -> None:
    """Storage, Verification, and storage commitment for those who may ask; and every transfer syntax for storage."""
    documentation = (Path(__file__).resolve().parents[2] / "docs" / "edge.md").read_text()
    listener = Listener(replace(LISTEN, commitment={"SENDER": None}), spool)
    accepted = {str(context.abstract_syntax): context for context in listener.accepted()}
    listener.close(5)
    storage = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}

    assert {"Verification SOP Class", "Storage Commitment Push Model SOP Class"} == {
        UID(u).name for u in set(accepted) - storage
    }
    assert storage <= set(accepted)
    assert {str(s) for s in AllTransferSyntaxes} == {str(s) for u in storage for s in accepted[u].transfer_syntax}
    for name in ("| Verification |", "| every Storage SOP Class", "| Storage Commitment Push Model"):
        assert name in documentation
