"""Radii along a vessel, from sections that were fitted each for itself: as stiff as the sections are uncertain.

A vessel bends its width little where it is healthy and much in a lesion.  So the radius' second derivative is taken for noise
whose density is learnt along the way: little by little it grows where sections say so with certainty, and stays low where
they are unsure.  In a good scan a throat keeps its depth; in a noisy one a single section makes no stenosis.
Radii are mm, every ``STEP_MM`` along one vessel.

References
----------
Whittaker, *On a new method of graduation*, Proc Edinburgh Math Soc 41:63 (1923): the curve between fidelity and evenness;
Lange, Little, Taylor, J Am Stat Assoc 84:881 (1989): reweighting by Student's t, here with one degree of freedom.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.linalg import solveh_banded

from algorithms.coronary.vessel.cross_section import STEP_MM, smoothed

NOISE_LENGTH_MM = 0.7
"""Length of vessel over which the errors of sections are one error: the side of the area over which noise is one value."""

LEAST_SD_MM = 0.02
"""No section is surer than this."""

BEND_PER_MM = 0.1
"""Density of the second derivative of the radius before anything is known, (1/mm)^2 mm.  A throat of 70 % in a vessel of 3 mm,
7 to 16 mm long and with sections that err by 0.1 mm, is then read within 0.02 mm of its depth on the average; 0.03 makes it
0.05 mm too shallow if it is short, 0.3 makes it 0.03 mm too deep if it is long."""

NEAR_MM = 0.7
"""Bends within this of each other are learnt together."""

TURNS = 8
"""Times that the density is learnt."""

MOST_SHARPENED_MM = 0.08
"""Most that a radius is changed by what the blur along the vessel did to it, mm: as in the throat of a 70 % stenosis that is
5 mm long in a left main stem of 4 mm, under a blur of 0.4 mm; more is noise."""

MOST_SHARPENED = 0.1
"""And most as a part of the radius (1): a lumen that is nearly closed is not closed by it."""

SHARPENED_OVER_MM = 0.7
"""The bend that is taken off is that of the radius smoothed by a Gaussian of this standard deviation."""


def evened(radius_mm: np.ndarray, radius_sd_mm: np.ndarray) -> np.ndarray:
    """Return the most probable radii (N,) along a vessel of at least 3 sections, given each section's and its deviation."""
    fidelity = STEP_MM / NOISE_LENGTH_MM / np.maximum(radius_sd_mm, LEAST_SD_MM) ** 2
    density = np.full(len(radius_mm) - 2, BEND_PER_MM)
    for _ in range(TURNS):
        curve = _graduated(radius_mm, fidelity, 1 / (density * STEP_MM**3))
        bend = np.diff(curve, 2) / STEP_MM**2
        near = ndimage.gaussian_filter1d(bend**2, NEAR_MM / STEP_MM, mode="nearest")
        density = (BEND_PER_MM + near * STEP_MM) / 2
    return curve


def _graduated(values: np.ndarray, fidelity: np.ndarray, stiffness: np.ndarray) -> np.ndarray:
    """Return the curve of least ``fidelity (values - curve)^2 + stiffness (second difference of curve)^2``."""
    count = len(values)
    bands = np.zeros((3, count))
    bands[2] = fidelity
    difference = (1.0, -2.0, 1.0)
    for i in range(3):
        for j in range(i, 3):
            bands[2 - (j - i), j : j + count - 2] += stiffness * difference[i] * difference[j]
    curve: np.ndarray = solveh_banded(bands, fidelity * values)
    return curve


def sharpened(radius_mm: np.ndarray, blur_sd_mm: float) -> np.ndarray:
    """Return radii (N,) without what a blur along the vessel added to its throats.

    A section also sees its neighbours: blurred by s, a radius r becomes r + s^2 r'' / 2 to second order, and that is taken off.
    """
    bend = smoothed(np.gradient(np.gradient(radius_mm, STEP_MM), STEP_MM), SHARPENED_OVER_MM)
    most = np.minimum(MOST_SHARPENED_MM, MOST_SHARPENED * radius_mm)
    added = np.clip(blur_sd_mm**2 * bend / 2, -most, most)
    return np.asarray(radius_mm - added)
