"""Rough courses to sub-voxel centrelines with radii: each section of the image is fitted, the curve moves to its centre.

Points are (N, 3) LPS mm; values HU.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from algorithms.coronary.cross_section import STEP_MM, Raster, arc_length_mm, frames, resampled, smoothed
from algorithms.coronary.grid import Grid
from algorithms.coronary.lumen_radius import LEAST_RADIUS_MM, SectionFit, fit_sections
from algorithms.coronary.naming import Course
from algorithms.coronary.sampling import Image, nearest

REACH_MM = 2.8
"""Sections reach this far beyond the widest radius; the surroundings farther out say nothing about the lumen."""

WIDEST_MM = 3.2
"""Sections are sampled for radii up to this."""

CALCIUM_ABOVE_BLOOD_HU = 150.0
"""Calcium is what is brighter than blood by this, or by five times the noise if that is more."""

NEIGHBOUR_MM = 0.8
"""Raster points within this of another vessel's edge, and nearer to it than to one's own, are left out."""

CHAMBERS = (1, 3, 4)
"""Labels of heart.nii.gz that are blood but no coronary."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What the sections are read from."""

    image: Image
    heart: Grid
    calcium: cKDTree | None  # points of calcified voxels, LPS mm
    blood_hu: float
    noise_hu: float
    blur_sd_mm: float


@dataclass(frozen=True, eq=False)
class Vessel:
    """A named course traced in the image."""

    name: str
    side: str
    parent: int | None
    parent_point: int | None
    points_mm: np.ndarray  # (N, 3)
    radius_mm: np.ndarray  # (N,)
    radius_sd_mm: np.ndarray  # (N,)
    core_hu: np.ndarray  # (N,) attenuation on the centreline
    trusted: np.ndarray  # (N,) bool; False inside the parent's lumen and where too little of the section is one's own


def calcium_points(volume_hu: Grid, mask: np.ndarray, blood_hu: float, noise_hu: float) -> cKDTree | None:
    """Return where voxels within the mask's surroundings are calcium; ``None`` where there is none."""
    bright = volume_hu.values > blood_hu + max(CALCIUM_ABOVE_BLOOD_HU, 5 * noise_hu)
    points = volume_hu.points_mm(np.argwhere(bright))
    if len(points) == 0:
        return None
    lumen = cKDTree(volume_hu.points_mm(np.argwhere(mask)))
    near = np.isfinite(lumen.query(points, distance_upper_bound=4.0)[0])
    return cKDTree(points[near]) if near.any() else None


def rough_course(points_mm: np.ndarray, radius_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a voxel path as a smooth curve with equal steps, and its radii; the ends stay."""
    curve = resampled(points_mm)
    radius = np.interp(np.linspace(0, 1, len(curve)), np.linspace(0, 1, len(radius_mm)), radius_mm)
    return resampled(smoothed(curve, 1.5)), np.maximum(radius, 0.3)


def traced(courses: list[Course], scene: Scene, rounds: int = 3) -> tuple[list[Vessel], Scene]:
    """Return the courses on the lumen's centres with its radii, and the scene with the blood and blur found on the way."""
    vessels = [
        Vessel(c.name, c.side, c.parent, c.parent_point, c.points_mm, c.radius_mm, np.full(len(c.radius_mm), 0.3),
               np.full(len(c.radius_mm), scene.blood_hu), np.ones(len(c.radius_mm), dtype=bool))
        for c in courses
    ]  # fmt: skip
    for _ in range(rounds):
        for i in range(len(vessels)):
            vessels[i] = _recentred(vessels, i, scene)
    return [_smooth_radius(v) for v in vessels], scene


def _recentred(vessels: list[Vessel], index: int, scene: Scene) -> Vessel:
    """Return one vessel moved to where its sections' centres are, and measured there."""
    vessel = vessels[index]
    free = _first_free(vessels, index)
    fit, _ = _measured(vessels, index, vessel.points_mm, vessel.radius_mm, scene)
    certain = 1 / (1 + (fit.radius_sd_mm / 0.2) ** 2)
    shift = np.clip(fit.offset_mm, -0.6, 0.6) * certain[:, None]
    first, second = frames(vessel.points_mm)
    points = vessel.points_mm + smoothed(shift[:, :1] * first + shift[:, 1:] * second, 1.0)
    joint = vessel.parent_point
    if vessel.parent is not None and joint is not None:
        parent = vessels[vessel.parent]
        joint, points = _joined(parent, points, min(free, len(points) - 2))
    points = resampled(smoothed(points, 0.5))
    radius = np.interp(np.linspace(0, 1, len(points)), np.linspace(0, 1, len(vessel.radius_mm)), fit.radius_mm)
    vessel = replace(vessel, points_mm=points, radius_mm=radius, parent_point=joint)
    free = _first_free([*vessels[:index], vessel, *vessels[index + 1 :]], index)
    fit, own = _measured(vessels, index, points, radius, scene)
    trusted = (np.arange(len(points)) >= free) & (own > 0.45)
    radius, deviation = _bridged(fit.radius_mm, fit.radius_sd_mm, trusted)
    return replace(vessel, radius_mm=radius, radius_sd_mm=deviation, trusted=trusted, core_hu=scene.image.at(points))


def _first_free(vessels: list[Vessel], index: int) -> int:
    """Return the first point of a vessel that lies outside its parent's lumen; 0 for a root."""
    vessel = vessels[index]
    if vessel.parent is None:
        return 0
    parent = vessels[vessel.parent]
    far, near = cKDTree(parent.points_mm).query(vessel.points_mm)
    inside = far < parent.radius_mm[near] + 0.25
    outside = np.flatnonzero(~inside)
    return int(outside[0]) if len(outside) else len(vessel.points_mm) - 1


def _joined(parent: Vessel, points: np.ndarray, free: int) -> tuple[int, np.ndarray]:
    """Return the parent's point that the child's course, drawn back from where it is free, meets; and the course from there."""
    ahead = min(free + int(2.0 / STEP_MM), len(points) - 1)
    back = points[free] - points[ahead]
    back = back / max(float(np.linalg.norm(back)), 1e-9)
    near = np.linalg.norm(parent.points_mm - points[free], axis=1)
    candidates = np.flatnonzero(near < near.min() + 1.5)
    offset = parent.points_mm[candidates] - points[free]
    along = offset @ back
    miss = np.linalg.norm(offset - along[:, None] * back, axis=1) + 0.3 * near[candidates]
    joint = int(candidates[int(np.argmin(miss))])
    return joint, np.concatenate([parent.points_mm[joint : joint + 1], points[free:]])


def _measured(
    vessels: list[Vessel], index: int, points: np.ndarray, radius: np.ndarray, scene: Scene
) -> tuple[SectionFit, np.ndarray]:
    """Return the fit of each section, and which part of each section's rim is the vessel's own."""
    raster = Raster.of(min(float(radius.max()), WIDEST_MM) + REACH_MM)
    first, second = frames(points)
    where = raster.points_mm(points, first, second)
    values = scene.image.at(where)
    weight = _weight(_others(vessels, index), where, values, radius, scene)
    rim = np.abs(raster.ring_mm[None, :, None] - radius[:, None, None]) < 0.5
    own = (weight * rim).sum((1, 2)) / np.maximum(rim.sum((1, 2)) * weight.shape[2], 1)
    fit = fit_sections(
        values, weight, raster, blood_hu=np.full(len(points), scene.blood_hu), blur_sd_mm=scene.blur_sd_mm,
        start_mm=np.clip(radius, 0.3, WIDEST_MM), noise_hu=scene.noise_hu,
    )  # fmt: skip
    return fit, own


def _weight(
    others: tuple[np.ndarray, np.ndarray], where: np.ndarray, values: np.ndarray, radius: np.ndarray, scene: Scene
) -> np.ndarray:
    """Return 1 for raster points that belong to the vessel and its surroundings, 0 for calcium and other blood."""
    weight = np.ones(values.shape)
    ring = np.linalg.norm(where - where.mean(axis=2, keepdims=True), axis=-1)
    edge = ring - radius[:, None, None]
    if scene.calcium is not None:
        blooming = 2.355 * scene.blur_sd_mm
        near = scene.calcium.query(where, distance_upper_bound=blooming)[0]
        weight[np.isfinite(near)] = 0
    points, widths = others
    if len(points):
        finder = cKDTree(points)
        far, at = finder.query(where, distance_upper_bound=WIDEST_MM + NEIGHBOUR_MM)
        beyond = far - np.append(widths, 0.0)[at]
        weight[(beyond < NEIGHBOUR_MM) & (beyond < edge)] = 0
    chamber = np.isin(nearest(scene.heart, where), CHAMBERS)
    weight[chamber & (edge > 0.5)] = 0
    foreign = (values > 0.5 * (scene.blood_hu + 40.0)) & (edge > 1.0)
    foreign[:, 1:] |= foreign[:, :-1]
    foreign[:, :-1] |= foreign[:, 1:] & (edge[:, :-1] > 1.0)
    weight[foreign] = 0
    return weight


def _others(vessels: list[Vessel], index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the points and radii of all other vessels, without the first steps of children inside this one's lumen."""
    points, widths = [np.zeros((0, 3))], [np.zeros(0)]
    for i, vessel in enumerate(vessels):
        if i == index:
            continue
        start = _first_free(vessels, i) if vessel.parent is not None else 0
        stop = len(vessel.points_mm)
        own = vessels[index]
        if own.parent == i and own.parent_point is not None and own.parent_point >= stop - 3:
            stop = max(own.parent_point - 2, start)  # the vessel goes on where its parent ends
        points.append(vessel.points_mm[start:stop])
        widths.append(vessel.radius_mm[start:stop])
    return np.concatenate(points), np.concatenate(widths)


def _bridged(radius: np.ndarray, deviation: np.ndarray, trusted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return radii with those not to be trusted drawn between the ones beside them, and a deviation that says so."""
    if trusted.sum() < 3:
        return radius, deviation
    index = np.arange(len(radius))
    good = index[trusted]
    filled = np.interp(index, good, radius[good])
    first = good[: max(3, int(2.0 / STEP_MM))]
    filled[: good[0]] = np.median(radius[first])
    gap = np.abs(index[:, None] - good).min(axis=1) * STEP_MM
    return filled, np.where(trusted, deviation, np.interp(index, good, deviation[good]) + 0.05 * np.minimum(gap, 4.0))


SMOOTH_MM = 0.7
"""Radii are smoothed by a Gaussian of this standard deviation, twice over (S + S(1 - S)), which keeps narrow throats deep."""


def _smooth_radius(vessel: Vessel) -> Vessel:
    radius = vessel.radius_mm
    if len(radius) > 6:
        precision = 1 / np.maximum(vessel.radius_sd_mm, 0.02) ** 2
        once = smoothed(radius * precision, SMOOTH_MM) / smoothed(precision, SMOOTH_MM)
        rest = radius - once
        radius = once + smoothed(rest * precision, SMOOTH_MM) / smoothed(precision, SMOOTH_MM)
    return replace(vessel, radius_mm=np.maximum(radius, LEAST_RADIUS_MM))


def length_mm(vessel: Vessel) -> float:
    """Return the length of a vessel, mm."""
    return float(arc_length_mm(vessel.points_mm)[-1])
