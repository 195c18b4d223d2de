"""Bytes that were changed at random: a damaged file leaks nothing, harms nobody and is not lost."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.algorithms.dicom.hard.command import run
from tests.algorithms.dicom.hard.elements import EXPLICIT, IMPLICIT, part10, written
from tests.algorithms.dicom.hard.examination import image, meta, patient, study
from tests.algorithms.dicom.hard.leaks import leaks_below
from tests.algorithms.dicom.hard.ledger import Ledger

FILES = 300
"""Each with one to eight changed bytes."""


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a file with some bytes before the pixels changed, most of them in heads of elements."""
    changed = bytearray(content)
    for at in rng.integers(132, len(content) - 2048, rng.integers(1, 9)).tolist():
        changed[at] = int(rng.integers(0, 256)) if rng.random() < 0.5 else changed[at] ^ 1 << int(rng.integers(0, 8))
    return bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_changed_bytes_let_nothing_out(tmp_path: Path, syntax: str) -> None:
    """A changed tag or length makes of a name what a reader takes for something else; the sound image comes out."""
    ledger, rng = Ledger(), np.random.default_rng(11)
    of = study(ledger, patient(ledger, "a patient"), "a study")
    elements = image(ledger, of, 1)
    content = part10(written(elements, syntax), syntax, meta(ledger, elements))
    given = tmp_path / "in"
    given.mkdir()
    files = [content, *(damaged(content, rng) for _ in range(FILES - 1))]
    for number, one in enumerate(files):
        (given / str(number)).write_bytes(one)

    done = run(given, tmp_path / "out", "--key-file", tmp_path / "key", "--quarantine", tmp_path / "quarantine")

    # A changed byte within a value makes another value of it, which was planted nowhere.
    leaks = leaks_below(tmp_path / "out", ledger.planted, texts=[("output", done.stdout), ("error", done.stderr)])
    kept = Counter(path.read_bytes() for path in (tmp_path / "quarantine").rglob("*") if path.is_file())
    written_files = len(list((tmp_path / "out").rglob("*.dcm")))
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert [str(leak) for leak in leaks] == []
    assert (Counter(files) & kept).total() + written_files == FILES
    assert json.loads(done.stdout)["files_read"] == FILES
    assert kept[content] == 0
