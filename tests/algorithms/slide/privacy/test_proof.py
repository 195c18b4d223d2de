"""A copy that is not what it should be is found out, whichever way it went wrong."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from algorithms.slide.file.facts import Facts, facts
from algorithms.slide.file.tiff import TiffIndex, index
from algorithms.slide.privacy.deidentification import copy, description
from algorithms.slide.privacy.proof import prove
from algorithms.slide.privacy.residue import Search, Taken
from tests.algorithms.slide.aperio_slide import PERSON, comment, write_slide

NAME = PERSON["name"].encode()


def copied(folder: Path, **changes: object) -> tuple[TiffIndex, Facts, Path, Search]:
    """Return a slide, its facts, its copy and what was taken out of it."""
    write_slide(folder / "slide", **changes)
    slide = index(folder / "slide")
    known = facts(slide)
    taken = Taken([description(known)])
    copy(slide, known, folder / "copy", taken)
    return slide, known, folder / "copy", Search(taken)


def test_a_true_copy_is_proved(tmp_path):
    """All bytes are searched and nothing is found."""
    slide, known, path, search = copied(tmp_path, planted=True)

    assert prove(slide, known, path, search) == path.stat().st_size
    assert search.found == set()


@pytest.mark.parametrize("where", ["description", "tables", "pixels", "tile header"])
def test_a_leak_is_found_wherever_it_lies(tmp_path, where):
    """The name is written over bytes of the copy; the proof reads the file, not what the writer thinks it wrote."""
    slide, known, path, search = copied(tmp_path, tables=where != "tile header")
    raw = bytearray(path.read_bytes())
    page = index(path).pages[0]
    place = {
        "description": raw.find(b"Aperio Image") + 7,
        "tables": raw.find(page.tables) + 30,
        "pixels": int(page.offsets[5]) + int(page.byte_counts[5]) - 100,
        "tile header": int(page.offsets[5]) + 40,
    }[where]
    raw[place : place + len(NAME)] = NAME.upper()
    path.write_bytes(raw)

    # The proof stops at a changed tile before it is searched, unless the original has the same one.
    if where in {"pixels", "tile header"}:
        original = bytearray(slide.path.read_bytes())
        at = int(slide.pages[0].offsets[5]) + place - int(page.offsets[5])
        original[at : at + len(NAME)] = NAME.upper()
        slide.path.write_bytes(original)
    prove(slide, known, path, search)

    assert NAME.lower() in search.found


def changed(path: Path, how: str) -> None:
    """Damage a copy in one way."""
    raw = bytearray(path.read_bytes())
    page = index(path).pages[0]
    entry = page.fields[325]
    if how == "a tile changed":
        raw[int(page.offsets[3]) + int(page.byte_counts[3]) - 60] ^= 1
    elif how == "bytes behind":
        raw += b"Quastenflosser"
    elif how == "a tile left out":
        struct.pack_into("<Q", raw, entry.start + 8 * 2, 0)
    elif how == "a tile with a comment":
        tile = slice(int(page.offsets[0]), int(page.offsets[0] + page.byte_counts[0]))
        longer = raw[tile][:2] + comment("x") + raw[tile][2:]
        struct.pack_into("<Q", raw, page.fields[324].start, len(raw))
        struct.pack_into("<Q", raw, entry.start, len(longer))
        raw += longer
    elif how == "another field":
        struct.pack_into("<H", raw, page.fields[284].start - 12, 315)
    elif how == "tiles exchanged":
        first, second = (raw[page.fields[324].start + 8 * n :][:8] for n in (0, 1))
        raw[page.fields[324].start : page.fields[324].start + 16] = second + first
        sizes = raw[entry.start : entry.start + 16]
        raw[entry.start : entry.start + 16] = sizes[8:] + sizes[:8]
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("a tile changed", "a tile of the copy is not that of the slide"),
        ("bytes behind", "bytes that belong to nothing"),
        ("a tile left out", "bytes that belong to nothing|other empty tiles"),
        ("a tile with a comment", "bytes that belong to nothing|not that of the slide"),
        ("another field", "a field that no copy may have"),
        ("tiles exchanged", "a tile of the copy is not that of the slide"),
    ],
)
def test_a_false_copy_is_a_bug_that_stops_the_case(tmp_path, how, complaint):
    """None of these can come out of the writer; if one does, the original must not be deleted."""
    slide, known, path, search = copied(tmp_path)
    changed(path, how)

    with pytest.raises(ValueError, match=complaint):
        prove(slide, known, path, search)
