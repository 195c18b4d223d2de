"""``python -m operators.intake``: what a person does with arrivals that could not be admitted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from algorithms.contract.errors import EXIT_DATA, EXIT_OK
from operators.intake.__main__ import main
from tests.operators.intake.ways import Intake


@pytest.fixture
def refused(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> Intake:
    """A deployment that refused an examination, because it was told a wrong region at first."""
    for name in ("home", "intake_queue", "intake_dead_letters", "intake_store", "intake_folder"):
        monkeypatch.setenv(f"AIRFLOW__HEARTWOOD__{name.upper()}", getattr(intake.here, name))
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__REGION", "us-east-1")
    intake.send("an examination", region="us-east-1")
    assert [outcome.state for outcome in intake.drain()] == ["refused"]
    return intake


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the lines of JSON that the command printed."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_dead_letters_are_listed_with_their_reason_and_stay(refused: Intake, capsys: pytest.CaptureFixture[str]) -> None:
    """Looking takes nothing away: the second look shows the same."""
    assert main(["list"]) == EXIT_OK
    first = said(capsys)
    assert main(["list"]) == EXIT_OK

    assert said(capsys) == first
    assert [(line["way"], line["site"]) for line in first] == [(refused.way, "site-07")]
    assert "of region us-east-1" in first[0]["reason"]


def test_a_redriven_letter_arrives_again(refused: Intake, capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused anew as long as nothing was mended; the audit has all three lines."""
    main(["list"])
    (letter,) = said(capsys)

    assert main(["redrive", "--id", letter["id"]]) == EXIT_OK

    assert refused.letters() == []
    assert [outcome.state for outcome in refused.drain()] == ["refused"]
    assert [action for action, _ in refused.audit()] == ["dead-lettered", "redriven", "dead-lettered"]


def test_a_discarded_letter_is_gone(refused: Intake) -> None:
    """And with it, from a watched folder, the examination."""
    assert main(["discard", "--all"]) == EXIT_OK

    assert refused.letters() == []
    assert refused.drain() == []


def test_an_unknown_letter_is_said_to_be_none(refused: Intake) -> None:
    """A typing error must not look like success."""
    assert main(["redrive", "--id", "nothing"]) == EXIT_DATA

    assert len(refused.letters()) == 1


def test_a_letter_without_a_message_cannot_be_redriven(queue: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its hash was kept: the site sends the examination again."""
    for name in ("home", "region", "intake_queue", "intake_dead_letters", "intake_store"):
        monkeypatch.setenv(f"AIRFLOW__HEARTWOOD__{name.upper()}", getattr(queue.here, name))
    queue.put_message("nonsense")
    queue.drain()

    assert main(["redrive", "--all"]) == EXIT_DATA
    assert len(queue.letters()) == 1
