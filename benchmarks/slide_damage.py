"""How much silent damage of tiles is found, and how many whole ones are doubted: ``python -m benchmarks.slide_damage``.

Bytes of a tile's entropy-coded data are overwritten at random.  Most damage makes libjpeg-turbo warn; what does not and yet
changes pixels that show is silent, and only a coarser level can contradict it.  Pyramids are made with three filters, because
scanners do not say which is theirs.  With HEARTWOOD_REAL_DATA the tiles of a real slide are damaged too.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openslide
from PIL import Image

from algorithms.slide.pixels.decode import UnreadableTileError
from algorithms.slide.pixels.native import NativeTiles
from algorithms.slide.pixels.reader import open_slide
from algorithms.slide.pixels.witness import Witness
from benchmarks.evidence import keep
from benchmarks.large_slide import tissue
from tests.algorithms.slide.jpeg_slide import Spelling, write_jpeg_slide

log = logging.getLogger("benchmarks.slide_damage")

DAMAGE = (("zero", 1), ("zero", 16), ("random", 4), ("random", 64), ("bit", 1))
"""What is written and over how many bytes."""

TRIES = 400
"""Damaged tiles of each kind and slide."""

WRONG = 16
"""Grey levels in any colour beyond which a pixel is wrong."""

SHARES = (0.0, 0.002, 0.01, 0.05, 1.0)
"""Bounds of the part of a tile's visible area that is wrong, by which silent damage is counted."""


def main() -> None:
    """Measure and keep the evidence."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, levels, spelling in slides():
            path = write_jpeg_slide(Path(folder) / "slide.tiff", levels, spelling)
            for ratio in (4, 16):
                rows.append({"slide": name} | judged(path, ratio))
                log.info("%s", json.dumps(rows[-1]))
    log.info("kept in %s", keep("slide_damage", {"wrong_from_grey_levels": WRONG, "shares": SHARES, "slides": rows}))


def slides() -> Iterator[tuple[str, list[np.ndarray], Spelling]]:
    """Yield the name, levels and encoding of each slide."""
    pictures = {"painted, seed 1": tissue(1, 2048), "painted, seed 2": tissue(2, 2048)}
    real = os.environ.get("HEARTWOOD_REAL_DATA")
    if real:
        with openslide.OpenSlide(Path(real) / "slide" / "cmu-1-small-region.svs") as slide:
            pictures["real"] = np.asarray(slide.read_region((0, 0), 0, slide.dimensions))[..., :3].copy()
    for name, picture in pictures.items():
        for method in ("box", "lanczos", "nearest"):
            quality = 30 if name == "real" else 80
            yield f"{name}, {method}", [picture, *(reduced(picture, d, method) for d in (4, 16))], Spelling(quality=quality)


def reduced(picture: np.ndarray, down: int, method: str) -> np.ndarray:
    """Return ``picture`` ``down`` times smaller by a filter of Pillow's."""
    height, width = (side // down for side in picture.shape[:2])
    image = Image.fromarray(np.ascontiguousarray(picture[: height * down, : width * down]))
    return np.asarray(image.resize((width, height), Image.Resampling[method.upper()]))


def judged(path: Path, ratio: int) -> dict[str, Any]:
    """Return what one witness says of a slide's whole tiles and of damaged ones."""
    rng = np.random.default_rng(3)
    with open_slide(path) as slide:
        native = slide.native(0)
        witness = next(w for w in slide.witnesses(0) if w.ratio == ratio)
        mosaic = native.level.mosaic
        numbers = np.arange(mosaic.rows * mosaic.columns)
        whole = np.empty((len(numbers), mosaic.tile_height, mosaic.tile_width, 3), np.uint8)
        for number in numbers.tolist():
            native.read(number, whole[number])
        witness.ask(numbers)
        false = int(_doubted(witness, whole, numbers).sum())
        counts = {"tried": 0, "warned": 0, "harmless": 0}
        silent, found = np.zeros(len(SHARES) - 1, int), np.zeros(len(SHARES) - 1, int)
        for kind, length in DAMAGE:
            for _ in range(TRIES):
                number = int(rng.integers(len(numbers)))
                counts["tried"] += 1
                share, doubted = _one(native, witness, whole, number, damaged(native.stream(number), kind, length, rng))
                if share is None:
                    counts["warned"] += 1
                elif share == 0:
                    counts["harmless"] += 1
                else:
                    place = int(np.searchsorted(SHARES[1:-1], share))
                    silent[place] += 1
                    found[place] += doubted
    return {
        "witness": f"{ratio} times coarser",
        "limits_grey_levels": [round(float(limit) / 16, 1) for limit in witness.limits],
        "whole_tiles": len(numbers),
        "whole_tiles_doubted": false,
        **counts,
        "silent": silent.tolist(),
        "found": found.tolist(),
    }


def damaged(stream: bytes, kind: str, length: int, rng: np.random.Generator) -> bytes:
    """Return a JPEG stream with bytes of its scan overwritten."""
    first = stream.rindex(b"\xff\xda") + 14
    length = min(length, len(stream) - 2 - first)
    at = int(rng.integers(first, len(stream) - 2 - length + 1))
    new = bytes(length) if kind == "zero" else rng.integers(0, 256, length, dtype=np.uint8).tobytes()
    if kind == "bit":
        new = bytes([stream[at] ^ 1 << int(rng.integers(8))])
    return stream[:at] + new + stream[at + length :]


def _one(native: NativeTiles, witness: Witness, whole: np.ndarray, number: int, stream: bytes) -> tuple[float | None, bool]:
    """Return the wrong part of the tile's visible area, ``None`` where libjpeg-turbo warned, and whether it was doubted."""
    mosaic = native.level.mosaic
    pixels = np.empty((1, *whole.shape[1:]), np.uint8)
    try:
        native.decode(stream, pixels[0])
    except UnreadableTileError:
        return None, True
    row, column = divmod(number, mosaic.columns)
    shown = (mosaic.height - row * mosaic.tile_height, mosaic.width - column * mosaic.tile_width)
    off = np.abs(pixels[0].astype(int) - whole[number])[: shown[0], : shown[1]].max(axis=2)
    return float((off > WRONG).mean()), bool(_doubted(witness, pixels, np.array([number]))[0])


def _doubted(witness: Witness, pixels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    flat = pixels.reshape(len(pixels), pixels.shape[1], -1)
    differences = witness.differences(flat, numbers, np.arange(len(numbers)))
    return np.asarray((differences > witness.limits).any(axis=1))


if __name__ == "__main__":
    main()
