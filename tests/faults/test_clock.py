"""A clock that is wrong, or jumps: no result depends on what time it is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.faults.cases import LIGHT, LIGHT_SETTINGS, ShellCase, contents, left_behind, light_study, once

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")

CLOCKS = ("-20y", "+400d", "@2038-01-19 03:14:00 x3600")
"""Behind, ahead, and an hour a second over the moment at which 32 bits overflow; libfaketime's own words."""


def wrong(clock: str) -> dict[str, str]:
    """Return the environment in which it is another time; what is measured with the steady clock stays."""
    return {**os.environ, "LD_PRELOAD": str(FAKETIME), "FAKETIME": clock, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "TZ": "UTC"}


@pytest.mark.slow
@pytest.mark.skipif(not FAKETIME.exists(), reason="Debian's faketime is not installed")
def test_stages_write_the_same_bytes_at_any_time(tmp_path: Path) -> None:
    """Each stage of a case under another clock, so that it reads what seems to come from another time."""
    undisturbed = ShellCase("coronary", tmp_path / "undisturbed", light_study(tmp_path), LIGHT_SETTINGS)
    case = undisturbed.again(tmp_path / "another time") if undisturbed.run("receive") == 0 else undisturbed

    assert [0] * len(LIGHT) == [undisturbed.run(stage) for stage in LIGHT]
    codes = [case.run(stage, env=wrong(CLOCKS[number % len(CLOCKS)])) for number, stage in enumerate(LIGHT)]

    assert [0] * len(LIGHT) == codes
    assert contents(undisturbed.folder) == contents(case.folder)
    assert once(case.folder, LIGHT)
    assert [] == left_behind(case.home)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("faketime") is None, reason="Debian's faketime is not installed")
def test_a_clock_that_jumps_takes_no_draft_for_an_old_one(tmp_path: Path) -> None:
    """A stage whose draft seems to be of another decade is at work: another run at once leaves it alone."""
    case = ShellCase("coronary", tmp_path / "home", light_study(tmp_path), LIGHT_SETTINGS)
    assert case.run("receive") == 0

    processes = [case.start("deidentify", env=wrong(clock)) for clock in CLOCKS]

    assert [0] * len(CLOCKS) == [process.wait(300) for process in processes]
    assert once(case.folder, LIGHT[:2])
    assert [] == left_behind(case.home)
