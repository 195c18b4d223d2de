"""Vessels as triangles around their centrelines.  Points are (N, 3) mm."""

from __future__ import annotations

import numpy as np

SIDES = 24
"""Corners of a cross-section: its outline is 1 % of the radius from the circle, less than a pixel."""


def tube_mesh(points_mm: np.ndarray, radius_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return vertices, outward normals (v, 3), faces (f, 3) and the point of the line that each vertex stands around (v,).

    Cross-sections do not twist; ends are rounded by a ring of half a radius.
    """
    tangent = np.gradient(points_mm, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    frames = _untwisted(tangent)
    # Round ends: behind the first and the last point two smaller rings, at 45 and 80 degrees of a sphere.
    bend = np.radians([80, 45])
    rings = np.concatenate([[0, 0], np.arange(len(points_mm)), [len(points_mm) - 1] * 2])
    shift = np.concatenate([-np.sin(bend), np.zeros(len(points_mm)), np.sin(bend[::-1])])
    width = np.concatenate([np.cos(bend), np.ones(len(points_mm)), np.cos(bend[::-1])])
    angle = 2 * np.pi * np.arange(SIDES) / SIDES
    circle = np.cos(angle)[:, None] * frames[rings, None, 0] + np.sin(angle)[:, None] * frames[rings, None, 1]
    outward = width[:, None, None] * circle + shift[:, None, None] * tangent[rings, None]
    middle = points_mm[rings, None]
    vertices = middle + radius_mm[rings, None, None] * outward
    number = np.arange(len(rings) * SIDES).reshape(len(rings), SIDES)
    a, b = number[:-1], np.roll(number[:-1], -1, axis=1)
    c, d = np.roll(number[1:], -1, axis=1), number[1:]
    faces = np.concatenate([np.stack(t, axis=-1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    fan = np.arange(1, SIDES - 1)
    lids = [np.stack([np.zeros_like(fan), fan + 1, fan], axis=1), number[-1, 0] + np.stack([0 * fan, fan, fan + 1], axis=1)]
    return vertices.reshape(-1, 3), outward.reshape(-1, 3), np.concatenate([faces, *lids]), np.repeat(rings, SIDES)


def _untwisted(tangent: np.ndarray) -> np.ndarray:
    """Return two directions across the line at each point, (N, 2, 3), right-handed with it, each turned as little as can be."""
    first = np.linalg.svd(tangent[:1])[2][1]
    frames = np.empty((len(tangent), 2, 3))
    for i, along in enumerate(tangent):
        first = first - (first @ along) * along
        first = first / np.linalg.norm(first)
        frames[i] = first, np.cross(along, first)
    return frames
