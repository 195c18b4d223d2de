"""Plaque of the coronary phantom: how it narrows the lumen, and what it is made of.

A lesion narrows the lumen to a circle of ``1 - severity`` times the reference diameter at its throat, along a raised cosine.
An eccentric lesion shifts the open circle towards one wall; the plaque fills the rest of the vessel, which it may widen
(positive remodelling).  Severities are fractions of the diameter, lengths mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from algorithms.phantom.coronary.shapes import tangents
from algorithms.phantom.coronary.tree import Vessel

COMPOSITIONS = ("soft", "mixed", "calcified")


@dataclass(frozen=True)
class Lesion:
    """One planted narrowing: point indices on vessel ``vessel``; ``eccentricity`` 0 centred, 1 lumen against the wall."""

    vessel: int
    start: int
    throat: int
    end: int
    severity: float
    length_mm: float
    composition: str
    eccentricity: float
    turn: float  # radians about the axis, towards which the lumen is shifted
    remodelling: float  # outer vessel radius over reference radius at the throat, beside the wall


@dataclass(frozen=True, eq=False)
class Calcification:
    """A calcified nodule: a bent rod inside the vessel's wall, from point to point of the vessel."""

    vessel: int
    path_mm: np.ndarray  # (N, 3)
    radius_mm: np.ndarray  # (N,)


MAIN = {"LM": 0.05, "LAD": 0.46, "LCx": 0.20, "RCA": 0.29}
"""How often the first lesion sits in each main vessel."""
OCCLUDED = ("LAD", "RCA", "LCx"), ("OM1", "D1", "R-PDA", "L-PDA")
"""Arteries that may be closed: one of the first, or else the first of the others that has room."""
LEAST_MAIN_MM, LEAST_SIDE_MM = 2.0, 1.5
"""Least reference diameter of a lesion: narrower segments are not read (Leipsic et al., JCCT 8:342 (2014): 1.5 mm)."""


def draw_lesions(vessels: list[Vessel], rng: np.random.Generator) -> list[Lesion]:
    """Return 0 to 4 lesions of 30-85 %; unless the person is healthy (1 in 8), the first is 50-80 % in a main vessel."""
    if rng.random() < 0.125:
        return []
    count = int(rng.choice([1, 2, 3, 4], p=[0.35, 0.35, 0.2, 0.1]))
    lesions: list[Lesion] = []
    names = {v.name: i for i, v in enumerate(vessels)}
    while not lesions:
        name = str(rng.choice(list(MAIN), p=list(MAIN.values())))
        lesions += _place(vessels, names[name], float(rng.uniform(0.5, 0.8)), lesions, rng)
    others = [n for n in names if n in {"LAD", "LCx", "RCA", "D1", "OM1", "R-PDA", "LM"}]
    for _ in range(count - 1):
        name = str(rng.choice(others))
        lesions += _place(vessels, names[name], float(rng.uniform(0.3, 0.85)), lesions, rng)
    return lesions


def _place(vessels: list[Vessel], index: int, severity: float, taken: list[Lesion], rng: np.random.Generator) -> list[Lesion]:
    """Return one lesion on vessel ``index`` clear of forks and of other lesions, or none where no place is free."""
    vessel = vessels[index]
    distance = vessel.distance_mm
    least_mm = LEAST_MAIN_MM if vessel.name in MAIN else LEAST_SIDE_MM
    forks = [distance[v.parent_point or 0] for v in vessels if v.parent == index]
    for attempt in range(60):
        length = float(rng.uniform(8, 18)) * (0.6 if attempt > 30 or vessel.name == "LM" else 1.0)
        first = 1.0 if vessel.name == "LM" else 3.0
        last = min(distance[-1] * 0.72, 85.0) if vessel.name != "LM" else distance[-1] - 0.5
        if last - length <= first:
            continue
        start = float(rng.uniform(first, last - length))
        wide = 2 * vessel.reference_radius_mm[np.searchsorted(distance, start + length / 2)] >= least_mm
        clear = all(not start - 1.0 < f < start + length + 1.0 for f in forks)
        apart = all(
            lesion.vessel != index or start > distance[lesion.end] + 8.0 or start + length < distance[lesion.start] - 8.0
            for lesion in taken
        )
        if wide and clear and apart:
            i, j = int(np.searchsorted(distance, start)), int(np.searchsorted(distance, start + length))
            return [
                Lesion(
                    index, i, (i + j) // 2, j, severity, float(distance[j] - distance[i]),
                    str(rng.choice(COMPOSITIONS, p=[0.4, 0.35, 0.25])),
                    float(rng.choice([0.0, rng.uniform(0.4, 0.9)], p=[0.35, 0.65])),
                    float(rng.uniform(0, 2 * np.pi)),
                    float(rng.uniform(1.0, 1.2)),
                )
            ]  # fmt: skip
    return []


def draw_occlusion(vessels: list[Vessel], taken: list[Lesion], rng: np.random.Generator) -> list[Lesion]:
    """Return a lesion of severity 1, clear of forks and of the lesions in ``taken``: a closed lumen.

    It lies in a main artery, or where none has room in a large branch; nothing where no artery has any.
    """
    mains, branches = ([n for n in names if any(v.name == n for v in vessels)] for names in OCCLUDED)
    for name in (*rng.permutation(mains), *branches):
        index = next(i for i, v in enumerate(vessels) if v.name == name)
        lesions = _place(vessels, index, 1.0, taken, rng)
        if lesions:
            return [replace(lesions[0], eccentricity=0.0, composition=str(rng.choice(["soft", "mixed"])))]
    return []


def _window(vessel: Vessel, lesion: Lesion) -> np.ndarray:
    """Return the raised cosine (N,) of a lesion along its vessel: 1 at the throat, 0 from its ends on."""
    index = np.arange(len(vessel.axis_mm))
    half = np.where(index < lesion.throat, lesion.throat - lesion.start, lesion.end - lesion.throat)
    phase = np.clip((index - lesion.throat) / np.maximum(half, 1), -1, 1)
    window: np.ndarray = 0.5 * (1 + np.cos(np.pi * phase))
    if lesion.severity >= 1:
        # An occlusion is closed over most of its length, not at one point.
        window = np.clip(window / 0.3, 0, 1)
    return window


def sideways(vessel: Vessel, turn: float) -> np.ndarray:
    """Return unit vectors (N, 3) at right angles to the axis, turned by ``turn`` from a direction that does not twist."""
    forward = tangents(vessel.axis_mm)
    across = np.cross(forward[0], [0.0, 0.0, 1.0])
    if np.linalg.norm(across) < 0.1:
        across = np.cross(forward[0], [1.0, 0.0, 0.0])
    frames = []
    for way in forward:
        across = across - (across @ way) * way
        across = across / np.linalg.norm(across)
        frames.append(np.cos(turn) * across + np.sin(turn) * np.cross(way, across))
    return np.array(frames)


def diseased(vessels: list[Vessel], lesions: list[Lesion]) -> list[Vessel]:
    """Return ``vessels`` with lumen radii narrowed and lumen centrelines shifted by ``lesions``."""
    sick = list(vessels)
    for lesion in lesions:
        vessel = sick[lesion.vessel]
        window = _window(vessel, lesion)
        radius = vessel.radius_mm * (1 - lesion.severity * window)
        shift = lesion.eccentricity * (vessel.reference_radius_mm - radius) * (window > 0)
        points = vessel.points_mm + shift[:, None] * sideways(vessel, lesion.turn)
        sick[lesion.vessel] = replace(vessel, radius_mm=radius, points_mm=points)
    return sick


def outer_radius_mm(vessel: Vessel, index: int, lesions: Sequence[Lesion]) -> np.ndarray:
    """Return the radius (N,) within which plaque may lie: the reference, widened where plaque remodels the vessel."""
    outer = vessel.reference_radius_mm.copy()
    for lesion in lesions:
        if lesion.vessel == index:
            outer *= 1 + (lesion.remodelling - 1) * _window(vessel, lesion)
    return outer


def calcifications(vessels: list[Vessel], lesions: list[Lesion], rng: np.random.Generator) -> list[Calcification]:
    """Return the nodules of mixed and calcified lesions, and a few in walls that do not narrow anything."""
    nodules: list[Calcification] = []
    for lesion in lesions:
        if lesion.composition == "soft":
            continue
        vessel = vessels[lesion.vessel]
        count = 1 if lesion.composition == "mixed" else int(rng.integers(2, 4))
        for number in range(count):
            spread = (number + 0.5) / count
            middle = lesion.start + (lesion.end - lesion.start) * (0.25 + 0.5 * spread + rng.normal(0, 0.05))
            turn = lesion.turn + np.pi + rng.normal(0, 0.5)  # opposite the open lumen, where the plaque is thick
            nodules.append(
                _nodule(vessel, lesion.vessel, int(middle), length_mm=float(rng.uniform(2.0, 5.0)), turn=float(turn), rng=rng)
            )
    if lesions:
        for _ in range(int(rng.integers(0, 4))):
            index = int(rng.choice([i for i, v in enumerate(vessels) if v.name in MAIN and v.name != "LM"]))
            vessel = vessels[index]
            point = int(rng.integers(len(vessel.axis_mm) // 12, len(vessel.axis_mm) // 2))
            nodules.append(
                _nodule(vessel, index, point, length_mm=float(rng.uniform(1.0, 3.0)), turn=float(rng.uniform(0, 6.28)), rng=rng)
            )
    return nodules


def _nodule(
    vessel: Vessel, index: int, middle: int, *, length_mm: float, turn: float, rng: np.random.Generator
) -> Calcification:
    half = max(2, round(length_mm / 2 / 0.5))
    span = slice(max(0, middle - half), min(len(vessel.axis_mm), middle + half + 1))
    count = len(vessel.axis_mm[span])
    taper = np.sqrt(np.clip(1 - np.linspace(-0.95, 0.95, count) ** 2, 0, 1))
    depth = vessel.reference_radius_mm[span]
    path = vessel.axis_mm[span] + (depth * 0.95)[:, None] * sideways(vessel, turn)[span]
    return Calcification(index, path, taper * float(rng.uniform(0.45, 0.85)))
