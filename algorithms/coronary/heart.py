"""Blood pools, left ventricle and myocardium around a known aortic root.

Enhanced blood is parted into pools where it narrows (a watershed on the distance to the pool's edge); the pool below the
aortic valve that is wrapped in muscle is the left ventricle.  Its muscle is followed outwards along rays to fat, lung or
another pool; where nothing marks its end (the diaphragm) it ends where its neighbours do.
Arrays are (Z, Y, X); points are (N, 3) LPS mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from algorithms.coronary.aorta import Aorta, aorta_mask
from algorithms.coronary.grid import Grid

MUSCLE_HU = 100.0
"""Attenuation of myocardium in the arterial phase, HU (90 to 120 at 120 kV; Lee et al., doi:10.1148/radiol.11110593)."""

FAT_BELOW_HU = 0.0
"""Blurred boundary of muscle (about 100 HU) and epicardial fat (about -100 HU), HU."""

MUSCLE_DENSITY_G_ML = 1.05
"""Density of myocardium, g/ml (Vinnakota and Bassingthwaighte, doi:10.1152/ajpheart.00478.2003, give 1.053)."""

THICKEST_WALL_MM = 22.0
"""Greatest thickness of a ventricular wall that is looked for, mm (hypertrophy is called severe from 17)."""

UNSEEN = 1.25
"""A wall so many times as thick as the median has no visible end; on 14 phantoms of the whole range the mass is then within 7 %
of the true one on average, the worst 14 %."""

ASCENDING_AORTA, MYOCARDIUM, LEFT_VENTRICLE, OTHER_POOL = 1, 2, 3, 4
"""Labels of the artefact ``heart``."""


@dataclass(frozen=True, eq=False)
class Heart:
    """Labels (Z, Y, X) on the coarse grid and the mass of the left ventricle's muscle (``None`` without ventricle)."""

    labels: Grid
    lv_mass_g: float | None
    wall_mm: float | None


def blood_threshold_hu(aorta_hu: float) -> float:
    """Return the value half-way between muscle and arterial blood, HU."""
    return (aorta_hu + MUSCLE_HU) / 2


def pools(blood: np.ndarray, spacing_mm: tuple[float, float, float], aorta: np.ndarray) -> np.ndarray:
    """Return a label (Z, Y, X) for each wide part of ``blood``, parted where it narrows to under 0.8 of its parts' radius."""
    from skimage.segmentation import watershed  # type: ignore[attr-defined,unused-ignore]

    depth = ndimage.distance_transform_edt(blood & ~aorta, sampling=spacing_mm).astype(np.float32)
    smooth = ndimage.gaussian_filter(depth, [2.0 / s for s in spacing_mm])
    peaks = (smooth == ndimage.maximum_filter(smooth, [2 * round(6.0 / s) + 1 for s in spacing_mm])) & (smooth > POOL_RADIUS_MM)
    seeds, _ = ndimage.label(peaks)
    parts: np.ndarray = watershed(-smooth, seeds, mask=blood & ~aorta & (depth > 0))  # type: ignore[no-untyped-call]
    return _merged(parts, smooth)


POOL_RADIUS_MM = 5.0
"""Least radius of a blood pool, mm: no coronary artery without an aneurysm is as wide."""


def _merged(parts: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Return ``parts`` with neighbours joined whose common neck is at least 0.85 as deep as the shallower of them."""
    count = int(parts.max())
    top = ndimage.maximum(depth, parts, np.arange(count + 1))
    neck: dict[tuple[int, int], float] = {}
    for axis in range(3):
        a = np.moveaxis(parts, axis, 0)[:-1].ravel()
        b = np.moveaxis(parts, axis, 0)[1:].ravel()
        d = np.minimum(np.moveaxis(depth, axis, 0)[:-1].ravel(), np.moveaxis(depth, axis, 0)[1:].ravel())
        touch = (a != b) & (a > 0) & (b > 0)
        for i, j, v in zip(a[touch].tolist(), b[touch].tolist(), d[touch].tolist(), strict=True):
            pair = (min(i, j), max(i, j))
            neck[pair] = max(neck.get(pair, 0.0), v)
    parent = list(range(count + 1))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for (i, j), v in sorted(neck.items(), key=lambda item: (-item[1], item[0])):
        first, second = sorted((root(i), root(j)))
        if first != second and v >= 0.85 * min(top[first], top[second]):
            parent[second] = first
            top[first] = max(top[first], top[second])
    joined: np.ndarray = np.array([root(i) for i in range(count + 1)])[parts]
    return joined


def left_ventricle(parts: np.ndarray, smooth: Grid, aorta: Aorta) -> np.ndarray | None:
    """Return the mask (Z, Y, X) of the ventricle: the pool below the valve with most muscle around it, or ``None``.

    Candidates lie within 15 mm of a point 8 mm below the valve.  Parts that touch the pool found, hold arterial blood and are
    wrapped in muscle themselves (papillary muscles part a ventricle) belong to it; an atrium has a thin wall.
    """
    below = aorta.centres_mm[0] - 8.0 * aorta.normals[0]
    index = np.argwhere(parts > 0)
    distance = np.linalg.norm(smooth.points_mm(index) - below, axis=1)
    names = parts[tuple(index.T)]
    near = np.unique(names[distance < 15.0]).tolist()
    voxel_ml = float(np.prod(smooth.spacing_mm)) / 1000
    limit = blood_threshold_hu(aorta.mean_hu)
    worth = {
        name: _muscle_around(parts == name, smooth, limit) * min(1.0, (names == name).sum() * voxel_ml / 30) for name in near
    }
    if not worth or max(worth.values()) < LEAST_MUSCLE:
        return None
    ventricle: np.ndarray = parts == max(near, key=lambda name: worth[name])
    tried: set[int] = set(np.unique(parts[ventricle]).tolist()) | {0}
    while True:
        touching = set(np.unique(parts[ndimage.binary_dilation(ventricle)]).tolist()) - tried
        for name in sorted(touching):
            tried.add(name)
            part = parts == name
            outflow = name in near and part.sum() * voxel_ml < OUTFLOW_ML
            as_bright = float(np.median(smooth.values[part])) > (limit + aorta.mean_hu) / 2
            if outflow or (as_bright and _muscle_around(part, smooth, limit, without=ventricle) >= MUSCULAR_PART):
                ventricle |= part
        if not touching:
            return ventricle


LEAST_MUSCLE = 0.35
"""Least share of muscle in the shell around a left ventricle (1)."""

OUTFLOW_ML = 15.0
"""Greatest volume of the outflow tract between ventricle and valve where it is a part of its own, ml."""

MUSCULAR_PART = 0.55
"""Least share of muscle around a part that touches the ventricle, for it to be a part of it (1)."""


def _muscle_around(part: np.ndarray, smooth: Grid, limit_hu: float, without: np.ndarray | None = None) -> float:
    """Return the share of the shell 2.5 to 7.5 mm around ``part``, less the voxels of ``without``, that is muscle."""
    where = ndimage.find_objects(part.astype(np.uint8))[0]
    pad = [int(np.ceil(9.0 / s)) for s in smooth.spacing_mm]
    cut = tuple(slice(max(0, w.start - p), w.stop + p) for w, p in zip(where, pad, strict=True))
    away = ndimage.distance_transform_edt(~part[cut], sampling=smooth.spacing_mm)
    shell = (away > 2.5) & (away < 7.5)
    if without is not None:
        shell &= ~without[cut]
    hu = smooth.values[cut][shell]
    return float(((hu > 40) & (hu < limit_hu - 20)).mean()) if hu.size else 0.0


def muscle_hu(ventricle: np.ndarray, smooth: Grid, blood_hu: float) -> float:
    """Return the attenuation of the muscle around ``ventricle``: the commonest value 3 to 6 mm beyond its blood, HU."""
    away = ndimage.distance_transform_edt(~ventricle, sampling=smooth.spacing_mm)
    hu = smooth.values[(away > 3.0) & (away < 6.0)]
    hu = hu[(hu > 40) & (hu < blood_hu)]
    if hu.size < 100:
        return MUSCLE_HU
    count, edge = np.histogram(hu, bins=np.arange(40, blood_hu, 4.0))
    peak = int(np.argmax(ndimage.uniform_filter1d(count.astype(float), 5)))
    return float(np.median(hu[np.abs(hu - edge[peak] - 2) < 30]))


MUSCLE_SPREAD_HU = 28.0
"""Values this far above the muscle's are no longer muscle, HU: between it and the faintest blood that can be told from it."""


def right_pools(hu: np.ndarray, spacing_mm: tuple[float, float, float], above_hu: float, without: np.ndarray) -> np.ndarray:
    """Return the wide blood (Z, Y, X) brighter than ``above_hu``, not among ``without``: a right heart with little contrast."""
    depth = ndimage.distance_transform_edt((hu > above_hu) & ~without, sampling=spacing_mm)
    core = depth > POOL_RADIUS_MM
    wide: np.ndarray = (ndimage.distance_transform_edt(~core, sampling=spacing_mm) < POOL_RADIUS_MM) & ~without
    return wide


def myocardium(
    ventricle: np.ndarray, other: np.ndarray, smooth: Grid, most_hu: float, rays: int = 4000
) -> tuple[np.ndarray, float]:
    """Return the mask (Z, Y, X) of the muscle around ``ventricle`` and the median thickness of its wall in mm.

    Along rays from the ventricle's centre the wall starts at the last blood and ends at fat, air, the pool ``other`` or
    values over ``most_hu``.  A wall that seems thicker than ``UNSEEN`` times the median of all has no end that can be seen,
    as against the diaphragm, the liver or a right heart without contrast: it is taken to be as thick as the median.
    """
    centre = np.array(ndimage.center_of_mass(ventricle))
    direction = _sphere(rays)
    step = 0.75
    radius = np.arange(0, 90, step)
    spacing = np.asarray(smooth.spacing_mm)
    index = centre[:, None, None] + (direction[:, None, :] * radius[None, :, None] / spacing).transpose(2, 0, 1)
    shape = np.asarray(smooth.values.shape)[:, None, None]
    outside = ((index < 0) | (index > shape - 1)).any(axis=0)
    voxel = tuple(np.clip(np.rint(index), 0, shape - 1).astype(int))
    within = ventricle[voxel] & ~outside
    hu = smooth.values[voxel]
    end_blood = radius.size - 1 - within[:, ::-1].argmax(axis=1)
    beyond = np.arange(radius.size)[None] > end_blood[:, None]
    blurred = np.arange(radius.size)[None] <= end_blood[:, None] + round(BLURRED_EDGE_MM / step)
    left = beyond & ((hu < FAT_BELOW_HU) | other[voxel] | outside | ((hu > most_hu) & ~blurred))
    end_wall = np.where(left.any(axis=1), left.argmax(axis=1), radius.size - 1)
    wall = (end_wall - end_blood) * step
    other_there = other[voxel][np.arange(rays), np.minimum(end_wall, radius.size - 1)]
    valve = other_there & (wall < 4.0)
    sure = (wall < THICKEST_WALL_MM) & ~valve & (wall > 2.0)
    typical = float(np.median(wall[sure])) if sure.sum() > rays // 10 else 0.0
    wall = np.where(valve, 0.0, np.where(wall > UNSEEN * typical, typical, wall))
    reach = end_blood * step
    near = ndimage.distance_transform_edt(~ventricle, sampling=smooth.spacing_mm) <= BLURRED_EDGE_MM
    muscle = (smooth.values > FAT_BELOW_HU) & ((smooth.values < most_hu) | near) & ~ventricle & ~other
    return _within_rays(muscle, centre, spacing, direction, np.stack([0.5 * reach, reach + wall])), typical


BLURRED_EDGE_MM = 3.0
"""Width over which the blur of the coarse volume mixes blood into the muscle beside it, mm."""


def _sphere(count: int) -> np.ndarray:
    """Return ``count`` unit vectors (N, 3) spread evenly (a Fibonacci lattice)."""
    i = np.arange(count) + 0.5
    z = 1 - 2 * i / count
    turn = np.pi * (1 + 5**0.5) * i
    across = np.sqrt(1 - z**2)
    return np.column_stack([across * np.cos(turn), across * np.sin(turn), z])


def _within_rays(
    mask: np.ndarray, centre: np.ndarray, spacing_mm: np.ndarray, direction: np.ndarray, span_mm: np.ndarray
) -> np.ndarray:
    """Return the largest connected part of ``mask`` between the distances ``span_mm`` (2, R) from ``centre`` along its rays."""
    from scipy.spatial import cKDTree

    index = np.argwhere(mask)
    offset = (index - centre) * spacing_mm
    away = np.linalg.norm(offset, axis=1)
    close = (away < span_mm[1].max()) & (away > 0)
    index, offset, away = index[close], offset[close], away[close]
    _, nearest = cKDTree(direction).query(offset / away[:, None], k=4)
    start, stop = np.median(span_mm[:, nearest], axis=2)
    keep = (away <= stop) & (away >= start)
    within = np.zeros(mask.shape, bool)
    within[tuple(index[keep].T)] = True
    names, count = ndimage.label(within)
    if count > 1:
        within = names == 1 + int(np.argmax(np.bincount(names.ravel())[1:]))
    return within


def find_heart(smooth: Grid, aorta: Aorta) -> Heart:
    """Return aorta, left ventricle, its muscle and the other blood pools as labels on the grid of ``smooth``."""
    root = aorta_mask(aorta, smooth, margin_mm=0.75)
    blood = smooth.values > blood_threshold_hu(aorta.mean_hu)
    parts = pools(blood, smooth.spacing_mm, root)
    labels = np.zeros(blood.shape, np.uint8)
    labels[parts > 0] = OTHER_POOL
    mass = wall = None
    ventricle = left_ventricle(parts, smooth, aorta)
    if ventricle is not None:
        labels[ventricle] = 0
        ventricle = ndimage.binary_closing(ventricle, iterations=2) & (labels != OTHER_POOL) & ~root
        labels[ventricle] = LEFT_VENTRICLE
        most = muscle_hu(ventricle, smooth, blood_threshold_hu(aorta.mean_hu)) + MUSCLE_SPREAD_HU
        beside = ndimage.distance_transform_edt(~(ventricle | root | (labels == OTHER_POOL)), sampling=smooth.spacing_mm)
        faint = right_pools(smooth.values, smooth.spacing_mm, most, beside <= BLURRED_EDGE_MM)
        labels[faint] = OTHER_POOL
        other = (labels == OTHER_POOL) | root
        muscle, wall = myocardium(ventricle, other, smooth, most)
        labels[muscle] = MYOCARDIUM
        mass = float(muscle.sum()) * float(np.prod(smooth.spacing_mm)) / 1000 * MUSCLE_DENSITY_G_ML
    labels[root] = ASCENDING_AORTA
    return Heart(smooth.with_values(labels), mass, wall)
