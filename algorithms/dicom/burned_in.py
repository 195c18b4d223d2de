"""How much text optical character recognition sees in the pictures of a folder: ``python -m algorithms.dicom.burned_in DIR``.

For whoever reviews a quarantine (`algorithms.dicom.deidentify`): which of the refused pictures show text, and how much.
The answer says words and areas, never the text itself.  It proves nothing where it finds nothing: small, faint, slanted and
handwritten text is missed (docs/privacy-hard-set.md says how much), so it orders a reviewer's work and replaces no reviewer.

Files are untrusted: they are decoded in a confined child process, and tesseract, a program of its own, is given grey pictures.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.contract.errors import EXIT_OK, DataError
from algorithms.contract.shell import exit_code, log_to_stderr
from algorithms.dicom.confinement import Confinement

log = logging.getLogger("algorithms.dicom.burned_in")

LEAST_CONFIDENCE = 60
"""Of a word, in tesseract's per cent: noise is seldom read with more, printed text seldom with less."""

LEAST_LETTERS = 3
"""Letters and digits of a word: single ones and pairs are seen in edges and noise."""

ENOUGH_WORDS = 3
"""Words that a picture shows when it is held the right way: turned text is read as one or two at most."""

MOST_FRAMES = 5
"""Frames of one file that are looked at, spread evenly from the first to the last."""

LONG_SIDE, MOST_TIMES = 2400, 4
"""Pixels to which a smaller picture is enlarged, and how many times at most: tesseract wants letters 20 to 40 pixels high."""

LONGEST_SIDE = 6000
"""Pixels of the longest side that is looked at; a larger picture is made smaller."""

READING_SECONDS = 120
"""Of tesseract, for one view of a picture: noise takes it longest."""

CHILD = "algorithms.dicom.burned_in:decoded_frames"


@dataclass(frozen=True)
class Word:
    """Where a word stands in a picture, as parts of its sides, as it was turned to be read."""

    left: float
    top: float
    width: float
    height: float

    def holds_centre_of(self, other: Word) -> bool:
        """Return whether ``other`` is most likely the same word, seen once more."""
        across, down = other.left + other.width / 2, other.top + other.height / 2
        return self.left <= across <= self.left + self.width and self.top <= down <= self.top + self.height


def words_in(picture: np.ndarray, least_confidence: float = LEAST_CONFIDENCE) -> list[Word]:
    """Return the words that tesseract sees in a picture, dark on light or light on dark, upright or else turned a quarter.

    Parameters
    ----------
    picture
        Grey values as uint8, ``(Y, X)``.
    least_confidence
        Of a word, 0 to 100.

    Raises
    ------
    DataError
        If tesseract is not installed, or fails.
    subprocess.TimeoutExpired
        If it reads for more than ``READING_SECONDS``.
    """
    most: list[Word] = []
    for quarter_turns in (0, 1, 3):
        most = max(most, _words(np.rot90(picture, quarter_turns), least_confidence), key=len)
        if len(most) >= ENOUGH_WORDS:
            break
    return most


def _words(picture: np.ndarray, least_confidence: float) -> list[Word]:
    found: list[Word] = []
    for view in _views(picture):
        for word in _read(_enlarged(view), least_confidence):
            if not any(known.holds_centre_of(word) for known in found):
                found.append(word)
    return found


def _views(picture: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the picture, its negative, and what in it is as bright as can be, which is how text is burnt in."""
    yield picture
    yield 255 - picture
    brightest = picture >= 250
    beside = (brightest[:, 1:] & brightest[:, :-1]).sum() + (brightest[1:] & brightest[:-1]).sum()
    # Strokes hang together: in noise as bright as this, a pixel has a bright neighbour in one of ten cases.
    if brightest.mean() < 0.25 and beside > brightest.sum() / 2:
        yield np.where(brightest, 0, 255).astype(np.uint8)


def _enlarged(picture: np.ndarray) -> np.ndarray:
    from PIL import Image

    long = max(picture.shape)
    times = min(max(LONG_SIDE / long, 1.0), MOST_TIMES) if long < LONGEST_SIDE else LONGEST_SIDE / long
    size = tuple(max(round(side * times), 1) for side in picture.shape[::-1])
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def _read(picture: np.ndarray, least_confidence: float) -> Iterator[Word]:
    program = shutil.which("tesseract")
    if program is None:
        raise DataError("tesseract is not installed; install the Debian package tesseract-ocr, or review without it")
    rows, columns = picture.shape
    grey = b"P5 %d %d 255\n" % (columns, rows) + np.ascontiguousarray(picture).tobytes()
    # Sparse text (11): labels stand anywhere.  Its own threads only wait for each other on pictures of this size.
    command = [program, "stdin", "stdout", "--psm", "11", "--dpi", "150", "tsv"]
    done = subprocess.run(
        command, input=grey, capture_output=True, check=False, timeout=READING_SECONDS,
        env=os.environ | {"OMP_THREAD_LIMIT": "1"},
    )  # fmt: skip
    if done.returncode != 0:
        raise DataError(f"tesseract ended with code {done.returncode}; check that its English data are installed")
    for row in csv.DictReader(done.stdout.decode("utf-8", "replace").splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        letters = sum(letter.isalnum() for letter in row["text"] or "")
        if float(row["conf"]) >= least_confidence and letters >= LEAST_LETTERS:
            yield Word(
                int(row["left"]) / columns, int(row["top"]) / rows, int(row["width"]) / columns, int(row["height"]) / rows
            )


def grey_levels(pixels: np.ndarray) -> np.ndarray:
    """Return pixels, ``(Y, X)`` or ``(Y, X, colours)``, as uint8 between their darkest and their brightest values."""
    grey = pixels.astype(np.float64)
    if grey.ndim == 3:
        grey = grey[..., :3].mean(axis=2)
    low, high = np.percentile(grey, (0.05, 99.95))
    if high <= low:
        low, high = float(grey.min()), float(grey.max())
    if high <= low:
        return np.zeros(grey.shape, np.uint8)
    levels: np.ndarray = np.clip((grey - low) / (high - low) * 255, 0, 255).round().astype(np.uint8)
    return levels


def decoded_frames(context: dict[str, str], name: str) -> dict[str, Any]:
    """Decode some frames of a file into grey pictures; for the child process.

    Parameters
    ----------
    context
        ``folder`` of the files, and ``into``, where the pictures are written as ``0.npy ...``.
    name
        Of the file, below the folder.

    Returns
    -------
    dict
        ``frames`` that the file has and ``pictures`` that were written; or why there are none (``kind``).
    """
    from algorithms.dicom.headers import PARSE_ERRORS, silent_parsing

    path = Path(context["folder"], name)
    with path.open("rb") as file:
        file.seek(128)
        if file.read(4) != b"DICM":
            return {"kind": "not DICOM"}
    with silent_parsing():
        try:
            return _decoded(path, Path(context["into"]))
        except PARSE_ERRORS:
            return {"kind": "unreadable"}


def _decoded(path: Path, into: Path) -> dict[str, Any]:
    import pydicom
    from pydicom.pixels.utils import pixel_array

    from algorithms.dicom.headers import DEFLATED_TRANSFER_SYNTAXES

    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    if "Rows" not in dataset:
        return {"kind": "no picture"}
    # A frame is read alone where it lies in the file as it is; a deflated file must be inflated as a whole.
    source = pydicom.dcmread(path) if dataset.file_meta.TransferSyntaxUID in DEFLATED_TRANSFER_SYNTAXES else path
    frames = max(int(dataset.get("NumberOfFrames") or 1), 1)
    chosen = sorted({round(frame) for frame in np.linspace(0, frames - 1, min(frames, MOST_FRAMES))})
    for number, frame in enumerate(chosen):
        np.save(into / f"{number}.npy", grey_levels(pixel_array(source, index=frame)))
    return {"kind": "picture", "frames": frames, "pictures": len(chosen)}


def measured(folder: Path, least_confidence: float = LEAST_CONFIDENCE) -> Iterator[dict[str, Any]]:
    """Yield for each file of a folder what it is (``kind``), and of a picture its words and the part of its area they cover.

    Of a file with several frames the most that one of them shows is told.
    """
    names = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()
    )
    with Confinement() as confinement:
        for name in names:
            # Identifying pictures: nobody else can read the folder, and it goes before the next file is looked at.
            with tempfile.TemporaryDirectory() as into:
                (answer,) = confinement.map(CHILD, {"folder": str(folder), "into": into}, [name])
                seen: dict[str, Any] = {"kind": "unreadable"} if answer.failure else answer.value
                result = {"file": name, "kind": seen["kind"]}
                if seen["kind"] == "picture":
                    pictures = [np.load(Path(into) / f"{number}.npy") for number in range(seen["pictures"])]
                    result |= {"frames": seen["frames"], "frames_read": len(pictures)} | _text(pictures, least_confidence)
            yield result


def _text(pictures: list[np.ndarray], least_confidence: float) -> dict[str, Any]:
    try:
        words = max((words_in(picture, least_confidence) for picture in pictures), key=len)
    except subprocess.TimeoutExpired:
        return {"kind": "picture that takes too long to read"}
    area = sum(word.width * word.height for word in words)
    return {"words": len(words), "area_fraction": round(min(area, 1.0), 5)}


def run(arguments: Sequence[str] | None = None) -> int:
    """Measure a folder and write the result to standard output, the files with the most words first."""
    given = _parser().parse_args(arguments)
    if not given.folder.is_dir():
        raise DataError("DIR is no folder; name the quarantine of a de-identification")
    if shutil.which("tesseract") is None:
        raise DataError("tesseract is not installed; install the Debian package tesseract-ocr, or review without it")
    files = [result for result in measured(given.folder, given.least_confidence) if result["kind"] != "not DICOM"]
    files.sort(key=lambda result: (-result.get("words", -1), result["file"]))
    with_text = sum(result.get("words", 0) > 0 for result in files)
    pictures = sum(result["kind"] == "picture" for result in files)
    log.info("read %d pictures of %d DICOM files, %d show words", pictures, len(files), with_text)
    summary = {
        "least_confidence": given.least_confidence,
        "files": files,
        "pictures": pictures,
        "pictures_with_words": with_text,
    }
    sys.stdout.write(json.dumps(summary) + "\n")
    return EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m algorithms.dicom.burned_in",
        description="Say how much text is seen in the pictures of a quarantine, never which; the most text first.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the quarantine; its file names are repeated in the result")
    parser.add_argument(
        "--least-confidence", type=float, default=LEAST_CONFIDENCE, metavar="PERCENT",
        help="of a word that is counted, 0 to 100 (default %(default)s)",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    log_to_stderr()
    sys.exit(exit_code(run, log))
