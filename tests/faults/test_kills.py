"""KILL at random moments: a stage that died leaves nothing that counts, and its next run ends as if nothing had happened."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cases import phantom
from tests.faults.cases import LIGHT, LIGHT_SETTINGS, ShellCase, contents, half_published, left_behind, light_study, once

KILLS = 40
KILLS_OF_ENCODE = 10
KILLS_A_STAGE = 10
SOONER = 0.8
"""After a stage that ended before its KILL: the machine may have had more to do when the stage was timed."""

BEFORE_ENCODE = ("receive", "deidentify", "clinical", "tissue", "tiles")


def timed(case: ShellCase, stage: str) -> float:
    """Return how long a stage takes that nobody disturbs."""
    started = time.monotonic()
    assert case.run(stage) == 0
    return time.monotonic() - started


@pytest.mark.slow
def test_stages_that_are_killed_at_random_moments_end_as_undisturbed_ones(
    tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    """Forty KILLs from the copying of the originals to the report: after each, no reader finds half a result.

    The last run of each stage must delete the originals, take away every draft and end with the bytes of the undisturbed case.
    """
    undisturbed = ShellCase("coronary", tmp_path / "undisturbed", light_study(tmp_path), LIGHT_SETTINGS)
    seconds = {stage: timed(undisturbed, stage) for stage in LIGHT}
    moments = random.Random(4)
    kills = rounds = 0
    recovery_s = 0.0

    while kills < KILLS:
        rounds += 1
        assert rounds <= 10, "the stages ended before they could be killed"
        case = undisturbed.again(tmp_path / f"killed {rounds}")
        for stage in LIGHT:
            for _ in range(min(KILLS_A_STAGE, KILLS - kills)):
                struck = case.killed(stage, after_s=moments.uniform(0, seconds[stage]))
                assert [] == [half for folder in case.home.glob("cases/*") for half in half_published(folder)]
                kills += struck
                if not struck:
                    seconds[stage] *= SOONER
                    break
            recovery_s = max(recovery_s, timed(case, stage))

        assert contents(undisturbed.folder) == contents(case.folder)
        assert once(case.folder, LIGHT)
        assert [] == left_behind(case.home)
        assert not list(case.home.glob("inbox/*/study"))
    record_property("struck", kills)
    record_property("recovery_s", round(recovery_s, 1))


@pytest.mark.slow
def test_a_stage_that_goes_on_ends_as_an_undisturbed_one_however_often_it_is_killed(
    tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    """Ten KILLs while slides are encoded: what was written is gone on with, and the features are equal, byte for byte."""
    study = phantom("prostate", tmp_path / "phantom", "--seed", "1", "--size", "small")
    before = ShellCase("prostate", tmp_path / "before", study)
    for stage in BEFORE_ENCODE:
        assert before.run(stage) == 0
    shutil.copytree(before.home, tmp_path / "undisturbed")
    undisturbed = ShellCase("prostate", tmp_path / "undisturbed", study)
    seconds = timed(undisturbed, "encode")
    moments = random.Random(4)
    kills = 0

    for _ in range(3 * KILLS_OF_ENCODE):
        struck = before.killed("encode", after_s=moments.uniform(0, seconds))
        kills += struck
        seconds *= 1 if struck else SOONER
        assert [] == half_published(before.folder)
        if kills == KILLS_OF_ENCODE:
            break
    recovery_s = timed(before, "encode")

    assert contents(undisturbed.folder) == contents(before.folder)
    assert once(before.folder, (*BEFORE_ENCODE, "encode"))
    assert [] == left_behind(before.home)
    record_property("struck", kills)
    record_property("recovery_s", round(recovery_s, 1))
