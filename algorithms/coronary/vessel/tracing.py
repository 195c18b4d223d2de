"""Rough courses to sub-voxel centrelines with radii: each section of the image is fitted, the curve moves to its centre.

Points are (N, 3) LPS mm; values HU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from algorithms.coronary.grid import Grid
from algorithms.coronary.vessel.calcium import SOFT_TISSUE_HU, bloom_hu
from algorithms.coronary.vessel.calibration import Blood, blood_of, blur_sd_of
from algorithms.coronary.vessel.cross_section import STEP_MM, Raster, arc_length_mm, frames, resampled, smoothed
from algorithms.coronary.vessel.lumen_radius import LEAST_RADIUS_MM, SectionFit, blurred_disc, fit_sections
from algorithms.coronary.vessel.radius_along import evened, sharpened
from algorithms.coronary.vessel.sampling import Image, nearest
from algorithms.coronary.vessel.thread import RASTER, bridged_mm, brightest_way_mm, dim_parts
from algorithms.coronary.vessel.ways import Course

REACH_MM = 2.8
"""Sections reach this far beyond the widest radius; the surroundings farther out say nothing about the lumen."""

ROUNDS = 3
"""Times that the curves are moved to where the sections say."""

BLUR_RADII_MM = (1.0, 2.6)
"""Vessels between these radii show the blur best: wide enough to reach full contrast, narrow enough to be surely round."""

WIDEST_MM = 3.2
"""Sections are sampled for radii up to this."""

LEAST_OWN_RIM = 0.45
"""A section is trusted where at least this part of its rim is neither calcium nor another vessel's."""

BLOOM_ERROR = 0.15
"""The bloom that was taken from a value is uncertain by this part of it; chosen on phantom seed 102."""

NEIGHBOUR_MM = 0.8
"""Raster points within this of another vessel's edge, and nearer to it than to one's own, are left out."""

SHIFT_SMOOTH_MM = 0.7
"""The way from a curve to the blood beside it is smoothed by a Gaussian of this standard deviation."""

MAIN = ("LM", "LAD", "LCx", "RCA")
"""Vessels that every heart has: they stay in the tree, and their blood is the arteries'."""

CHAMBERS = (1, 3, 4)
"""Labels of heart.nii.gz that are blood but no coronary."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What the sections are read from."""

    image: Image
    heart: Grid
    bloom: Grid  # what calcium adds, HU
    blood_hu: float  # of the aorta
    noise_hu: float
    blur_sd_mm: float
    blood: Mapping[str, Blood] = field(default_factory=dict)  # of the left and the right tree, once it is known


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
    core_hu: np.ndarray  # (N,) attenuation in the middle of the lumen
    trusted: np.ndarray  # (N,) bool; False inside the parent's lumen and where too little of the section is one's own
    mask_radius_mm: float  # median distance from the middle to the mask's border, before anything was measured


def traced(
    courses: list[Course], scene: Scene, volume_hu: Grid, calcium: np.ndarray, *, find_blur: bool
) -> tuple[list[Vessel], Scene]:
    """Return the courses on the lumen's centres with its radii, and the scene with the blood and blur found on the way.

    Parameters
    ----------
    courses, scene
        Named curves, and the image with what is known of it before.
    volume_hu, calcium
        The image's voxels, and which of them are calcium, (Z, Y, X) bool.
    find_blur
        Measure the scanner's blur on the vessels' edges; otherwise the scene's own is kept.
    """
    vessels = [_untraced(course, scene.blood_hu) for course in courses]
    for turn in range(ROUNDS):
        for i in range(len(vessels)):
            vessels[i] = _reattached(vessels, i)  # its parent has moved and may have fewer points now
            if turn == 0:
                vessels[i] = _threaded(vessels, i, scene)
            vessels[i] = _recentred(vessels, i, scene)
        for i in range(len(vessels)):
            vessels[i] = _reattached(vessels, i)
        scene = replace(scene, blood=_blood(vessels, scene.blood_hu))
        if turn == 0 and find_blur:
            blur = _blur(vessels, scene)
            scene = replace(scene, blur_sd_mm=blur, bloom=bloom_hu(volume_hu, calcium, blur))
    # Once and at the end: radii that are too wide would take calcium for blood, and so become wider still.
    beside = _blood_in(volume_hu.points_mm(np.argwhere(calcium)), vessels, scene)
    scene = replace(scene, bloom=bloom_hu(volume_hu, calcium, scene.blur_sd_mm, beside))
    vessels = [_final(vessels, i, scene) for i in range(len(vessels))]
    return [_along_the_vessel(v, scene.blur_sd_mm) for v in vessels], scene


def _untraced(course: Course, blood_hu: float) -> Vessel:
    """Return a course as a vessel that was not measured yet."""
    count = len(course.points_mm)
    return Vessel(
        name=course.name,
        side=course.side,
        parent=course.parent,
        parent_point=course.parent_point,
        points_mm=course.points_mm,
        radius_mm=course.radius_mm,
        radius_sd_mm=np.full(count, 0.3),
        core_hu=np.full(count, blood_hu),
        trusted=np.ones(count, dtype=bool),
        mask_radius_mm=float(np.median(course.radius_mm)),
    )


def _blood(vessels: list[Vessel], aorta_hu: float) -> dict[str, Blood]:
    """Return the blood of each tree, from the trusted points of its main vessels: a side branch may be a vein, and wide."""
    found = {}
    for side in sorted({v.side for v in vessels}):
        own = [i for i, v in enumerate(vessels) if v.side == side]
        own = [i for i in own if vessels[i].name in MAIN] or own
        values = [(vessels[i].core_hu, ostium_distance_mm(vessels, i), vessels[i].radius_mm) for i in own]
        core, distance, radius = (
            np.concatenate([v[k][vessels[i].trusted] for i, v in zip(own, values, strict=True)]) for k in range(3)
        )
        found[side] = blood_of(core, distance, radius, aorta_hu)
    return found


def _blur(vessels: list[Vessel], scene: Scene) -> float:
    """Return the blur that the edges of wide vessels show; the scene's own where they are too few."""
    raster = Raster.of(BLUR_RADII_MM[1] + REACH_MM)
    parts = []
    for i, vessel in enumerate(vessels):
        first, second = frames(vessel.points_mm)
        fair = vessel.trusted & (vessel.radius_mm > BLUR_RADII_MM[0]) & (vessel.radius_mm < BLUR_RADII_MM[1])
        chosen = np.flatnonzero(fair)[::4]
        where = raster.points_mm(vessel.points_mm[chosen], first[chosen], second[chosen])
        values, bloom, weight = _sampled(vessels, i, where, vessel.radius_mm[chosen], scene)
        weight = weight * (bloom < 0.5 * scene.noise_hu)
        clean = (weight * (raster.ring_mm[:, None] < BLUR_RADII_MM[1])).mean(axis=(1, 2)) > 0.9 * (
            raster.ring_mm < BLUR_RADII_MM[1]
        ).mean()
        blood = blood_along(vessels, i, scene)[chosen]
        parts.append([values[clean], weight[clean], blood[clean], vessel.radius_mm[chosen][clean]])
    values, weight, blood, radius = (np.concatenate(p) for p in zip(*parts, strict=True))
    blur = blur_sd_of(values, weight, raster, blood_hu=blood, radius_mm=radius, noise_hu=scene.noise_hu)
    return scene.blur_sd_mm if blur is None else blur


def _blood_in(points_mm: np.ndarray, vessels: list[Vessel], scene: Scene) -> np.ndarray:
    """Return what the vessels' blood surely adds to soft tissue at points (M, 3) in and beside them, (M,) HU.

    A lumen is surely as wide as it was measured less a standard deviation; where plaque closes it that is nothing.
    """
    along = np.concatenate([v.points_mm for v in vessels])
    radius = np.concatenate([np.maximum(v.radius_mm - v.radius_sd_mm, 0.0) for v in vessels])
    blood = np.concatenate([blood_along(vessels, i, scene) for i in range(len(vessels))])
    away, nearest = cKDTree(along).query(points_mm)
    share, _ = blurred_disc(away, radius[nearest], scene.blur_sd_mm)
    added: np.ndarray = (blood[nearest] - SOFT_TISSUE_HU) * share
    return added


def ostium_distance_mm(vessels: list[Vessel], index: int) -> np.ndarray:
    """Return the distance of each point of a vessel from its ostium along the vessels, (N,) mm."""
    vessel = vessels[index]
    along = arc_length_mm(vessel.points_mm)
    if vessel.parent is None or vessel.parent_point is None:
        return along
    return along + float(ostium_distance_mm(vessels, vessel.parent)[vessel.parent_point])


def blood_along(vessels: list[Vessel], index: int, scene: Scene) -> np.ndarray:
    """Return the attenuation of undiluted blood at each point of a vessel, (N,) HU."""
    blood = scene.blood.get(vessels[index].side, Blood(scene.blood_hu))
    return blood.at(ostium_distance_mm(vessels, index))


def _threaded(vessels: list[Vessel], index: int, scene: Scene) -> Vessel:
    """Return one vessel whose dim parts are moved to where the blood runs, its width unchanged."""
    vessel = vessels[index]
    values, bloom, _, _ = _across(vessels, index, vessel.points_mm, scene)
    dim = dim_parts(values, bloom, scene.blood_hu)
    dim[: _first_free(vessels, index) + 1] = False
    straight = bridged_mm(vessel.points_mm, dim)
    values, bloom, weight, axes = _across(vessels, index, straight, scene)
    offset = brightest_way_mm(values, bloom, weight, scene.blood_hu)
    shift = straight + (offset[:, None] @ axes)[:, 0] - vessel.points_mm
    return replace(vessel, points_mm=vessel.points_mm + smoothed(shift * dim[:, None], SHIFT_SMOOTH_MM))


def _across(
    vessels: list[Vessel], index: int, points_mm: np.ndarray, scene: Scene
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return ``_sampled`` on the raster of ``thread`` across a curve, and the axes of its sections, (N, 2, 3)."""
    axes = frames(points_mm)
    where = RASTER.points_mm(points_mm, *axes)
    return (*_sampled(vessels, index, where, vessels[index].radius_mm, scene), np.stack(axes, axis=1))


def _recentred(vessels: list[Vessel], index: int, scene: Scene) -> Vessel:
    """Return one vessel measured where it runs, and moved to where its sections' centres are."""
    vessel = vessels[index]
    fit, trusted, core = _measured(vessels, index, scene, iterations=5)
    certain = trusted / (1 + (fit.radius_sd_mm / 0.2) ** 2)
    shift = np.clip(fit.offset_mm, -0.6, 0.6) * certain[:, None]
    first, second = frames(vessel.points_mm)
    points = vessel.points_mm + smoothed(shift[:, :1] * first + shift[:, 1:] * second, 1.0)
    radius, deviation = _bridged(fit.radius_mm, fit.radius_sd_mm, trusted)
    if vessel.parent is not None and vessel.parent_point is not None:
        parent = vessels[vessel.parent]
        free = min(_first_free(vessels, index), len(points) - 2)
        joint = parent.points_mm[vessel.parent_point]
        # The way from the parent's middle to its wall cannot be seen: it is straight.
        share = (np.arange(free) / max(free, 1))[:, None]
        points = np.concatenate([joint + share * (points[free] - joint), points[free:]])
    moved = resampled(smoothed(points, 0.5))
    before, after = np.linspace(0, 1, len(points)), np.linspace(0, 1, len(moved))
    return replace(
        vessel,
        points_mm=moved,
        radius_mm=np.interp(after, before, radius),
        radius_sd_mm=np.interp(after, before, deviation),
        core_hu=np.interp(after, before, core),
        trusted=np.interp(after, before, trusted.astype(float)) > 0.5,
    )


def _final(vessels: list[Vessel], index: int, scene: Scene) -> Vessel:
    """Return one vessel measured where it runs."""
    fit, trusted, core = _measured(vessels, index, scene, iterations=9)
    radius, deviation = _bridged(fit.radius_mm, fit.radius_sd_mm, trusted)
    return replace(vessels[index], radius_mm=radius, radius_sd_mm=deviation, trusted=trusted, core_hu=core)


def _reattached(vessels: list[Vessel], index: int) -> Vessel:
    """Return one vessel with its parent's point where the parent, moved, is nearest to where it was."""
    vessel = vessels[index]
    if vessel.parent is None or vessel.parent_point is None:
        return vessel
    parent = vessels[vessel.parent].points_mm
    joint = int(np.argmin(np.linalg.norm(parent - vessel.points_mm[0], axis=1)))
    return replace(vessel, parent_point=joint, points_mm=np.concatenate([parent[joint : joint + 1], vessel.points_mm[1:]]))


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


def _measured(vessels: list[Vessel], index: int, scene: Scene, *, iterations: int) -> tuple[SectionFit, np.ndarray, np.ndarray]:
    """Return the fit of each section, whether it is to be trusted, and the attenuation in its middle."""
    points, radius = vessels[index].points_mm, vessels[index].radius_mm
    raster = Raster.of(min(float(radius.max()), WIDEST_MM) + REACH_MM)
    first, second = frames(points)
    where = raster.points_mm(points, first, second)
    values, bloom, weight = _sampled(vessels, index, where, radius, scene)
    rim = np.abs(raster.ring_mm[None, :, None] - radius[:, None, None]) < 0.5
    own = (weight * rim).sum((1, 2)) / np.maximum(rim.sum((1, 2)) * weight.shape[2], 1)
    inner = raster.ring_mm[None, :] <= np.maximum(0.4 * radius[:, None], raster.ring_mm[0] + 1e-6)
    share = inner * raster.area_mm2
    core = (share * values.mean(axis=2)).sum(axis=1) / share.sum(axis=1)
    fit = fit_sections(
        values, weight, raster, bloom_sd_hu=BLOOM_ERROR * bloom, blood_hu=blood_along(vessels, index, scene),
        blur_sd_mm=scene.blur_sd_mm, start_mm=np.clip(radius, 0.3, WIDEST_MM), noise_hu=scene.noise_hu, iterations=iterations,
    )  # fmt: skip
    trusted = (np.arange(len(points)) >= _first_free(vessels, index)) & (own > LEAST_OWN_RIM)
    return fit, trusted, core


def _sampled(
    vessels: list[Vessel], index: int, where: np.ndarray, radius: np.ndarray, scene: Scene
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the image at raster points without calcium's bloom, that bloom, and the weight of each point."""
    seen = scene.image.at(where)
    place = np.moveaxis(scene.bloom.index(where), -1, 0)
    bloom: np.ndarray = ndimage.map_coordinates(scene.bloom.values, place, order=1, output=np.float32)
    weight = _weight(_others(vessels, index), where, seen - bloom, radius, scene)
    return seen - bloom, bloom, weight


def _weight(
    others: tuple[np.ndarray, np.ndarray], where: np.ndarray, values: np.ndarray, radius: np.ndarray, scene: Scene
) -> np.ndarray:
    """Return 1 for raster points that belong to the vessel and its surroundings, 0 for other blood."""
    weight = np.ones(values.shape)
    ring = np.linalg.norm(where - where.mean(axis=2, keepdims=True), axis=-1)
    edge = ring - radius[:, None, None]
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


def _along_the_vessel(vessel: Vessel, blur_sd_mm: float) -> Vessel:
    """Return a vessel with its radii evened along it and sharpened by the scanner's blur."""
    radius = vessel.radius_mm
    if len(radius) > 6:
        radius = sharpened(evened(radius, vessel.radius_sd_mm), blur_sd_mm)
    return replace(vessel, radius_mm=np.maximum(radius, LEAST_RADIUS_MM))


def length_mm(vessel: Vessel) -> float:
    """Return the length of a vessel, mm."""
    return float(arc_length_mm(vessel.points_mm)[-1])
