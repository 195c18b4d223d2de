"""The radius that a vessel would have without disease.

A healthy vessel never widens downstream: between branches it tapers little by little.  Disease only narrows (an aneurysm
apart).  So the reference is a smooth, never widening curve that most of the radii lie on and few lie above: asymmetric
least squares, in which a point below the curve counts for far less than one above, and the less the farther it is below.
Radii are mm, along one vessel at equal steps.

References
----------
Newey, Powell, *Asymmetric least squares estimation and testing*, Econometrica 55:819 (1987) for the weights;
Dodge et al., Circulation 86:232 (1992) for the taper of healthy coronary arteries.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import lsq_linear

from algorithms.coronary.vessel.cross_section import STEP_MM

BELOW_WEIGHT = 0.25
"""Weight of a point below the curve against one above it."""

SCALE = 0.06
"""Part of the radius that noise and the vessel's own waviness explain; points farther below count as disease."""

KNOT_MM = 25.0
"""The taper may change this often: longer than most lesions, as long as a coronary segment."""

STEEPEST_PER_MM = 0.02
"""A healthy main vessel loses at most this part of its radius per mm (the LAD of Dodge et al. loses 0.006)."""


def reference_radius_mm(
    radius_mm: np.ndarray, radius_sd_mm: np.ndarray, trusted: np.ndarray, *, step_mm: float = STEP_MM, iterations: int = 30
) -> np.ndarray:
    """Return the radius without disease at each point, (N,) mm, never widening downstream.

    Parameters
    ----------
    radius_mm, radius_sd_mm
        (N,) measured.
    trusted
        (N,) bool; points that are not (bifurcations) count little.
    step_mm
        Distance of neighbouring points.
    iterations
        Reweighted fits at the most.
    """
    count = len(radius_mm)
    length = (count - 1) * step_mm
    intervals = max(1, int(np.rint(length / KNOT_MM)))
    place = np.linspace(0, intervals, count)
    hats = np.maximum(0.0, 1 - np.abs(place[:, None] - np.arange(intervals + 1)))
    # Unknowns: the radius at the far end and the (positive) loss across each interval, so that no solution widens.
    losses = np.triu(np.ones((intervals + 1, intervals)))  # knot k lies above the end by the losses of intervals k, k + 1 ...
    design = hats @ np.concatenate([np.ones((intervals + 1, 1)), losses], axis=1)
    base = np.where(trusted, 1.0, 0.05) / np.maximum(radius_sd_mm, 0.03) ** 0.5
    start = float(np.quantile(radius_mm[trusted] if trusted.any() else radius_mm, 0.8))
    curve = np.full(count, start)
    high = np.r_[np.inf, np.full(intervals, max(STEEPEST_PER_MM * start * length / intervals, 1e-3))]
    for _ in range(iterations):
        miss = radius_mm - curve
        scale = SCALE * curve
        below = BELOW_WEIGHT / (1 + (miss / (1.5 * scale)) ** 2)
        above = 1 / (1 + (np.maximum(miss - 3 * scale, 0) / scale) ** 2)  # an aneurysm or a leak is no reference either
        weight = np.sqrt(base * np.where(miss < 0, below, above))
        # A weak wish for an even taper keeps a knot inside a long lesion where its neighbours put it.
        smooth = np.zeros((max(intervals - 1, 0), intervals + 1))
        for k in range(intervals - 1):
            smooth[k, k + 1], smooth[k, k + 2] = 1.0, -1.0
        strength = 0.15 * np.sqrt(count * float(np.mean(weight**2)))
        rows = np.concatenate([design * weight[:, None], strength * smooth])
        wanted = np.concatenate([radius_mm * weight, np.zeros(len(smooth))])
        solution = lsq_linear(rows, wanted, bounds=(np.zeros(intervals + 1), high), method="bvls").x
        new = design @ solution
        if np.abs(new - curve).max() < 1e-4:
            break
        curve = new
    reference: np.ndarray = np.maximum(curve, 0.1)
    return reference
