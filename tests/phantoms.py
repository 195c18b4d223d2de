"""Data for tests, made here and never downloaded: a small coronary phantom, and a straight tube with a known stenosis.

Points are (N, 3) LPS mm; arrays are (Z, Y, X); intensities are Hounsfield units.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from algorithms.phantom.coronary.phantom import CoronaryPhantom, coronary_phantom


@functools.cache
def small_coronary(seed: int = 1, difficulty: str = "easy") -> CoronaryPhantom:
    """Return the small coronary phantom of ``seed``, painted once a test session; treat its arrays as read-only."""
    phantom = coronary_phantom(seed, "small", difficulty)
    for array in (phantom.volume_hu, phantom.labels, phantom.lumen_fraction):
        array.flags.writeable = False
    return phantom


def straight_tube(
    *, diameter_mm: float = 3.0, length_mm: float = 40.0, narrowed_mm: float = 10.0, stenosis: float = 0.5, name: str = "LAD"
) -> dict[str, Any]:
    """Return the document of a tree (tree.json) that is one straight vessel along -z, narrowed abruptly in its middle.

    The narrowing spans ``narrowed_mm`` and has ``1 - stenosis`` times the diameter; 0 makes a healthy tube.
    """
    count = round(length_mm / 0.5) + 1
    along = np.linspace(0.0, length_mm, count)
    inside = np.abs(along - length_mm / 2) <= narrowed_mm / 2
    reference = np.full(count, diameter_mm / 2)
    radius = np.where(inside & (stenosis > 0), reference * (1 - stenosis), reference)
    branch = {
        "name": name,
        "parent": None,
        "parent_point": None,
        "segment": [6] * count,
        "points_mm": np.stack([np.zeros(count), np.zeros(count), -along], axis=1).tolist(),
        "radius_mm": radius.tolist(),
        "reference_radius_mm": reference.tolist(),
        "radius_sd_mm": [0.0] * count,
    }
    stenoses = []
    if stenosis > 0:
        span = np.nonzero(inside)[0]
        stenoses = [
            {
                "branch": 0,
                "start": int(span[0]),
                "throat": int(span[len(span) // 2]),
                "end": int(span[-1]),
                "diameter_stenosis": stenosis,
                "area_stenosis": 1 - (1 - stenosis) ** 2,
                "minimal_lumen_diameter_mm": diameter_mm * (1 - stenosis),
                "reference_diameter_mm": diameter_mm,
                "length_mm": narrowed_mm,
                "segment": 6,
            }
        ]
    return {"coordinate_system": "LPS mm", "branches": [branch], "stenoses": stenoses, "doubts": []}
