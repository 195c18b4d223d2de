"""A study as training and evaluation read it: intensities and targets at the network's spacing, mapped from the disk.

::

    image.npy       (Z, Y, X) int16 Hounsfield units
    targets.npy     (channels, Z, Y, X) uint8, 255ths of certainty or of the voxel's share
    anchors.npy     (N, 4) int32: channel, z, y, x of voxels of each channel, by which blocks are found
    sample.json     name, task, held_back, known (which channels are), blood_hu, spacing_mm, origin_mm, source

Arrays are (Z, Y, X); points are LPS mm.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ANCHORS = 4096
"""Most anchors of a channel: enough that no two blocks of a training are alike."""

FULL = 255
"""A target's greatest value."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One study; ``image`` and ``targets`` are mapped, not read."""

    image: np.ndarray
    targets: np.ndarray
    anchors: np.ndarray
    facts: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What the study is called in this training run."""
        return str(self.facts["name"])

    @property
    def known(self) -> np.ndarray:
        """Which channels were labelled, (channels,) bool."""
        return np.array(self.facts["known"], bool)

    @property
    def blood_hu(self) -> float | None:
        """Hounsfield units of the aorta's blood; ``None`` where no label tells."""
        return None if self.facts["blood_hu"] is None else float(self.facts["blood_hu"])


def write_sample(folder: Path, image: np.ndarray, targets: np.ndarray, facts: Mapping[str, Any]) -> None:
    """Write a sample into ``folder``, which is made; ``targets`` are float shares of 0 to 1, ``image`` Hounsfield units."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "image.npy", np.clip(np.rint(image), -1024, 3071).astype(np.int16))
    np.save(folder / "targets.npy", np.rint(np.clip(targets, 0, 1) * FULL).astype(np.uint8))
    rng = np.random.default_rng(0)
    np.save(folder / "anchors.npy", np.concatenate([_anchors(number, one, rng) for number, one in enumerate(targets)]))
    (folder / "sample.json").write_text(json.dumps(facts, indent=1) + "\n")


def read_sample(folder: Path) -> Sample:
    """Return the sample in ``folder``."""
    arrays = (np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ("image", "targets", "anchors"))
    image, targets, anchors = arrays
    return Sample(image, targets, anchors, json.loads((folder / "sample.json").read_text()))


def read_samples(folder: Path, *, held_back: bool) -> list[Sample]:
    """Return the samples of a collection that are held back, or those that are not, in the order of their names."""
    samples = [read_sample(path) for path in sorted(folder.iterdir()) if (path / "sample.json").is_file()]
    return [sample for sample in samples if bool(sample.facts["held_back"]) is held_back]


def _anchors(channel: int, target: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    found = np.argwhere(target >= 0.5).astype(np.int32)
    if len(found) > ANCHORS:
        found = found[np.sort(rng.choice(len(found), ANCHORS, replace=False))]
    return np.concatenate([np.full((len(found), 1), channel, np.int32), found], axis=1)


def box_around(mask: np.ndarray, margin: Sequence[int]) -> tuple[slice, ...]:
    """Return the smallest box of ``mask`` (Z, Y, X) with ``margin`` voxels around it, inside the volume."""
    found = np.argwhere(mask)
    low = np.maximum(found.min(axis=0) - margin, 0)
    high = np.minimum(found.max(axis=0) + np.asarray(margin) + 1, mask.shape)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
