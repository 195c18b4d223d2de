"""The grid of a stack of axial slices, or the reason why they are none.

Positions are LPS mm, spacings are (z, y, x) mm.  A stack that passes has parallel, equally spaced slices stacked along
their own normal; it is returned with the flips that bring its axes to x = left, y = posterior, z = superior.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from algorithms.contract.errors import DataError

ORIENTATION_TOLERANCE = 1e-3
"""Direction cosines are written with six digits or more; this is 0.06 degrees."""

TILT_DEGREES = 0.5
"""Over 150 mm it moves a slice by 1.3 mm; scanners set the gantry to 0.5 degrees."""

UNEVEN_FRACTION = 0.05
"""Largest deviation of one slice gap from the usual one; positions are rounded to 0.1 mm at worst for slices of 2 mm."""

ROUNDING_MM = 0.011
"""Positions written with two decimals differ by this much from even spacing."""


@dataclass(frozen=True)
class Slice:
    """Where one image lies: ``position_mm`` of its first pixel, (3,) LPS; ``orientation`` as in ImageOrientationPatient."""

    instance: int
    rows: int
    columns: int
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    pixel_spacing_mm: tuple[float, ...]
    tilt_degrees: float = 0.0


@dataclass(frozen=True)
class Grid:
    """An axis-aligned volume: ``order`` of the slices from feet to head, what to do to each slice, and geometry.

    A slice is transposed first, where ``transpose`` says so; then its rows and columns are those of the patient, and flipped.
    """

    order: tuple[int, ...]
    flip_rows: bool
    flip_columns: bool
    transpose: bool
    origin_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]


def axial_grid(slices: Sequence[Slice]) -> Grid:
    """Return the grid of ``slices``.

    Raises
    ------
    DataError
        If matrices or orientations differ, the gantry was tilted, slices are oblique, missing, doubled or uneven.
    """
    if len(slices) < 2:
        raise DataError(f"{len(slices)} slices are no volume; send the whole series")
    first = slices[0]
    sizes = {(s.rows, s.columns, s.pixel_spacing_mm) for s in slices}
    if len(sizes) > 1:
        raise DataError(
            f"the slices have {len(sizes)} different matrices or pixel spacings, wanted one; send one reconstruction"
        )
    axes = _axes(slices)
    order, gap_mm = _even_stack(slices, axes)
    _require_no_tilt(slices, axes, order)
    rows_axis, columns_axis = int(np.argmax(np.abs(axes[1]))), int(np.argmax(np.abs(axes[0])))
    far = (first.columns - 1) * first.pixel_spacing_mm[1] * axes[0], (first.rows - 1) * first.pixel_spacing_mm[0] * axes[1]
    corners = [np.asarray(slices[order[0]].position_mm) + a + b for a in (0.0, far[0]) for b in (0.0, far[1])]
    origin = np.min(corners, axis=0)
    spacing = [gap_mm, 0.0, 0.0]
    spacing[2 - rows_axis] = first.pixel_spacing_mm[0]
    spacing[2 - columns_axis] = first.pixel_spacing_mm[1]
    return Grid(
        order=tuple(order),
        flip_rows=bool((axes[0] if rows_axis == 0 else axes[1])[1] < 0),
        flip_columns=bool((axes[1] if rows_axis == 0 else axes[0])[0] < 0),
        transpose=rows_axis == 0,
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
    )


def _axes(slices: Sequence[Slice]) -> np.ndarray:
    """Return the unit vectors along a row (x of the image), along a column and of the slice normal, (3, 3)."""
    orientations = np.asarray([s.orientation for s in slices])
    if np.abs(orientations - orientations[0]).max() > ORIENTATION_TOLERANCE:
        raise DataError("the slices are not parallel: their orientations differ; send one axial reconstruction")
    row, column = orientations[0, :3], orientations[0, 3:]
    norms = np.array([row @ row, column @ column])
    if np.abs(norms - 1).max() > 2 * ORIENTATION_TOLERANCE or abs(row @ column) > ORIENTATION_TOLERANCE:
        raise DataError("the image orientation is not two perpendicular unit vectors; the header is damaged, resend the series")
    return np.stack([row, column, np.cross(row, column)])


def _even_stack(slices: Sequence[Slice], axes: np.ndarray) -> tuple[list[int], float]:
    """Return the order of the slices from feet to head and their spacing, mm."""
    up = axes[2] if axes[2][2] >= 0 else -axes[2]
    along = np.asarray([s.position_mm for s in slices]) @ up
    order = [int(i) for i in np.lexsort(([s.instance for s in slices], along))]
    gaps = np.diff(along[order])
    gap_mm = float(np.median(gaps))
    named = [(slices[a].instance, slices[b].instance) for a, b in itertools.pairwise(order)]
    if gaps.min() < 0.01:
        a, b = named[int(np.argmin(gaps))]
        raise DataError(f"instances {a} and {b} lie at one position; send one reconstruction of one cardiac phase")
    widest = int(np.argmax(gaps))
    if gaps[widest] > 1.5 * gap_mm:
        a, b = named[widest]
        missing = int(np.round(np.sum(np.maximum(gaps / gap_mm - 1, 0))))
        raise DataError(
            f"slice gap of {gaps[widest]:.2f} mm between instances {a} and {b} where slices are {gap_mm:.2f} mm apart: "
            f"about {missing} slices are missing; ask the site to resend the complete series"
        )
    worst = int(np.argmax(np.abs(gaps - gap_mm)))
    off_mm = float(abs(gaps[worst] - gap_mm))
    if off_mm > max(UNEVEN_FRACTION * gap_mm, ROUNDING_MM):
        a, b = named[worst]
        raise DataError(
            f"uneven slices: {gaps[worst]:.2f} mm between instances {a} and {b}, {gap_mm:.2f} mm elsewhere; "
            "send a reconstruction with one slice increment"
        )
    return order, float((along[order[-1]] - along[order[0]]) / (len(slices) - 1))


def _require_no_tilt(slices: Sequence[Slice], axes: np.ndarray, order: Sequence[int]) -> None:
    run_mm = np.asarray(slices[order[-1]].position_mm) - np.asarray(slices[order[0]].position_mm)
    cosine = abs(float(run_mm @ axes[2])) / float(np.linalg.norm(run_mm))
    sheared = float(np.degrees(np.arccos(min(cosine, 1.0))))
    # The axis nearest to the body's, because an image may be lying, standing or turned by right angles.
    oblique = max(float(np.degrees(np.arccos(min(np.abs(axis).max(), 1.0)))) for axis in axes)
    tilt = max(sheared, oblique, *(abs(s.tilt_degrees) for s in slices))
    if tilt > TILT_DEGREES:
        raise DataError(
            f"the gantry or the reconstruction is tilted by {tilt:.1f} degrees, wanted at most {TILT_DEGREES:g}; "
            "send an untilted axial reconstruction"
        )
    if np.argmax(np.abs(axes[2])) != 2:
        raise DataError("the slices are not axial; send the axial reconstruction")
    wander_mm = np.asarray([s.position_mm for s in slices]) - np.asarray(slices[order[0]].position_mm)
    sideways_mm = float(np.abs(wander_mm @ axes[:2].T).max())
    if sideways_mm > 0.5 * min(slices[0].pixel_spacing_mm) + ROUNDING_MM:
        raise DataError(f"slices are shifted sideways by up to {sideways_mm:.1f} mm; send one reconstruction with one centre")
