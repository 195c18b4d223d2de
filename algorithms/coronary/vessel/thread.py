"""Where the blood runs in a narrow part: the brightest way through the sections of a vessel, found before they are fitted.

A course through a mask goes where the mask is bright: in a lesion that is the middle of the vessel or its calcium, while the
lumen, hardly brighter than plaque, lies a millimetre beside it.  The fit of one section does not reach so far.  So where a
vessel is dim, it is first led on as it comes and goes, in one even bend; about that, each point of the sections' raster is a
place where the lumen may run, and dynamic programming finds the way that gathers most blood and turns aside least.

References
----------
Viterbi, *Error bounds for convolutional codes and an asymptotically optimum decoding algorithm*, IEEE Trans Inf Theory 13:260
(1967), for the best way through states that follow each other.  The other numbers here are our choice.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.interpolate import CubicHermiteSpline

from algorithms.coronary.vessel.cross_section import STEP_MM, Raster

RASTER = Raster.of(1.7, 0.2, 16)
"""The places where the lumen may run: up to the wall of a vessel of 4 mm."""

DIM = 0.7
"""A section is dim where its middle has less than this part of the blood's brightness."""

ALONG_MM = 0.5
"""Brightness is averaged along the vessel by a Gaussian of this standard deviation; a throat is longer."""

NEAR_MM = 2.0
"""A dim part begins this much before it and ends this much behind it; two that are nearer than twice this are one."""

LONGEST_MM = 24.0
"""A longer dim part is no lesion but a thin vessel, whose course is kept."""

TANGENT_MM = 3.0
"""The direction in which a vessel comes and goes is taken over this length."""

ASIDE = 0.1
"""A way loses this for each mm2 that it runs beside the middle; full brightness gains 1 in each section."""

BEND = 4.0
"""And this for each mm2 that it moves from one section to the next."""


def dim_parts(values_hu: np.ndarray, bloom_hu: np.ndarray, blood_hu: float) -> np.ndarray:
    """Return which sections lie in dim parts, (N,) bool; sections as for ``brightest_way_mm``."""
    middle = _brightness(values_hu[:, 0], bloom_hu[:, 0], blood_hu).mean(axis=1)
    dim = ndimage.gaussian_filter1d(middle, ALONG_MM / STEP_MM, mode="nearest") < DIM
    near = round(NEAR_MM / STEP_MM)
    wide: np.ndarray = ndimage.binary_dilation(ndimage.binary_closing(dim, iterations=near), iterations=near)
    return wide


def bridged_mm(points_mm: np.ndarray, dim: np.ndarray) -> np.ndarray:
    """Return a curve (N, 3) that crosses dim parts in even bends; one at an end, or longer than a lesion, stays as it is."""
    bridged = points_mm.copy()
    reach = round(TANGENT_MM / STEP_MM)
    for (part,) in ndimage.find_objects(ndimage.label(dim)[0]):
        a, b = part.start - 1, part.stop
        if a < reach or b + reach >= len(points_mm) or (b - a) * STEP_MM > LONGEST_MM:
            continue
        ends, outer = points_mm[[a, b]], points_mm[[a - reach, b + reach]]
        directions = (ends - outer) * [[1], [-1]]
        speed = np.linalg.norm(ends[1] - ends[0]) * directions / np.linalg.norm(directions, axis=1, keepdims=True)
        bridged[a : b + 1] = CubicHermiteSpline([0, 1], ends, speed)(np.linspace(0, 1, b - a + 1))
    return bridged


def brightest_way_mm(values_hu: np.ndarray, bloom_hu: np.ndarray, weight: np.ndarray, blood_hu: float) -> np.ndarray:
    """Return how far from each section's middle the blood runs, (N, 2) mm along the section's axes.

    Parameters
    ----------
    values_hu, bloom_hu, weight
        The image at the points of ``RASTER`` without what calcium adds to it, that bloom, and 0 for other vessels' blood,
        (N, rings, spokes).
    blood_hu
        Of the aorta.
    """
    bright = _brightness(values_hu, bloom_hu, blood_hu) * (weight > 0)
    bright = ndimage.gaussian_filter1d(bright, ALONG_MM / STEP_MM, axis=0, mode="nearest")
    spoke = np.stack([np.cos(RASTER.spoke_rad), np.sin(RASTER.spoke_rad)], axis=1)
    places = np.concatenate([np.zeros((1, 2)), (RASTER.ring_mm[:, None, None] * spoke).reshape(-1, 2)])
    middle = bright[:, :1].mean(axis=2)
    gain = np.concatenate([middle, bright.reshape(len(bright), -1)], axis=1) - ASIDE * (places**2).sum(axis=1)
    loss = BEND * ((places[:, None] - places) ** 2).sum(axis=-1)
    way: np.ndarray = places[_best_way(gain, loss)]
    return way


def _brightness(values_hu: np.ndarray, bloom_hu: np.ndarray, blood_hu: float) -> np.ndarray:
    """Return the part of the blood's attenuation that a value has, 0 to 1; less where bloom was taken off, which is unsure."""
    share: np.ndarray = np.clip(values_hu / blood_hu, 0, 1) * np.clip(1 - bloom_hu / blood_hu, 0, 1)
    return share


def _best_way(gain: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Return the state at each step, (N,), of the way that gains most: ``gain`` (N, S) less ``loss`` (S, S) of its changes."""
    came = np.zeros(gain.shape, dtype=np.intp)
    best = gain[0]
    for i in range(1, len(gain)):
        reached = best[:, None] - loss
        came[i] = reached.argmax(axis=0)
        best = reached.max(axis=0) + gain[i]
    way = np.empty(len(gain), dtype=np.intp)
    way[-1] = best.argmax()
    for i in range(len(gain) - 1, 0, -1):
        way[i - 1] = came[i, way[i]]
    return way
