"""What identifies a person goes in time or on request, whatever is killed on the way, and the audit tells it once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from algorithms.contract.case import Case, Home
from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.contract.inbox import admit
from algorithms.contract.store import open_store
from algorithms.contract.vault import has_key
from operators.results.audit import Line, lines
from operators.results.database import transaction, upsert
from operators.results.models import Case as CaseRow
from operators.results.rows import case_row
from operators.retention import inbox, shred
from operators.retention.archive import archive, restore
from operators.retention.inbox import DAY_S, expire
from operators.retention.shred import request, requests
from operators.settings import Settings


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return Settings(home=str(tmp_path / "home"), inbox_days=7)


def case_of(here: Settings, name: str) -> Case:
    """Admit a case of two files and record it."""
    folder = here.home_folder.root.parent / name
    folder.mkdir()
    for number in (1, 2):
        (folder / f"Mustermann {number}").write_text(f"{name} {number}")
    case = admit(folder, "coronary", here.home_folder, site="s-017")
    with transaction(here.results_url) as connection:
        upsert(connection, CaseRow, [case_row(case)])
    return case


def audit(here: Settings) -> list[Line]:
    with transaction(here.results_url) as connection:
        return [line for line, _ in lines(connection)]


def later(days: float) -> float:
    return time.time() + days * DAY_S


class KilledError(BaseException):
    """Stands in for a kill: nothing catches it."""


def killed_at(number: int, functions: dict[str, Callable[..., object]], module: object, patch: pytest.MonkeyPatch) -> None:
    """Let the ``number``-th call of any of these functions, after it was done, be the last thing that happens."""
    left = [number]

    def wrap(function: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object, **named: object) -> object:
            answer = function(*arguments, **named)
            left[0] -= 1
            if left[0] == 0:
                raise KilledError
            return answer

        return wrapped

    for name, function in functions.items():
        patch.setattr(module, name, wrap(function))


def test_originals_leave_the_inbox_after_their_time(here: Settings) -> None:
    """A day early all of it is there; a day late none of it, and one line of the audit a case says how much."""
    cases = [case_of(here, name) for name in ("one", "two")]

    early, late, again = (expire(here, later(days)) for days in (6, 8, 8))

    assert (early.entries, late.entries, again.entries) == (0, 2, 0)
    assert (late.files, late.bytes) == (4, 20)
    assert list(here.home_folder.inbox.iterdir()) == []
    told = [(line.action, line.case_id, line.site, line.detail["files"]) for line in audit(here)]
    assert sorted(told) == sorted(("inbox-expired", case.case_id, "s-017", 2) for case in cases)
    with pytest.raises(DataError, match="receive it again"):
        cases[0].verify_input("study", here.home_folder)


def test_what_a_killed_door_has_left_expires_too(here: Settings) -> None:
    """A draft holds originals of nobody knows whom; it is counted without a case."""
    draft = here.home_folder.inbox / ".arriving-1"
    draft.mkdir(parents=True)
    (draft / "000001").write_text("Mustermann")

    expire(here, later(8))

    assert list(here.home_folder.inbox.iterdir()) == []
    assert [(line.action, line.case_id, line.detail["files"]) for line in audit(here)] == [("inbox-expired", None, 1)]


def test_an_emptied_folder_goes_without_a_word(here: Settings) -> None:
    """The originals were deleted by the stage that de-identified them."""
    case = case_of(here, "one")
    for path in case.input_path("study", here.home_folder).iterdir():
        path.unlink()
    case.input_path("study", here.home_folder).rmdir()

    assert expire(here, later(8)).entries == 0
    assert list(here.home_folder.inbox.iterdir()) == []
    assert audit(here) == []


@pytest.mark.parametrize("moment", [1, 2, 3, 4])
def test_a_killed_expiry_is_ended_by_the_next(here: Settings, monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    """Killed after the look, after the line in the audit, or in the middle of deleting: one line, and nothing left."""
    case_of(here, "one")
    functions = {"newest_s": inbox.newest_s, "append_once": inbox.append_once, "site_of": inbox.site_of}
    with monkeypatch.context() as patch:
        killed_at(min(moment, 3), functions, inbox, patch)
        if moment == 4:
            patch.setattr(inbox.shutil, "rmtree", _half_removed)
        with pytest.raises(KilledError):
            expire(here, later(8))

    expire(here, later(8))

    assert list(here.home_folder.inbox.iterdir()) == []
    assert [(line.action, line.detail["files"]) for line in audit(here)] == [("inbox-expired", 2)]


def _half_removed(folder: Path) -> None:
    next(path for path in sorted(folder.rglob("*")) if path.is_file()).unlink()
    raise KilledError


def test_archived_originals_come_back_as_they_were_received(here: Settings, tmp_path: Path) -> None:
    """Encrypted in the store, byte for byte the same after it; archiving again stores nothing new."""
    case, store = case_of(here, "one"), open_store(here.store_uri)

    numbers = [archive(case, here.home_folder, store) for _ in range(2)]
    restored = restore(case, here.home_folder, store, tmp_path / "back")

    assert numbers == [2, 2]
    assert restored == 2
    assert sha256_path(tmp_path / "back/study") == case.inputs["study"]
    assert len(store.list(f"originals/{case.case_id}/")) == 3
    stored = b"".join(path.read_bytes() for path in here.home_folder.store.rglob("*") if path.is_file())
    assert b"one 1" not in stored


def test_an_archive_that_was_cut_off_is_not_restored(here: Settings, tmp_path: Path) -> None:
    """The mark that it is whole goes last."""
    case, store = case_of(here, "one"), open_store(here.store_uri)
    archive(case, here.home_folder, store)
    store.delete(f"originals/{case.case_id}/whole")

    with pytest.raises(DataError, match="were not archived"):
        restore(case, here.home_folder, store, tmp_path / "back")


@pytest.mark.parametrize("results", ["keep", "delete"])
def test_a_shredded_case_can_never_be_read_again(here: Settings, tmp_path: Path, results: str) -> None:
    """Not even with a copy of the store from before; results stay or go as it was asked."""
    case, store = case_of(here, "one"), open_store(here.store_uri)
    other = case_of(here, "two")
    for one in (case, other):
        archive(one, here.home_folder, store)
    (tmp_path / "report").write_text("report")
    store.put_file(tmp_path / "report", f"cases/{case.case_id}/report/report.html")
    copy = open_store((tmp_path / "copy").as_uri())
    for name in store.list():
        copy.put_file(store.get_file(name, tmp_path / "object"), name)

    asked = [request(here, case.case_id, results) for _ in range(2)]
    shred.shred(asked[0], here, store)

    assert asked[0] == asked[1]
    with pytest.raises(DataError, match="was shredded"):
        restore(case, here.home_folder, copy, tmp_path / "back")
    assert restore(other, here.home_folder, store, tmp_path / "other") == 2
    assert not (here.home_folder.inbox / case.case_id).exists()
    kept = results == "keep"
    assert case.folder.exists() == store.exists(f"cases/{case.case_id}/report/report.html") == kept
    with transaction(here.results_url) as connection:
        rows = connection.scalar(select(func.count()).select_from(CaseRow).where(CaseRow.case_id == case.case_id))
    assert rows == int(kept)
    assert requests(here.home_folder) == []
    assert [(line.action, line.detail["results"]) for line in audit(here)] == [
        ("shred-requested", results),
        ("shredded", results),
    ]


STEPS = ("destroy_key", "forget", "_delete_objects", "_delete_results", "append_once")


@pytest.mark.parametrize("moment", range(1, 8))
def test_a_killed_shredding_is_ended_by_the_next_run(here: Settings, monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    """Killed after each of its steps, the request itself among them: the request waits, and the audit says it once."""
    case, store = case_of(here, "one"), open_store(here.store_uri)
    archive(case, here.home_folder, store)
    with monkeypatch.context() as patch:
        killed_at(moment, {name: getattr(shred, name) for name in STEPS}, shred, patch)
        with suppress(KilledError):
            shred.shred(request(here, case.case_id, "delete"), here, store)

    waiting = requests(here.home_folder)
    for asked in waiting:
        shred.shred(asked, here, store)

    assert [asked.case_id for asked in waiting] == [case.case_id]
    assert not has_key(here.home_folder, case.case_id)
    assert not case.folder.exists()
    assert store.list() == []
    assert [line.action for line in audit(here)] == ["shred-requested", "shredded"]


def test_the_same_examination_sent_again_is_a_new_case_to_shred(here: Settings) -> None:
    """It has a new key and a new request, and the audit tells of both."""
    store = open_store(here.store_uri)
    for turn in range(2):
        case = admit(_study(here), "coronary", here.home_folder)
        archive(case, here.home_folder, store)
        shred.shred(request(here, case.case_id, "keep"), here, store)
        assert turn == len([line for line in audit(here) if line.action == "shredded"]) - 1


def _study(here: Settings) -> Path:
    folder = here.home_folder.root.parent / "again"
    folder.mkdir(exist_ok=True)
    (folder / "image").write_text("again")
    return folder


@pytest.mark.parametrize("case_id", ["f" * 16, "Mustermann"])
def test_nothing_is_asked_of_an_unknown_case(here: Settings, case_id: str) -> None:
    """A slip of the keyboard must not look as if a patient's wish had been done; and what was typed is not kept."""
    with pytest.raises(DataError) as caught:
        request(here, case_id, "keep")
    assert "Mustermann" not in str(caught.value)
    assert requests(here.home_folder) == []


def test_a_time_of_nothing_is_refused(here: Settings) -> None:
    """0 days would delete a case between its arrival and its first stage."""
    case_of(here, "one")

    with pytest.raises(ValueError, match="inbox_days must be above 0"):
        expire(replace(here, inbox_days=0), time.time())


def test_requests_are_readable_by_their_owner_only(here: Settings) -> None:
    """That somebody wants to be forgotten is nobody's business."""
    case = case_of(here, "one")
    asked = request(here, case.case_id, "keep")

    assert asked.path.stat().st_mode & 0o077 == 0
    assert set(json.loads(asked.path.read_text())) == {"mark", "site"}
    assert Home(here.home_folder.root).vault in asked.path.parents
