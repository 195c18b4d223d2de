"""Where the coronary arteries of the phantom leave the aorta.  Points are (N, 3) LPS mm."""

from __future__ import annotations

import numpy as np

from algorithms.phantom.coronary.heart import Heart

HIGH_MM = 29.0
"""Height of a high ostium above the annulus at root scale 1: 9 mm above the sinotubular junction."""


def sinus_ostium(heart: Heart, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the point where the lumen of the sinus (0 left, 1 right) ends, and the way out of it."""
    way = heart.sinus_directions()[side]
    way = way + heart.root_axis * 0.12
    way = way / np.linalg.norm(way)
    reach = np.arange(4.0, 30.0, 0.05)
    ray = heart.root_point(13.5) + way * reach[:, None]
    inside = heart.root_lumen(ray) < 0
    return ray[np.nonzero(inside)[0][-1] + 1], way


def right_beginning(heart: Heart, where: str) -> np.ndarray:
    """Return the first points (N, 3) of the right artery, from its ostium to where it is free of the aorta.

    ``where`` is ``usual``, ``high`` (above the sinotubular junction) or ``left`` (in the left sinus).
    """
    if where == "usual":
        start, way = sinus_ostium(heart, 1)
        return np.stack([start, start + 5.0 * way])
    left, right = heart.sinus_directions()[:2]
    if where == "high":
        start = _on_aorta(heart, HIGH_MM, right)
        return np.stack([start, start + 4.0 * right, _on_aorta(heart, 18.0, right) + 5.0 * right])
    # From the left sinus near its commissure, around the front of the root, behind the pulmonary trunk.
    angles = np.deg2rad([46.0, 66.0, 88.0, 108.0])
    across = right - (right @ left) * left
    across = across / np.linalg.norm(across)
    ways = np.cos(angles)[:, None] * left + np.sin(angles)[:, None] * across
    return np.stack([_on_aorta(heart, 17.0, way) + gap * way for way, gap in zip(ways, (0.0, 2.4, 3.0, 3.6), strict=True)])


def _on_aorta(heart: Heart, height_mm: float, way: np.ndarray) -> np.ndarray:
    """Return where a ray along ``way`` (3,) from the root's axis leaves the lumen, ``height_mm`` above the annulus."""
    ray = heart.root_point(height_mm) + way * np.arange(4.0, 30.0, 0.05)[:, None]
    point: np.ndarray = ray[int(np.argmax(heart.ascending_lumen(ray) >= 0))]
    return point
