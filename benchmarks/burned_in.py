"""How much burned-in text the detector sees, and how much where there is none: ``python -m benchmarks.burned_in``.

Labels of six words are drawn over plain grounds and over a synthetic chest, in sizes from 8 to 24 pixels; the same chest
without labels, and noise of several grain sizes, show what is seen where nothing is.
"""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import time
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from algorithms.dicom.burned_in import LEAST_CONFIDENCE, LEAST_LETTERS, grey_levels, words_in
from benchmarks.evidence import keep
from tests.algorithms.dicom.hard.pictures import LABELS, anatomy, labelled

log = logging.getLogger("benchmarks.burned_in")

SIZES_PIXELS = (8, 10, 12, 16, 24)
SIDE = 512
PICTURES = 2
"""Of each kind and size; labels stand at other places in each."""

QUIET = 3
"""Pictures of each kind without text."""


def main() -> None:
    """Measure and keep the evidence."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    start = time.process_time()
    rows = []
    for size in SIZES_PIXELS:
        for kind in (
            "white on black",
            "black on white",
            "white on chest",
            "light grey on chest",
            "white on black, turned a quarter",
        ):
            rows.append({"kind": kind, "size_pixels": size} | seen([written(kind, size, seed) for seed in range(PICTURES)]))
            log.info("%s", json.dumps(rows[-1]))
    quiet = [
        {"kind": kind} | seen([silent(kind, seed) for seed in range(QUIET)]) for kind in ("chest", "noise", "smooth noise")
    ]
    version = subprocess.run(["tesseract", "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    bounds = {"least_confidence": LEAST_CONFIDENCE, "least_letters": LEAST_LETTERS, "words_per_picture": len(LABELS)}
    own_seconds = round(time.process_time() - start, 1)
    path = keep(
        "burned_in", bounds | {"reader": version, "with_text": rows, "without_text": quiet, "own_cpu_seconds": own_seconds}
    )
    log.info("kept in %s", path)


def written(kind: str, size: int, seed: int) -> np.ndarray:
    """Return a picture with the labels, which begin at another place for each seed."""
    ground, ink = {
        "white on black": (np.full((SIDE, SIDE), 5, np.uint8), 250),
        "black on white": (np.full((SIDE, SIDE), 250, np.uint8), 5),
        "white on chest": (anatomy(seed, SIDE), 255),
        "light grey on chest": (anatomy(seed, SIDE), 190),
        "white on black, turned a quarter": (np.full((SIDE, SIDE), 5, np.uint8), 250),
    }[kind]
    picture = labelled(np.roll(ground, 37 * seed, axis=0), ink, size)
    picture = np.roll(picture, (11 * seed, 17 * seed), axis=(0, 1))
    return np.rot90(picture) if kind.endswith("turned a quarter") else picture


def silent(kind: str, seed: int) -> np.ndarray:
    """Return a picture without text."""
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE))
    return {
        "chest": anatomy(seed, SIDE),
        "noise": grey_levels(noise),
        "smooth noise": grey_levels(gaussian_filter(noise, 1.5)),
    }[kind]


def seen(pictures: list[np.ndarray]) -> dict[str, Any]:
    """Return how many of the pictures show any word, and how many words they show in all."""
    counts = [len(words_in(np.ascontiguousarray(picture))) for picture in pictures]
    return {"pictures": len(counts), "pictures_with_words": sum(count > 0 for count in counts), "words": sum(counts)}


if __name__ == "__main__":
    if shutil.which("tesseract") is None:
        sys.exit("tesseract is not installed: install the Debian package tesseract-ocr")
    main()
