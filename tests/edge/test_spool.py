"""The spool: what is acknowledged stays, once, whatever ends the process; names in it say nothing."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from edge.database import Step
from edge.head import Head
from edge.spool import Arrived, Spool

SECRET = b"s" * 32
SYNTAX = "1.2.840.10008.1.2.1"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path, SECRET)


def content(study: str, instance: str, pixels: bytes = b"") -> bytes:
    """Return an encoded data set with these UIDs, which have an even number of digits."""
    return (
        b"".join(
            tag + b"UI" + len(uid).to_bytes(2, "little") + uid.encode()
            for tag, uid in ((b"\x08\x00\x18\x00", instance), (b"\x20\x00\x0d\x00", study))
        )
        + b"\x28\x00\x10\x00UN\0\0"
        + len(pixels).to_bytes(4, "little")
        + pixels
    )


META = bytes(128) + b"DICM" + b"\x02\0\0\0UL\x04\0\x1c\0\0\0" + b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"


def put(
    spool: Spool, study: str, instance: str, pixels: bytes = b"", *, now: float = 0, expected: int | None = None
) -> Arrived:
    return spool.receive(Head(instance, study, expected), SYNTAX, META, content(study, instance, pixels), now)


def files(spool: Spool, folder: str = "studies") -> list[str]:
    return sorted(p.read_bytes()[len(META) :].decode("latin-1") for p in (spool.home / folder).rglob("*.dcm"))


def test_an_instance_is_kept_once_and_other_bytes_under_its_uid_are_kept_aside(spool: Spool) -> None:
    """A retried instance is no second one; a changed one must neither replace the first nor be lost."""
    answers = [put(spool, "1.10", "1.11", pixels) for pixels in (b"ab", b"ab", b"cd", b"cd", b"ab")]

    assert [Arrived.NEW, Arrived.DUPLICATE, Arrived.OTHER_BYTES, Arrived.OTHER_BYTES, Arrived.DUPLICATE] == answers
    assert [content("1.10", "1.11", b"ab").decode("latin-1")] == files(spool)
    assert [content("1.10", "1.11", b"cd").decode("latin-1")] == files(spool, "aside")
    assert [1] == [study.instances for study in spool.studies()]


def test_what_is_kept_aside_goes_with_the_study_that_it_contradicts(spool: Spool) -> None:
    """An image that names another study under the same UID has no study of its own here, and nobody would remove it."""
    put(spool, "1.10", "1.11", b"ab")
    assert Arrived.OTHER_BYTES == put(spool, "1.20", "1.11", b"cd")

    assert spool.erase(spool.studies()[0])
    assert ([], []) == (files(spool), files(spool, "aside"))


def test_no_name_and_no_row_holds_a_uid(spool: Spool) -> None:
    """The identity is in the content of the originals only."""
    put(spool, "1.2.345678", "1.2.87654321")
    spool.close()

    told = "".join(map(str, spool.home.rglob("*"))).encode() + b"".join(p.read_bytes() for p in spool.home.glob("spool.db*"))
    assert b"345678" not in told
    assert b"87654321" not in told


def test_a_new_instance_reopens_its_study_and_undoes_the_step_that_did_not_see_it(spool: Spool) -> None:
    """What was made without it must not be recorded as the study's."""
    put(spool, "1.10", "1.11")
    (before,) = spool.studies()
    put(spool, "1.10", "1.12")
    (after,) = spool.studies()

    assert not spool.advance(before, Step.DEIDENTIFIED, 1)
    assert spool.advance(after, Step.DEIDENTIFIED, 1)
    assert [Step.DEIDENTIFIED] == [study.step for study in spool.studies()]

    put(spool, "1.10", "1.13")
    assert [(Step.RECEIVING, 3)] == [(study.step, study.instances) for study in spool.studies()]


def test_a_duplicate_reopens_nothing(spool: Spool) -> None:
    """PACS send whole studies again."""
    put(spool, "1.10", "1.11")
    spool.advance(spool.studies()[0], Step.ANNOUNCED, 1)
    put(spool, "1.10", "1.11")

    assert [Step.ANNOUNCED] == [study.step for study in spool.studies()]


def test_recovery_adopts_files_without_a_row_and_drops_rows_without_a_file(spool: Spool) -> None:
    """A kill between rename and commit, or a commit that was never told, leaves one or the other."""
    for instance in ("1.11", "1.12", "1.13"):
        put(spool, "1.10", instance)
    put(spool, "1.20", "1.21")
    (spool.home / "incoming" / "half").write_bytes(b"half an image")
    with sqlite3.connect(spool.home / "spool.db") as database:
        database.execute("DELETE FROM instances WHERE rowid = 1")
        database.execute("DELETE FROM studies WHERE study = ?", (spool.study_name("1.20"),))
        database.execute("DELETE FROM instances WHERE study = ?", (spool.study_name("1.20"),))
    next((spool.home / "studies").glob(f"*/{spool._name('instance', '1.12')}.dcm")).unlink()
    spool.close()

    restarted = Spool(spool.home, SECRET)

    assert {"adopted": 2, "dropped": 1} == restarted.recover(5)
    assert {spool.study_name("1.10"): 2, spool.study_name("1.20"): 1} == {s.study: s.instances for s in restarted.studies()}
    assert [] == list((spool.home / "incoming").iterdir())
    assert Arrived.DUPLICATE == put(restarted, "1.10", "1.11")
    assert Arrived.NEW == put(restarted, "1.10", "1.12")
    assert {"adopted": 0, "dropped": 0} == restarted.recover(6)


@pytest.mark.parametrize("call", range(4))
def test_a_full_disk_at_any_fsync_keeps_nothing_and_says_so(spool: Spool, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """File, new folder's name, file's name: until the last one is on the disk nobody is told success; the next try succeeds."""
    real, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == call + 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)

    if call < 3:
        with pytest.raises(OSError, match="No space left"):
            put(spool, "1.10", "1.11")
        assert ([], []) == (spool.studies(), files(spool))
    assert [] == list((spool.home / "incoming").iterdir())
    assert Arrived.NEW == put(spool, "1.10", "1.11")
    assert 1 == len(files(spool))
    assert {"adopted": 0, "dropped": 0} == spool.recover(1)


def test_a_full_database_keeps_nothing_and_says_so(spool: Spool) -> None:
    """SQLite's own limit stands for a disk that is full when the row is written."""
    put(spool, "1.10", "1.11")
    pages = spool._db._db.execute("PRAGMA page_count").fetchone()[0]
    spool._db._db.execute(f"PRAGMA max_page_count = {pages}")

    arrived: list[Arrived] = []

    def fill() -> None:
        arrived.extend(put(spool, "1.10", f"1.{number}") for number in range(100, 1000))

    with pytest.raises(sqlite3.OperationalError, match="full"):
        fill()

    assert 1 + len(arrived) == spool.studies()[0].instances == len(files(spool))
    assert {"adopted": 0, "dropped": 0} == spool.recover(1)


def test_an_expected_number_may_be_known_before_the_study_comes(spool: Spool) -> None:
    """Somebody who ordered it may know; the sender's own word counts more."""
    spool.expect(spool.study_name("1.10"), 300, 0)
    spool.recover(1)
    assert [(300, 0)] == [(study.expected, study.instances) for study in spool.studies()]

    put(spool, "1.10", "1.11")
    assert [300] == [study.expected for study in spool.studies()]
    put(spool, "1.10", "1.12", expected=2)
    assert [2] == [study.expected for study in spool.studies()]


def test_erasing_leaves_nothing_of_a_study_and_all_of_another(spool: Spool) -> None:
    """Originals, what was kept aside, and what was made of them."""
    for pixels in (b"ab", b"cd"):
        put(spool, "1.10", "1.11", pixels)
    put(spool, "1.20", "1.21")
    first = next(study for study in spool.studies() if study.study == spool.study_name("1.10"))
    spool.work(first.study).mkdir()

    spool.erase(first)

    assert [spool.study_name("1.20")] == [study.study for study in spool.studies()]
    assert 1 == len(files(spool))
    assert not [path for path in spool.home.rglob("*") if first.study in path.name]
    assert {"adopted": 0, "dropped": 0} == spool.recover(1)


def test_a_study_that_grew_is_not_erased(spool: Spool) -> None:
    """An instance that came in the last moment has been acknowledged."""
    put(spool, "1.10", "1.11")
    (before,) = spool.studies()
    put(spool, "1.10", "1.12")

    spool.erase(before)

    assert 2 == len(files(spool))


def test_a_dead_letter_waits_until_somebody_acts(spool: Spool) -> None:
    """Redriven it goes on from its step, discarded it is on its way out; what is no dead letter is left alone."""
    for study in ("1.10", "1.20", "1.30"):
        put(spool, study, f"{study}1")
    names = {uid: spool.study_name(uid) for uid in ("1.10", "1.20", "1.30")}
    for study in spool.studies():
        if study.study != names["1.30"]:
            spool.advance(study, Step.SEALED, 1)
            spool.give_up(study, "no store")

    assert 1 == spool.redrive([names["1.10"], names["1.30"]])
    assert 1 == spool.discard([names["1.20"]])
    assert {(names["1.10"], Step.SEALED), (names["1.20"], Step.DISCARDED), (names["1.30"], Step.RECEIVING)} == {
        (study.study, study.step) for study in spool.studies() if not study.dead
    }
