"""Vessels beside the coronary arteries that must not be taken for them: cardiac veins, mammary arteries, lung vessels.

Points are (N, 3) LPS mm; radii are mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from algorithms.phantom.coronary.heart import Heart
from algorithms.phantom.coronary.shapes import resample_path, smooth_path
from algorithms.phantom.coronary.surface import Surface
from algorithms.phantom.coronary.thorax import Chest
from algorithms.phantom.coronary.tree import STEP_MM, Vessel


@dataclass(frozen=True, eq=False)
class SideVessel:
    """A vessel that is no coronary artery: a tube in its own kind of blood."""

    name: str
    path_mm: np.ndarray  # (N, 3)
    radius_mm: np.ndarray  # (N,)

    @property
    def of_heart(self) -> bool:
        """Return whether it moves with the heart and not with the chest."""
        return self.name in {"cardiac vein", "graft"}


def mammary_arteries(chest: Chest, rng: np.random.Generator) -> list[SideVessel]:
    """Return the internal mammary arteries: 2-2.6 mm wide, beside the breastbone, behind the rib cartilages."""
    vessels = []
    for side in (-1, 1):
        z = np.arange(-140.0, 90.0, 8.0)
        x = -3.0 + side * (24.0 + rng.uniform(-2, 2) + 2.0 * np.sin(z / 35.0 + rng.uniform(0, 6)))
        y = np.empty_like(z)
        for i, (px, pz) in enumerate(zip(x, z, strict=True)):
            ray = np.stack([np.full(80, px), np.linspace(chest.front() - 5, chest.front() + 35, 80), np.full(80, pz)], axis=1)
            y[i] = ray[np.argmin(np.abs(chest.cavity(ray) + 2.0)), 1]
        path = resample_path(np.stack([x, y, z], axis=1), 0.5)
        vessels.append(SideVessel("mammary artery", path, np.full(len(path), rng.uniform(1.0, 1.3))))
    return vessels


def lung_vessels(chest: Chest, heart: Heart, rng: np.random.Generator) -> list[SideVessel]:
    """Return trees of lung arteries and veins that grow from both hila to where the lung ends."""
    vessels: list[SideVessel] = []
    fork, atrium = heart.pulmonary_fork(), heart.at(-26, -19, -5)
    hila = [
        (fork + np.array([-64, 18, -8.0]) * heart.scale, -1, "lung artery"),
        (fork + np.array([46, 30, -6.0]) * heart.scale, 1, "lung artery"),
        (atrium + np.array([-46, 14, 0.0]) * heart.scale, -1, "lung vein"),
        (atrium + np.array([42, 22, 4.0]) * heart.scale, 1, "lung vein"),
    ]
    for hilum, side, name in hila:
        for _ in range(7):
            way = np.array([side * rng.uniform(0.5, 1.0), rng.uniform(-1.0, 0.9), rng.uniform(-1.1, 0.7)])
            vessels += _branching(hilum, way / np.linalg.norm(way), float(rng.uniform(2.2, 3.6)), name, rng)
    points = np.concatenate([v.path_mm for v in vessels])
    inside = chest.lungs(points, heart.pericardium(points)) < 0
    kept, start = [], 0
    for vessel in vessels:
        within = inside[start : start + len(vessel.path_mm)]
        start += len(vessel.path_mm)
        if within.sum() > 4:
            kept.append(SideVessel(vessel.name, vessel.path_mm[within], vessel.radius_mm[within]))
    return kept


def _branching(start: np.ndarray, way: np.ndarray, radius: float, name: str, rng: np.random.Generator) -> list[SideVessel]:
    """Return a tree of four generations that starts at ``start`` with direction ``way`` and ``radius`` (mm)."""
    grown: list[SideVessel] = []
    buds = [(start, way, radius, 0)]
    while buds:
        begin, course, wide, depth = buds.pop()
        bend = rng.normal(0, 0.25, 3)
        steps = np.linspace(0, 1, 9)[:, None]
        path = resample_path(begin + float(rng.uniform(14, 24)) * steps * (course + 0.5 * steps * bend), 1.0)
        grown.append(SideVessel(name, path, np.linspace(wide, wide * 0.82, len(path))))
        if depth < 3 and wide >= 0.7:
            for sign in (-1, 1):
                turn = course + bend * 0.5 + sign * rng.uniform(0.35, 0.8) * np.cross(course, rng.normal(0, 1, 3))
                thin = wide * 0.82 * float(rng.uniform(0.62, 0.8))
                buds.append((path[-1], turn / np.linalg.norm(turn), thin, depth + 1))
    return grown


def cardiac_veins(surface: Surface, arteries: Sequence[Vessel], rng: np.random.Generator) -> list[SideVessel]:
    """Return great cardiac vein with coronary sinus, middle cardiac vein and a lateral vein, beside the arteries.

    The great vein climbs in the anterior groove, turns into the left atrioventricular groove and ends as the coronary
    sinus in the right atrium; the middle vein runs with the posterior descending artery.  They lie against the arteries
    with 0.3 to 1 mm between the walls, and where one must cross an artery it passes outside it.
    """
    heart = surface.heart
    climb = np.deg2rad(np.arange(38.0, 112.0, 12.0))
    beside = np.deg2rad(float(rng.uniform(6.0, 9.0)))
    up = surface.hit(climb, surface.anterior_groove(climb) + beside)
    around = np.deg2rad(np.arange(112.0, 264.0, 12.0))
    low = surface.atrioventricular_groove(around)
    low = np.convolve(np.pad(low, 1, mode="edge"), np.full(3, 1 / 3), "valid") + np.deg2rad(float(rng.uniform(3.0, 6.0)))
    left = surface.hit(np.minimum(low, np.deg2rad(134.0)), around, 3.0)
    mouth = np.stack([heart.at(-9, 9, -33), heart.at(-20, 22, -33)])
    wide = float(rng.uniform(3.4, 4.8))
    great = np.concatenate([up, left, mouth])
    great_radius = np.concatenate([np.linspace(0.9, 1.6, len(up)), np.linspace(1.8, wide, len(left)), [wide, wide]])
    down = np.deg2rad(np.array([50.0, 66, 82, 98, 114, 126]))
    aside = np.deg2rad(float(rng.uniform(6.0, 9.0)))
    middle = np.concatenate([surface.hit(down, surface.posterior_groove(down) - aside), mouth[:1]])
    side = np.deg2rad(float(rng.uniform(176, 200)))
    lateral = surface.hit(np.deg2rad(np.array([60.0, 78, 96, 112])), side + np.deg2rad(np.array([-6.0, -3, 0, 2])))
    lateral = np.concatenate([lateral, left[np.argmin(np.abs(around - side))][None]])
    courses = [
        (great, great_radius),
        (middle, np.linspace(0.9, 2.0, len(middle))),
        (lateral, np.linspace(0.8, 1.5, len(lateral))),
    ]
    veins: list[SideVessel] = []
    for controls, radius in courses:
        veins += _beside(surface, arteries, controls, radius, float(rng.uniform(0.3, 1.0)))
    return veins


def _beside(
    surface: Surface, arteries: Sequence[Vessel], controls: np.ndarray, radius: np.ndarray, gap_mm: float
) -> list[SideVessel]:
    """Return a vein along ``controls`` (N, 3), moved until ``gap_mm`` or more parts it from every artery and the muscle.

    Where it cannot pass between two arteries it is left out, so it may come in pieces.
    """
    from scipy.spatial import cKDTree

    points = np.concatenate([v.axis_mm for v in arteries])
    wide = np.concatenate([v.reference_radius_mm for v in arteries]) * 1.2 + 0.4
    tree = cKDTree(points)
    path = smooth_path(controls, 1.0)
    share = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(controls, axis=0), axis=1))])
    for turn in range(70):
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
        thick = np.interp(along / along[-1], share / share[-1], radius)
        if turn < 45:
            path[1:-1] += 0.3 * (0.5 * (path[:-2] + path[2:]) - path[1:-1])
        outward = surface.normal(path)
        distance, nearest = tree.query(path)
        lack = np.maximum(thick + wide[nearest] + gap_mm - distance, 0)
        away = (path - points[nearest]) / np.maximum(distance, 1e-3)[:, None] + (0.5 if turn < 45 else 1.0) * outward
        path = path + 0.6 * lack[:, None] * away / np.maximum(np.linalg.norm(away, axis=1), 1e-3)[:, None]
        dip = np.clip(thick + 0.4 - surface.at(path), 0, 3)
        # The last centimetre opens into the atrium, so nothing holds it outside the muscle.
        dip *= np.clip((along[-1] - along - 8.0) / 6.0, 0, 1)
        path = path + 0.6 * dip[:, None] * outward
    fine = resample_path(path, STEP_MM)
    distance, nearest = tree.query(fine)
    thick = np.interp(np.linspace(0, 1, len(fine)), along / along[-1], thick)
    thick = np.minimum(thick, distance - wide[nearest] - 0.1)
    open_runs = np.split(np.arange(len(fine)), np.nonzero(np.diff(thick > 0.4))[0] + 1)
    return [SideVessel("cardiac vein", fine[run], thick[run]) for run in open_runs if thick[run[0]] > 0.4 and len(run) > 10]
