"""Drafts: who cleans up after killed runs takes nothing from one that is being made."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from algorithms.contract.draft import LOCK, draft

WRITERS, DRAFTS = 4, 400
"""Of 6000 drafts made like this some 30 lost what was in them, before a draft was renamed to be removed."""


def write(place: Path, lost: multiprocessing.Queue) -> None:
    """Make drafts one after the other and count those from which something is missing."""
    missing = 0
    for _ in range(DRAFTS):
        with draft(place) as folder:
            (folder / "out").mkdir()
            missing += not ((folder / "out").exists() and (folder / LOCK).exists())
    lost.put(missing)


def test_drafts_made_at_once_lose_nothing(tmp_path: Path) -> None:
    """Each writer cleans up before it makes a draft, in the moments in which the others make theirs."""
    here = multiprocessing.get_context("fork")
    lost: multiprocessing.Queue = here.Queue()
    writers = [here.Process(target=write, args=(tmp_path, lost)) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    found = [lost.get(timeout=120) for _ in writers]
    for writer in writers:
        writer.join()

    assert [0] * WRITERS == found
    assert [] == list(tmp_path.iterdir())


def test_what_a_killed_run_left_goes(tmp_path: Path) -> None:
    """Its lock ended with it; one without a lock was killed even earlier."""
    for name in (".draft-0123456789abcdef", ".draft-new-0123456789abcdef"):
        (tmp_path / name / "out").mkdir(parents=True)
    (tmp_path / ".draft-0123456789abcdef" / LOCK).touch()

    with draft(tmp_path) as folder:
        assert [folder] == list(tmp_path.iterdir())
