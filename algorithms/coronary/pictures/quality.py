"""Three slices through a volume, for the eye to judge what the machine was given.  Arrays are (Z, Y, X)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from algorithms.coronary.grid import Grid
from algorithms.report import drawing
from algorithms.report.palette import MUTED

WINDOW_HU = (-150.0, 550.0)
"""Grey scale: level 200, width 700, usual for contrasted hearts."""

SLAB_MM = 5.0
"""Thickness of the mean that each picture shows."""


def draw_quality(volume: Grid, centre_mm: np.ndarray | None, out: Path) -> None:
    """Write an axial, a coronal and a sagittal slice of 5 mm through ``centre_mm`` (the volume's centre if ``None``)."""
    spacing, shape = np.array(volume.spacing_mm), np.array(volume.values.shape)
    index = shape // 2
    if centre_mm is not None:
        index = np.clip(np.rint(volume.index(centre_mm)).astype(int), 0, shape - 1)
    slices = [_slab(volume.values, axis, int(index[axis]), spacing[axis]) for axis in range(3)]
    sizes = [
        (p.shape[1] * s[1], p.shape[0] * s[0])
        for p, s in zip(slices, [spacing[[1, 2]], spacing[[0, 2]], spacing[[0, 1]]], strict=True)
    ]
    gap = 0.08
    # One height for all three: widths follow from the true proportions of each slice.
    ratios = [width / height for width, height in sizes]
    height = min((drawing.WIDTH_IN - 2 * gap) / sum(ratios), 3.2)
    left = (drawing.WIDTH_IN - height * sum(ratios) - 2 * gap) / 2
    with drawing.figure(drawing.WIDTH_IN, height + 0.2) as drawn:
        for picture, ratio, title, up in zip(
            slices, ratios, ("axial", "coronal", "sagittal"), (False, True, True), strict=True
        ):
            axes = drawn.add_axes((left / drawing.WIDTH_IN, 0, height * ratio / drawing.WIDTH_IN, height / (height + 0.2)))
            axes.imshow(
                picture, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], aspect="auto", origin="lower" if up else "upper",
                interpolation="antialiased",
            )  # fmt: skip
            axes.set_title(title, loc="left", pad=3, color=MUTED, fontsize=8.5)
            axes.set_axis_off()
            left += height * ratio + gap
        drawing.save(drawn, out, dpi=180)


def _slab(array: np.ndarray, axis: int, index: int, spacing_mm: float) -> np.ndarray:
    half = int(SLAB_MM / spacing_mm / 2)
    part = [slice(None)] * 3
    part[axis] = slice(max(index - half, 0), index + half + 1)
    mean: np.ndarray = array[tuple(part)].mean(axis=axis, dtype=np.float32)
    return mean
