"""An upload that was encrypted for this platform becomes the case that the same files would have become as they are."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from algorithms.contract.envelope import public_key, seal
from algorithms.contract.intake import Upload
from edge.upload import named_files, put, sealed_files
from tests.operators.intake.ways import SITE, Intake


def send_encrypted(intake: Intake, content: str, recipient: str) -> None:
    """Send and announce an encrypted examination, as an appliance does."""
    study, sealed = intake.folder / "study", intake.folder / "sealed"
    study.mkdir()
    sealed.mkdir()
    for number in (1, 2):
        (study / str(number)).write_text(f"{content} {number}")
    key = secrets.token_bytes(32)
    named = sealed_files(named_files(study), sealed, key)
    upload = Upload(**SITE, study="ab" * 16, files=[file for file, _ in named], envelope=seal(key, recipient))
    intake.announce(put(upload, {file.name: path for file, path in named}, intake.store, b"a site's key"))


def with_key(intake: Intake) -> tuple[Intake, Path]:
    path = intake.folder / "platform-key"
    public_key(path)
    return replace(intake, here=replace(intake.here, intake_key=str(path))), path


def test_an_encrypted_upload_becomes_the_same_case(intake: Intake) -> None:
    """What was encrypted and what was not are one examination; nothing opened is left beside the original."""
    intake, key_file = with_key(intake)
    intake.send("an examination")
    send_encrypted(intake, "an examination", public_key(key_file))

    outcomes = intake.drain()

    assert 2 == len(outcomes)
    assert {outcomes[0].case_id} == {outcome.case_id for outcome in outcomes}
    assert ([outcomes[0].case_id], []) == (intake.cases(), intake.left())


@pytest.mark.parametrize("whose", ["nobody's", "another's"])
def test_an_upload_that_cannot_be_opened_becomes_a_dead_letter(intake: Intake, whose: str) -> None:
    """The platform has no key, or the sender was given another one."""
    if whose == "another's":
        intake, _ = with_key(intake)
    send_encrypted(intake, "an examination", public_key(intake.folder / "another-key"))

    (outcome,) = intake.drain()

    assert "refused" == outcome.state
    assert ("no key" if whose == "nobody's" else "another recipient") in intake.letters()[0]["reason"]
    assert ([], []) == (intake.cases(), intake.left())
