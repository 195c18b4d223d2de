"""Text in pictures is counted and measured, never repeated; pictures without text have none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from algorithms.contract.errors import DataError
from algorithms.dicom import burned_in
from algorithms.dicom.burned_in import Word, grey_levels, measured, words_in
from tests.algorithms.dicom.hard.elements import DEFLATED, EXPLICIT, Element, element, part10, written
from tests.algorithms.dicom.hard.pictures import LABELS, anatomy, labelled

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="needs the Debian package tesseract-ocr")

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def file_of(*frames: np.ndarray, syntax: str = EXPLICIT, bits: int = 8) -> bytes:
    """Return a secondary capture of grey frames."""
    rows, columns = frames[0].shape
    elements: list[Element] = [
        element(0x00080016, "UI", SECONDARY_CAPTURE), element(0x00080018, "UI", "1.2.3"), element(0x00280002, "US", 1),
        element(0x00280004, "CS", "MONOCHROME2"), element(0x00280008, "IS", str(len(frames))), element(0x00280010, "US", rows),
        element(0x00280011, "US", columns), element(0x00280100, "US", bits), element(0x00280101, "US", bits),
        element(0x00280102, "US", bits - 1), element(0x00280103, "US", 0),
        element(0x7FE00010, "OW", b"".join(frame.astype(f"<u{bits // 8}").tobytes() for frame in frames)),
    ]  # fmt: skip
    meta = [element(0x00020002, "UI", SECONDARY_CAPTURE), element(0x00020003, "UI", "1.2.3")]
    return part10(written(elements), syntax, meta)


@needs_tesseract
@pytest.mark.parametrize(
    ("ground", "ink"),
    [pytest.param(5, 250, id="white on black"), pytest.param(250, 5, id="black on white")],
)
def test_printed_words_are_seen(ground: int, ink: int) -> None:
    """Six words of twelve pixels, as consoles write them; no more words than there are."""
    words = words_in(labelled(np.full((256, 384), ground, np.uint8), ink, 12))

    assert 5 <= len(words) <= len(LABELS)
    assert all(0 <= word.left < 1 and 0 < word.width < 0.5 for word in words)


@pytest.mark.slow
@needs_tesseract
@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_turned_words_are_seen(quarter_turns: int) -> None:
    """Along the side of a film, or upside down."""
    picture = labelled(np.full((256, 384), 5, np.uint8), 250, 14)

    assert words_in(np.ascontiguousarray(np.rot90(picture, quarter_turns)))


@pytest.mark.slow
@needs_tesseract
def test_white_words_over_anatomy_are_seen() -> None:
    """Neither the picture nor its negative shows them well; what is as bright as can be does."""
    assert len(words_in(labelled(anatomy(0), 255, 16))) >= 3


@needs_tesseract
def test_a_picture_without_text_has_no_words() -> None:
    """A chest with noise."""
    assert words_in(anatomy(1)) == []


@needs_tesseract
def test_a_folder_is_measured_without_a_word_of_what_it_says(tmp_path: Path) -> None:
    """The command's output names files, numbers and nothing that was read; the most text comes first."""
    blank = np.full((256, 384), 40, np.uint8)
    (tmp_path / "0a.dcm").write_bytes(file_of(blank))
    (tmp_path / "0b.dcm").write_bytes(file_of(blank, labelled(blank, 250, 14), syntax=DEFLATED))
    (tmp_path / "0c.dcm").write_bytes(file_of((labelled(blank, 250, 14).astype(np.uint16) << 4), bits=16))
    (tmp_path / "0d.dcm").write_bytes(file_of(blank)[:700])
    (tmp_path / "0e.json").write_text('{"reason": "secondary capture"}')

    done = subprocess.run(
        [sys.executable, "-m", "algorithms.dicom.burned_in", tmp_path], capture_output=True, check=True, text=True
    )

    summary = json.loads(done.stdout)
    told = {file["file"]: file for file in summary["files"]}
    assert (summary["pictures"], summary["pictures_with_words"]) == (3, 2)
    assert {"0b.dcm", "0c.dcm"} == {file["file"] for file in summary["files"][:2]}
    assert told["0a.dcm"] == {
        "file": "0a.dcm",
        "kind": "picture",
        "frames": 1,
        "frames_read": 1,
        "words": 0,
        "area_fraction": 0,
    }
    assert (told["0b.dcm"]["frames"], told["0b.dcm"]["frames_read"]) == (2, 2)
    assert told["0d.dcm"]["kind"] == "unreadable"
    assert 0.005 < told["0c.dcm"]["area_fraction"] < 0.2  # six words of about 100 x 14 pixels in 256 x 384: 0.09
    assert not any(label.lower() in (done.stdout + done.stderr).lower() for label in LABELS)


def test_where_tesseract_is_missing_the_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no requirement of the project, because it measures and decides nothing."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(DataError, match="install the Debian package tesseract-ocr"):
        burned_in.run([str(tmp_path)])


def test_a_file_that_kills_the_decoder_costs_itself_only(tmp_path: Path) -> None:
    """A matrix of 65535 squared with 4000 frames is more memory than the child may take."""
    frame = np.zeros((8, 8), np.uint8)
    huge = file_of(frame).replace(b"\x28\x00\x10\x00US\x02\x00\x08\x00", b"\x28\x00\x10\x00US\x02\x00\xff\xff")
    (tmp_path / "a.dcm").write_bytes(huge)
    (tmp_path / "b").write_text("no DICOM")

    assert [result["kind"] for result in measured(tmp_path)] == ["unreadable", "not DICOM"]


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        pytest.param(np.array([[-1000, 3000]], np.int16), [[0, 255]], id="signed"),
        pytest.param(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8), [[0, 255]], id="colour"),
        pytest.param(np.full((2, 2), 7, np.uint16), [[0, 0], [0, 0]], id="flat"),
    ],
)
def test_pixels_of_any_kind_become_grey_levels(pixels: np.ndarray, expected: list[list[int]]) -> None:
    """From black to white over what the picture holds."""
    assert expected == grey_levels(pixels).tolist()


def test_a_word_that_is_seen_twice_is_one() -> None:
    """The negative shows most words once more, a pixel beside."""
    word = Word(0.1, 0.1, 0.2, 0.05)

    assert word.holds_centre_of(Word(0.101, 0.099, 0.198, 0.05))
    assert not word.holds_centre_of(Word(0.4, 0.1, 0.2, 0.05))
