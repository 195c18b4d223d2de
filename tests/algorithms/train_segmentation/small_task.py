"""A task small enough for a test: bright balls in the dark, and whether they are hollow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from algorithms.segmentation.architecture import Architecture
from algorithms.segmentation.entry import Input
from algorithms.train_segmentation.sample import Sample, read_sample, write_sample
from algorithms.train_segmentation.tasks import Task

BALLS = Task(
    "balls",
    "Balls",
    ("coronary lumen", "wide blood"),
    Input((1.0, 1.0, 1.0), (16, 16, 16), 2, (-200.0, 800.0), 100.0, 250.0),
    (12, 12, 12),
    Architecture(outputs=2, width=4, levels=2),
    "small",
    0.0,
    (0, 1, 2),
)


def ball_sample(folder: Path, seed: int, *, held_back: bool = False, known: tuple[bool, bool] = (True, True)) -> Sample:
    """Return a sample of 24^3 voxels with one small bright ball and one large one, written into ``folder``."""
    rng = np.random.default_rng(seed)
    index = np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), axis=-1)
    small, large = (
        np.linalg.norm(index - rng.uniform(low, high, 3), axis=-1) < radius for low, high, radius in ((4, 9, 2.5), (14, 19, 5))
    )
    image = np.where(small | large, 400.0, 0.0) + rng.normal(0, 20, small.shape)
    facts = {
        "name": folder.name,
        "task": "balls",
        "held_back": held_back,
        "known": list(known),
        "blood_hu": 400.0,
        "source": {"kind": "balls"},
    }
    facts |= {"spacing_mm": [1.0, 1.0, 1.0], "origin_mm": [0.0, 0.0, 0.0]}
    targets = np.stack([small, large]).astype(np.float32) * np.array(known)[:, None, None, None]
    write_sample(folder, image, targets, facts)
    return read_sample(folder)
