"""Vessel trees with known answers: straight tubes, smooth stenoses, and a coronary tree of published calibres."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from algorithms.coronary.tree import Branch, Stenosis, Tree

STEP_MM = 0.5
"""Distance between points, as the centreline stage makes them."""


def tube(
    name: str,
    length_mm: float,
    radius_mm: float | Callable[[np.ndarray], np.ndarray],
    *,
    parent: int | None = None,
    parent_point: int | None = None,
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    direction: tuple[float, float, float] = (0.0, 0.0, 1.0),
    reference_mm: float | Callable[[np.ndarray], np.ndarray] | None = None,
    step_mm: float = STEP_MM,
    sd_mm: float = 0.0,
) -> Branch:
    """Return a straight vessel; radii are numbers or functions of the distance along it."""
    distance = np.linspace(0, length_mm, round(length_mm / step_mm) + 1)
    towards = np.array(direction) / np.linalg.norm(direction)
    radius = np.broadcast_to(radius_mm(distance) if callable(radius_mm) else radius_mm, distance.shape).astype(float)
    healthy = radius_mm if reference_mm is None else reference_mm
    reference = np.broadcast_to(healthy(distance) if callable(healthy) else healthy, distance.shape).astype(float)
    points = np.array(origin_mm) + distance[:, None] * towards
    segment = np.full(len(distance), 6)
    return Branch(name, parent, parent_point, points, radius, reference, np.full(len(distance), sd_mm), segment)


def cosine_stenosis(
    centre_mm: float, length_mm: float, radius_mm: float, area_stenosis: float
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the radius of a vessel with one smooth stenosis that takes ``area_stenosis`` of the lumen at its throat."""
    depth = radius_mm * (1 - np.sqrt(1 - area_stenosis))

    def radius(distance_mm: np.ndarray) -> np.ndarray:
        phase = np.clip((distance_mm - centre_mm) / (length_mm / 2), -1, 1)
        return np.asarray(radius_mm - depth * 0.5 * (1 + np.cos(np.pi * phase)))

    return radius


def stenosis(branches: tuple[Branch, ...], branch: int, start_mm: float, throat_mm: float, end_mm: float) -> Stenosis:
    """Return the record of a stenosis between three distances along a branch."""
    entry = branches[branch]
    start, throat, end = (int(np.searchsorted(entry.distance_mm, d - 1e-9)) for d in (start_mm, throat_mm, end_mm))
    lumen, reference = 2 * entry.radius_mm[throat], 2 * entry.reference_radius_mm[throat]
    narrowing = float(1 - lumen / reference)
    return Stenosis(
        branch, start, throat, end, narrowing, 1 - (1 - narrowing) ** 2, float(lumen), float(reference), end_mm - start_mm, 7
    )


def coronary_tree(lad_area_stenosis: float = 0.0, *, sd_mm: float = 0.0) -> Tree:
    """Return LM, LAD, LCx, D1, OM1, RCA and R-PDA with the calibres of Dodge et al., Circulation 86:232 (1992), tapering.

    A stenosis of 12 mm may be placed in the LAD with its throat 25 mm from its origin.
    """

    def taper(first_mm: float, last_mm: float, length_mm: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda d: first_mm + (last_mm - first_mm) * d / length_mm

    lad_healthy = taper(1.85, 0.85, 100)
    narrowed = cosine_stenosis(25, 12, 1.0, lad_area_stenosis)
    lm = tube("LM", 10, taper(2.25, 2.2, 10), sd_mm=sd_mm)
    end = tuple(lm.points_mm[-1])
    lad = tube("LAD", 100, lambda d: lad_healthy(d) * narrowed(d), reference_mm=lad_healthy, parent=0, parent_point=20,
               origin_mm=end, direction=(0, -1, 1), sd_mm=sd_mm)  # fmt: skip
    lcx = tube("LCx", 60, taper(1.7, 0.8, 60), parent=0, parent_point=20, origin_mm=end, direction=(1, 0, 1), sd_mm=sd_mm)
    d1 = tube(
        "D1",
        40,
        taper(1.1, 0.6, 40),
        parent=1,
        parent_point=80,
        origin_mm=tuple(lad.points_mm[80]),
        direction=(1, -1, 1),
        sd_mm=sd_mm,
    )
    om1 = tube(
        "OM1",
        40,
        taper(1.2, 0.6, 40),
        parent=2,
        parent_point=60,
        origin_mm=tuple(lcx.points_mm[60]),
        direction=(1, 1, 1),
        sd_mm=sd_mm,
    )
    rca = tube("RCA", 100, taper(1.95, 1.2, 100), origin_mm=(-30, 0, 0), direction=(-1, 0, 1), sd_mm=sd_mm)
    pda = tube("R-PDA", 40, taper(0.95, 0.6, 40), parent=5, parent_point=160, origin_mm=tuple(rca.points_mm[160]),
               direction=(0, 1, 1), sd_mm=sd_mm)  # fmt: skip
    branches = (lm, lad, lcx, d1, om1, rca, pda)
    lesions = (stenosis(branches, 1, 19, 25, 31),) if lad_area_stenosis else ()
    return Tree(branches, lesions)
