"""Metal near the arteries: leads, clips, wires and valves, whose streaks change what is measured beside them.

Points are (N, 3) LPS mm.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from algorithms.coronary.grid import Grid
from algorithms.coronary.tree import Tree

METAL_HU = 2500.0
"""Brighter than bone and calcified plaque of a chest, and within what twelve bits hold (3071): metal clips there."""

LEAST_METAL_MM3 = 1.0
"""Less metal than this is noise on dense calcium."""

STREAKS_MM = 10.0
"""Nearer than this, streaks and shadows of metal may change what is measured of a vessel; our choice."""


def metal_doubts(tree: Tree, volume_hu: Grid) -> list[str]:
    """Return a doubt that names the vessels with metal within ``STREAKS_MM``, if there are any."""
    metal = volume_hu.points_mm(np.argwhere(volume_hu.values > METAL_HU))
    if len(metal) * float(np.prod(volume_hu.spacing_mm)) < LEAST_METAL_MM3:
        return []
    finder = cKDTree(metal)
    near: dict[str, float] = {}
    for branch in tree.branches:
        away = float(finder.query(branch.points_mm)[0].min())
        if away <= STREAKS_MM:
            near[branch.name] = away
    if not near:
        return []
    closest = min(near, key=lambda name: near[name])
    return [
        f"metal lies {near[closest]:.0f} mm from the {closest}, and within {STREAKS_MM:.0f} mm of "
        f"{', '.join(near)}; a lead, a clip or a valve throws streaks, so check the lumen there"
    ]
