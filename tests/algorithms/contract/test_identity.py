"""Who a case is about lies in the vault alone, sealed, and goes with the case's key."""

from __future__ import annotations

import os
import stat
from dataclasses import replace

import pytest

from algorithms.contract.case import Home
from algorithms.contract.errors import DataError
from algorithms.contract.execute import execute
from algorithms.contract.identity import (
    Identity,
    is_remembered,
    recall,
    record_of,
    remember,
    remember_study,
    remembered_before,
)
from algorithms.contract.inbox import admit
from algorithms.contract.pipeline import Pipeline
from algorithms.contract.vault import data_key, destroy_key
from tests.algorithms.contract import toy

CASE_ID = "0123456789abcdef"
SOMEBODY = Identity({"PatientName": "Żółć^Ärmel=山田^太郎", "PatientID": "4711-0815"}, {"2.25.7": "1.2.826.0.1.99"})


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def test_what_is_remembered_is_recalled_and_lies_there_sealed(home):
    """In any script; no part of it can be read in any file of the vault, and its owner alone can open them."""
    remember(home, CASE_ID, SOMEBODY)
    files = [path for path in home.vault.rglob("*") if path.is_file()]

    assert recall(home, CASE_ID) == SOMEBODY
    assert len(files) == 3
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    for value in ("Ärmel", "山田", "4711", "1.2.826"):
        assert all(value.encode() not in path.read_bytes() for path in files)
    assert "4711" not in repr(SOMEBODY)


def test_remembering_the_same_again_changes_nothing_and_another_record_replaces_it(home):
    """A study that is received again is remembered again."""
    remember(home, CASE_ID, SOMEBODY)
    before = (home.vault / "identities" / CASE_ID).read_bytes()
    remember(home, CASE_ID, SOMEBODY)
    after = (home.vault / "identities" / CASE_ID).read_bytes()
    remember(home, CASE_ID, replace(SOMEBODY, uids={}))

    assert before == after
    assert recall(home, CASE_ID).uids == {}


def test_destroying_the_key_of_a_case_makes_its_record_unreadable(home):
    """Also a copy of the record that a backup holds, under whatever key comes after."""
    remember(home, CASE_ID, SOMEBODY)
    backup = (home.vault / "identities" / CASE_ID).read_bytes()

    destroy_key(home, CASE_ID)

    with pytest.raises(DataError, match="nothing is remembered"):
        recall(home, CASE_ID)
    (home.vault / "identities" / CASE_ID).write_bytes(backup)
    with pytest.raises(DataError, match="shredded"):
        recall(home, CASE_ID)
    data_key(home, CASE_ID)
    with pytest.raises(DataError, match="damaged"):
        recall(home, CASE_ID)


def test_the_record_of_another_case_is_refused(home):
    """Whoever can write into the vault cannot put one person in another one's place."""
    remember(home, CASE_ID, SOMEBODY)
    data_key(home, "f" * 16)
    (home.vault / "identities" / ("f" * 16)).write_bytes((home.vault / "identities" / CASE_ID).read_bytes())

    with pytest.raises(DataError, match="of another case"):
        recall(home, "f" * 16)


def test_a_study_is_remembered_with_what_was_known_of_it_and_anew_when_that_was_destroyed(home):
    """Images that come when the first ones are gone have results too; what was destroyed does not come back."""
    record = record_of(home, "2.25.8")
    remember_study(home, record, Identity({"PatientID": "4711", "StudyID": "7"}, {"2.25.7": "1.2.3"}))
    remember_study(home, record, Identity({"PatientID": "4712"}, {"2.25.9": "1.2.4"}))
    both = recall(home, record)
    destroy_key(home, record)
    remember_study(home, record, SOMEBODY)

    assert both == Identity({"PatientID": "4712", "StudyID": "7"}, {"2.25.7": "1.2.3", "2.25.9": "1.2.4"})
    assert recall(home, record) == SOMEBODY


def test_the_id_of_a_study_is_a_keyed_hash(home, tmp_path):
    """Whoever sees the vault's names and knows the results cannot tell that they belong together."""
    assert record_of(home, "2.25.8") == record_of(home, "2.25.8") != record_of(home, "2.25.9")
    assert record_of(home, "2.25.8") != record_of(Home(tmp_path / "other"), "2.25.8")


def test_records_are_told_by_their_age(home):
    """Counted from when they were last written; a draft that a killed process left is no record."""
    for record in ("a" * 16, "b" * 16):
        remember(home, record, SOMEBODY)
        os.utime(home.vault / "identities" / record, (1000, 1000))
    remember(home, "b" * 16, SOMEBODY)
    (home.vault / "identities" / f".{'c' * 16}-0").touch()
    os.utime(home.vault / "identities" / f".{'c' * 16}-0", (1000, 1000))

    assert (remembered_before(home, 1001), remembered_before(home, 1000)) == (["a" * 16], [])


def who(inputs):
    """Return somebody who is known by the bytes of the study."""
    return Identity({"PatientID": next(inputs["study"].iterdir()).read_text()}, {})


REMEMBERING = replace(toy.DOUBLE, inputs=("study", "count"), remembers=f"{__name__}:who")
PIPELINE = Pipeline("toy", "Toy", "A toy.", "anything", (toy.COUNT, REMEMBERING, toy.TELL))


def received(tmp_path, home):
    """Return the case of a small study, received now."""
    (tmp_path / "study").mkdir(exist_ok=True)
    (tmp_path / "study" / "a").write_text("Muster")
    return admit(tmp_path / "study", "toy", home)


def test_a_stage_that_takes_the_identity_out_remembers_before_the_original_goes(tmp_path, home):
    """And not in stub mode, where nothing is taken out."""
    case = received(tmp_path, home)
    for stub in (True, False):
        assert not is_remembered(home, case.case_id)
        for stage in PIPELINE.stages[:2]:
            execute(PIPELINE, stage, case, home, {}, stub=stub)

    assert recall(home, case.case_id).attributes == {"PatientID": "Muster"}
    assert not case.input_path("study", home).exists()


def test_a_shredded_case_that_is_sent_again_is_remembered_again(tmp_path, home):
    """Its result is reused; without the record its results could never be filed."""
    case = received(tmp_path, home)
    for stage in PIPELINE.stages[:2]:
        execute(PIPELINE, stage, case, home, {})
    destroy_key(home, case.case_id)
    received(tmp_path, home)

    again = execute(PIPELINE, PIPELINE.stages[1], case, home, {})

    assert again.reused
    assert recall(home, case.case_id).attributes == {"PatientID": "Muster"}


def test_a_record_that_cannot_be_made_leaves_the_original(tmp_path, home):
    """Nothing is published or deleted while nobody knows whose it is."""
    case = received(tmp_path, home)
    broken = Pipeline(
        "toy", "Toy", "A toy.", "anything", (toy.COUNT, replace(REMEMBERING, remembers=f"{__name__}:nobody"), toy.TELL)
    )
    execute(broken, broken.stages[0], case, home, {})

    with pytest.raises(DataError, match="cannot be read"):
        execute(broken, broken.stages[1], case, home, {})

    assert case.input_path("study", home).exists()
    assert not list((case.folder / "double").glob("*/manifest.json"))


def nobody(inputs):
    """Refuse the study."""
    raise DataError("one of 3 files cannot be read; receive the study again")
