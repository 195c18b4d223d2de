"""Lessons: blocks cut out of samples and changed as scanners and people differ, each drawn from its own random numbers.

Lesson ``number`` of a training of ``seed`` is always the same, whoever draws it: so a run that was killed goes on exactly
where it was, and several processes share one sequence.  Arrays are (Z, Y, X).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from algorithms.segmentation.entry import MUSCLE_HU
from algorithms.segmentation.segmenter import normalised
from algorithms.train_segmentation.sample import FULL, Sample
from algorithms.train_segmentation.tasks import Task


@dataclass(frozen=True)
class Changes:
    """How far a block may be changed; each is a range or a greatest value, drawn evenly.

    ``scale`` of lengths; ``contrast`` of intensities about muscle; ``shift_hu``; ``noise_hu``, of a grain of up to
    ``grain_voxels``; ``blur_voxels``, standard deviation.  Half of the blocks get noise, a quarter are blurred.  ``blood`` is
    what the aorta's blood was measured as, over what it is.
    """

    scale: tuple[float, float] = (0.9, 1.1)
    contrast: tuple[float, float] = (0.75, 1.2)
    shift_hu: float = 30.0
    noise_hu: float = 30.0
    grain_voxels: float = 1.0
    blur_voxels: float = 0.7
    blood: tuple[float, float] = (0.96, 1.04)


ANCHORED = 0.75
"""Share of the lessons whose block lies around a voxel of a channel that is drawn first; the others lie anywhere."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """Normalised intensities (1, Z, Y, X) float32, targets (channels, Z, Y, X) float32, and which channels are known."""

    image: np.ndarray
    target: np.ndarray
    known: np.ndarray


def lesson(samples: Sequence[Sample], task: Task, seed: int, number: int, changes: Changes | None = None) -> Lesson:
    """Return lesson ``number`` of the training of ``seed``."""
    rng = np.random.default_rng([seed, number])
    changes = changes or Changes()
    sample = samples[int(rng.integers(len(samples)))]
    scale = rng.uniform(*changes.scale)
    wide = tuple(max(1, round(side * scale)) for side in task.taught)
    start = _start(sample, wide, rng)
    image = _cut(sample.image, start, wide, edge=True).astype(np.float32)
    target = np.stack([_cut(channel, start, wide, edge=False) for channel in sample.targets]).astype(np.float32) / FULL
    if wide != task.taught:
        ratio = [a / b for a, b in zip(task.taught, wide, strict=True)]
        image = _zoomed(image, ratio)
        target = np.clip(np.stack([_zoomed(channel, ratio) for channel in target]), 0, 1)
    for axis in task.mirrors:
        if rng.random() < 0.5:
            image, target = np.flip(image, axis), np.flip(target, axis + 1)
    image, gain, shift_hu = _changed(image, changes, rng)
    blood_hu = None if sample.blood_hu is None else rng.uniform(*changes.blood) * (_stretched(sample.blood_hu, gain) + shift_hu)
    image = normalised(image, task.input, blood_hu)
    return Lesson(np.ascontiguousarray(image[None]), np.ascontiguousarray(target), sample.known)


def _start(sample: Sample, size: Sequence[int], rng: np.random.Generator) -> list[int]:
    """Return the first voxel of a block, which may lie up to half a block outside the volume."""
    room = [(min(0, n - s), max(0, n - s)) for n, s in zip(sample.image.shape, size, strict=True)]
    channels = np.unique(sample.anchors[:, 0])
    if len(channels) and rng.random() < ANCHORED:
        anchors = sample.anchors[sample.anchors[:, 0] == rng.choice(channels)]
        anchor = anchors[int(rng.integers(len(anchors))), 1:]
        wanted = [int(a) - int(rng.integers(s // 4, s - s // 4)) for a, s in zip(anchor, size, strict=True)]
        return [int(np.clip(w, low, high)) for w, (low, high) in zip(wanted, room, strict=True)]
    return [int(rng.integers(low, high + 1)) for low, high in room]


def _cut(values: np.ndarray, start: Sequence[int], size: Sequence[int], *, edge: bool) -> np.ndarray:
    """Return a block of ``values`` (Z, Y, X), filled up outside with the edge's values, or with 0."""
    stop = [a + s for a, s in zip(start, size, strict=True)]
    inside = tuple(slice(max(a, 0), min(b, n)) for a, b, n in zip(start, stop, values.shape, strict=True))
    block = np.asarray(values[inside])
    lack = [(max(-a, 0), max(b - n, 0)) for a, b, n in zip(start, stop, values.shape, strict=True)]
    if not any(map(any, lack)):
        return block
    return np.pad(block, lack, mode="edge") if edge else np.pad(block, lack)


def _zoomed(values: np.ndarray, ratio: Sequence[float]) -> np.ndarray:
    out: np.ndarray = ndimage.zoom(values, ratio, order=1, mode="nearest", grid_mode=True)
    return out


def _stretched(hu: Any, gain: float) -> Any:
    return MUSCLE_HU + gain * (hu - MUSCLE_HU)


def _changed(hu: np.ndarray, changes: Changes, rng: np.random.Generator) -> tuple[np.ndarray, float, float]:
    """Return changed intensities, the stretch about muscle and the shift (HU) that they got."""
    gain, shift_hu = rng.uniform(*changes.contrast), rng.uniform(-changes.shift_hu, changes.shift_hu)
    out = _stretched(hu, gain) + shift_hu
    if rng.random() < 0.25:
        out = ndimage.gaussian_filter(out, rng.uniform(0, changes.blur_voxels))
    if rng.random() < 0.5:
        grain = ndimage.gaussian_filter(rng.standard_normal(hu.shape, dtype=np.float32), rng.uniform(0, changes.grain_voxels))
        out = out + rng.uniform(0, changes.noise_hu) * grain / grain.std()
    return np.asarray(out, np.float32), gain, shift_hu
