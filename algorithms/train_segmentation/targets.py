"""From a labelled study to the targets of a network: shares of each voxel, bells around the ostia.

Arrays are (Z, Y, X); spacing is mm in that order; points are LPS mm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from algorithms.phantom.coronary.phantom import CoronaryPhantom
from algorithms.phantom.coronary.tissues import LABELS as PHANTOM_LABELS
from algorithms.segmentation.resample import origin_mm, resampled
from algorithms.train_segmentation.sample import box_around
from algorithms.train_segmentation.tasks import CHANNELS, OSTIA, Task

OSTIUM_SD_MM = 4.0
"""Standard deviation of the bell around an ostium: two voxels of the coarse network."""

TREE_GAIN = 4.0
"""A coarse voxel is coronary tree in full where a quarter of it is lumen: an artery of 1.1 mm across its middle."""

Points = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Study:
    """A labelled volume: Hounsfield units, a mask or share (Z, Y, X) of every label that is known, and places."""

    hu: np.ndarray
    shares: Mapping[str, np.ndarray]
    places_mm: Points
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]

    def of_labels(self, labels: tuple[str, ...]) -> np.ndarray | None:
        """Return the share of several labels together, or ``None`` where one of them is not known."""
        if not all(label in self.shares for label in labels):
            return None
        parts = [self.shares[label].astype(np.float32) for label in labels]
        return np.minimum(sum(parts[1:], parts[0]), 1)


def phantom_study(phantom: CoronaryPhantom) -> Study:
    """Return a phantom with everything that is true of it as a labelled study."""
    shares = {name: phantom.labels == value for name, value in PHANTOM_LABELS.items()}
    shares["coronary lumen"] = phantom.lumen_fraction.astype(np.float32) / 64
    shares["heart"] = _heart(phantom)
    ostia = {f"{side} ostium": np.asarray(point) for side, point in phantom.facts["ostia"].items()}
    return Study(phantom.volume_hu, shares, ostia, phantom.spacing_mm, phantom.origin_mm)


def _heart(phantom: CoronaryPhantom) -> np.ndarray:
    z, y, x = phantom.grid.axes_mm()
    out = np.zeros(phantom.grid.shape, bool)
    for k, height in enumerate(z):  # slice by slice: the points of a whole volume would take gigabytes
        points = np.stack(np.broadcast_arrays(x[None, :], y[:, None], height), axis=-1).astype(np.float32)
        out[k] = phantom.person.heart.pericardium(points) <= 0
    return out


def targets(study: Study, task: Task) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Return intensities, targets (channels, Z, Y, X) and facts of a study as ``task`` sees it.

    Where the task keeps to the coronary tree, all of it is cut to the box of the lumen and its margin.
    """
    part: tuple[slice, ...] = (slice(None),) * 3
    if task.margin_mm and "coronary lumen" in study.shares:
        part = box_around(study.shares["coronary lumen"] > 0, [int(task.margin_mm / s) for s in study.spacing_mm])
    start = [s.start or 0 for s in part]
    moved = [o + s * a for o, s, a in zip(study.origin_mm, study.spacing_mm[::-1], start[::-1], strict=True)]
    wanted = task.input.spacing_mm
    image = resampled(study.hu[part], study.spacing_mm, wanted)
    origin = origin_mm(moved, study.spacing_mm, wanted)
    made, known = [], []
    for channel in task.channels:
        if channel in OSTIA:
            place = study.places_mm.get(channel)
            target = None if place is None else _bell(place, image.shape, wanted, origin)
        else:
            target = _share(channel, study, part, wanted)
        known.append(target is not None)
        made.append(np.zeros(image.shape, np.float32) if target is None else target)
    facts = {"known": known, "blood_hu": blood_hu(study), "spacing_mm": list(wanted), "origin_mm": list(origin)}
    return image, np.stack(made), facts


def blood_hu(study: Study) -> float | None:
    """Return the Hounsfield units of the aorta's blood, or the coronary lumen's where the aorta is not labelled."""
    for label in ("ascending aorta and root", "coronary lumen"):
        inside = study.shares.get(label, np.zeros(0)) >= 1
        if inside.any():
            return round(float(np.median(study.hu[inside])), 1)
    return None


def _share(channel: str, study: Study, part: tuple[slice, ...], wanted_mm: Sequence[float]) -> np.ndarray | None:
    share = study.of_labels(CHANNELS[channel])
    if share is None:
        return None
    out = resampled(share[part], study.spacing_mm, wanted_mm)
    return np.minimum(TREE_GAIN * out, 1) if channel == "coronary tree" else out


def _bell(place_mm: np.ndarray, shape: Sequence[int], spacing_mm: Sequence[float], origin: Sequence[float]) -> np.ndarray:
    """Return 1 at the place, falling off as a normal distribution does, (Z, Y, X) float32."""
    sides = [
        np.exp(-0.5 * ((origin[2 - axis] + step * np.arange(count) - place_mm[2 - axis]) / OSTIUM_SD_MM) ** 2)
        for axis, (count, step) in enumerate(zip(shape, spacing_mm, strict=True))
    ]
    bell: np.ndarray = (sides[0][:, None, None] * sides[1][:, None] * sides[2]).astype(np.float32)
    return bell
