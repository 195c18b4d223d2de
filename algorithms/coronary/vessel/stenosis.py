"""Narrowings of a vessel: where its radius falls below its reference and comes back.

Radii are mm, along one vessel at equal steps.
"""

from __future__ import annotations

import numpy as np

from algorithms.coronary.tree import Branch, Stenosis
from algorithms.coronary.vessel.cross_section import STEP_MM

MERGE_MM = 3.0
"""Two narrowings nearer than this along the vessel are one lesion."""

SHORTEST_MM = 1.5
"""A narrowing shorter than this is narrower than the scanner's blur: noise."""

SHOULDER, SHOULDER_MM = 0.03, 4.0
"""A lesion reaches from where the vessel is within 3 % of its reference, at most this far beyond the narrowing's edge."""

TIP_MM = 6.0
"""The last mm of a vessel fade into the noise; a narrowing that reaches the tip is its end, not a lesion."""

CERTAIN = 3.0
"""Standard deviations of a section's radius by which a throat is narrower than its reference.

A tree has 800 mm of vessels, 400 pieces that are fitted each for itself: of sections alone, noise beyond 3 deviations makes
half a lesion, beyond 2 nine.  Evened along the vessel (`radius_along`) it makes fewer: on 11 phantoms that were used for tuning
one healthy place came to half its width by noise, at 2.6.
"""

OBSTRUCTIVE = 0.5
"""Diameter stenosis that may need treatment (1): one that is not certain is still worth a look (CAD-RADS 2.0, category 3)."""

THINNEST_REFERENCE_MM = 0.55
"""Vessels of less reference radius (1.1 mm across) are below what CT grades (SCCT: 1.5 mm and more are assessed)."""


def stenoses_of(branch: Branch, index: int, *, free: int, tip: bool, least: float) -> list[Stenosis]:
    """Return the narrowings of one branch, from the ostium on; `is_certain` tells which of them are no noise.

    Parameters
    ----------
    branch, index
        The vessel, and its place in the tree.
    free
        The first point outside the parent's lumen: no lesion starts before it.
    tip
        The vessel ends in a tip and not in a fork.
    least
        Least diameter stenosis at the throat, 0 to 1.
    """
    loss = 1 - branch.radius_mm / branch.reference_radius_mm
    edge = 0.5 * least
    runs = _runs(loss > edge, free)
    lesions: list[tuple[int, int]] = []
    for start, end in runs:
        if (
            lesions
            and (start - lesions[-1][1]) * STEP_MM < MERGE_MM
            and _deep(loss, lesions[-1], least)
            and loss[start:end].max() >= least
        ):
            lesions[-1] = (lesions[-1][0], end)
        else:
            lesions.append((start, end))
    found = []
    for start, end in lesions:
        throat = start + int(np.argmax(loss[start:end]))
        last = end - 1
        if loss[throat] < least or (last - start) * STEP_MM < SHORTEST_MM:
            continue
        if tip and last >= len(loss) - 1 - int(TIP_MM / STEP_MM) and throat >= len(loss) - 1 - int(2 * TIP_MM / STEP_MM):
            continue
        if branch.reference_radius_mm[throat] < THINNEST_REFERENCE_MM:
            continue
        found.append(_stenosis(branch, index, throat, _shoulders(loss, start, last, free)))
    return found


def _shoulders(loss: np.ndarray, start: int, last: int, free: int) -> tuple[int, int]:
    """Return the ends of a narrowing moved outwards to where the vessel stops widening or is healthy again."""
    reach = int(SHOULDER_MM / STEP_MM)
    for _ in range(reach):
        if start > free and SHOULDER < loss[start - 1] <= loss[start]:
            start -= 1
        if last < len(loss) - 1 and SHOULDER < loss[last + 1] <= loss[last]:
            last += 1
    return start, last


def _runs(below: np.ndarray, free: int) -> list[tuple[int, int]]:
    """Return the (start, end) of runs of True at or after ``free``."""
    marked = below.copy()
    marked[:free] = False
    steps = np.flatnonzero(np.diff(np.r_[False, marked, False].astype(int)))
    return [(int(a), int(b)) for a, b in zip(steps[::2], steps[1::2], strict=True)]


def _deep(loss: np.ndarray, run: tuple[int, int], least: float) -> bool:
    return bool(loss[run[0] : run[1]].max() >= least)


def is_certain(branch: Branch, stenosis: Stenosis) -> bool:
    """Return whether the throat is narrower than its reference by more than noise makes of a healthy vessel."""
    throat = stenosis.throat
    lack = branch.reference_radius_mm[throat] - branch.radius_mm[throat]
    return bool(lack > CERTAIN * branch.radius_sd_mm[throat])


def _stenosis(branch: Branch, index: int, throat: int, ends: tuple[int, int]) -> Stenosis:
    start, end = ends
    ratio = float(branch.radius_mm[throat] / branch.reference_radius_mm[throat])
    return Stenosis(
        branch=index,
        start=start,
        throat=throat,
        end=end,
        diameter_stenosis=round(1 - ratio, 4),
        area_stenosis=round(1 - ratio**2, 4),
        minimal_lumen_diameter_mm=round(2 * float(branch.radius_mm[throat]), 4),
        reference_diameter_mm=round(2 * float(branch.reference_radius_mm[throat]), 4),
        length_mm=round(float(branch.distance_mm[end] - branch.distance_mm[start]), 4),
        segment=int(branch.segment[throat]),
    )


def doubt_of(branch: Branch, stenosis: Stenosis) -> str:
    """Return what to look at where a narrowing may be noise."""
    percent, at = 100 * stenosis.diameter_stenosis, stenosis.throat
    return (
        f"the {branch.name} may be narrowed by {percent:.0f} % {branch.distance_mm[at]:.0f} mm from its origin, but its radius "
        f"is known there to {branch.radius_sd_mm[at]:.2f} mm only: look there in the images"
    )
