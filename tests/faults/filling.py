"""A pipeline of one stage that writes a mebibyte with a library of one's choice: each tells of a full disk in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from algorithms.contract.pipeline import Output, Parameter, Pipeline, Stage

LIBRARIES = ("python", "numpy", "pillow", "silent")
SIDE = 1024


def fill(inputs: Mapping[str, Path], out: Path, *, library: str) -> dict[str, int]:
    """Write a picture; ``silent`` does as SimpleITK's writer of NIfTI does: what there is room for, without a word."""
    values = np.ones((SIDE, SIDE), np.uint8)
    path = out / "picture"
    match library:
        case "python":
            path.write_bytes(values.tobytes())
        case "numpy":
            np.save(path.with_suffix(".npy"), values)
            path.with_suffix(".npy").rename(path)
        case "pillow":
            Image.fromarray(values).save(path, format="bmp")
        case "silent":
            with suppress(OSError), path.open("wb", buffering=0) as file:
                for row in values:
                    file.write(row.tobytes())
    return {}


FILL = Stage(
    "fill",
    "tests.faults.filling:fill",
    1,
    "Fill.",
    ("study",),
    (Output("picture", "picture", "a mebibyte"),),
    "none",
    (Parameter("library", "python", "what writes", "none", choices=LIBRARIES),),
)
FILLING = Pipeline("filling", "Filling", "Fills a disk.", "anything", (FILL,))
