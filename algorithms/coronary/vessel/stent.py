"""Stents: a shell brighter than blood around an artery's lumen, over a length that calcium seldom has.

Struts are a tenth of a millimetre thick, and the scanner's blur makes 800 to 2000 HU of them, which calcified plaque has as
well; so the shape tells them apart.  Calcium lies in one side of the wall and in spots, a stent all around and all along.

References
----------
Medicare local coverage determination L38613: FFR-CT is not for patients with intracoronary stents.
Cury et al., J Cardiovasc Comput Tomogr 16:536 (2022): CAD-RADS 2.0 marks stents (S) and grafts (G) with modifiers.

Points are (N, 3) LPS mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from algorithms.coronary.grid import Grid
from algorithms.coronary.tree import Branch, Tree
from algorithms.coronary.vessel.cross_section import STEP_MM, Raster, frames

LEAST_MM = 8.0
"""Shortest stent, mm: the shortest that are sold are 8 mm long."""

ABOVE_BLOOD_HU, ABOVE_NOISE = 100.0, 2.3
"""A strut is brighter than the aorta's blood by this, or by so many deviations of the noise if that is more.

In noise of 43 HU a stent then covers three quarters of the way around its vessel, with 3 deviations half of it, and the vessels
of 20 phantoms without one nothing.
"""

LEAST_SHARE = 0.6
"""Least part of the way around the lumen that struts and their bloom take (1); spots of calcium take half of it or less."""

WALL_MM = 1.2
"""Struts are looked for from half of the vessel's radius to this far beyond it."""

MESH_MM = 1.0
"""Half of the length along the vessel over which the cells of a stent's mesh are closed, mm."""

THICKEST_MM = 2.0
"""Radius of a ball that fits into dense blood, bone or a valve's calcium, and never into the bloom of a strut, mm."""

RADII_MM = (1.0, 2.3)
"""Radii of vessels that are stented, mm: stents have 2.25 to 4.5 mm."""


@dataclass(frozen=True)
class Stent:
    """A stent in branch ``branch`` of a tree, from ``start_mm`` to ``end_mm`` from the ostium."""

    branch: int
    start_mm: float
    end_mm: float
    share: float
    """Part of the way around the lumen that is covered, its mean (1)."""
    above_hu: float
    """How much the shell is brighter than the blood, its median (HU)."""


def stents(tree: Tree, volume_hu: Grid, blood_hu: float, noise_hu: float) -> list[Stent]:
    """Return the stents in ``tree``, in the order of its branches, the longest of each branch.

    Parameters
    ----------
    tree
        Named branches; where the lumen was lost inside a stent, it is looked for straight ahead of the branch's end.
    volume_hu
        The image (HU) around the tree.
    blood_hu, noise_hu
        Mean and standard deviation in the aorta.
    """
    limit = blood_hu + max(ABOVE_BLOOD_HU, ABOVE_NOISE * noise_hu)
    found = []
    for index, branch in enumerate(tree.branches):
        run = _shell(branch, volume_hu, limit)
        if run is not None:
            start, end, share, wall_hu = run
            along = tree.ostium_distance_mm(index)[0] + STEP_MM * np.array([start, end])
            found.append(Stent(index, float(along[0]), float(along[1]), share, wall_hu - blood_hu))
    return found


def sentence(stent: Stent, tree: Tree) -> str:
    """Return why a case with ``stent`` is refused, and what to do."""
    name = tree.branches[stent.branch].name
    return (
        f"the {name} holds a stent {stent.start_mm:.0f} to {stent.end_mm:.0f} mm from its ostium (a shell "
        f"{stent.above_hu:.0f} HU brighter than blood around {100 * stent.share:.0f} % of the lumen over "
        f"{stent.end_mm - stent.start_mm:.0f} mm), wanted arteries without stents; metal hides the lumen, so read this vessel "
        "without FFR-CT: by the images, a stress test or a pressure wire"
    )


def _shell(branch: Branch, volume_hu: Grid, limit_hu: float) -> tuple[int, int, float, float] | None:
    """Return first and last point of the longest shell along ``branch``, its share and brightness; None without one."""
    points = _with_way_ahead(branch.points_mm)
    radius = np.clip(np.pad(branch.reference_radius_mm, (0, len(points) - len(branch.points_mm)), mode="edge"), *RADII_MM)
    wall = _wall_hu(points, radius, volume_hu.values, volume_hu)
    run = _longest(_share(wall > limit_hu))
    if run is None:
        return None
    crop = _around(points[run[0] : run[1] + 1], volume_hu)
    thin = np.where(_thick(crop, limit_hu), np.float32(-1024), crop.values)
    wall = _wall_hu(points, radius, thin, crop)
    share = _share(wall > limit_hu)
    run = _longest(share)
    if run is None:
        return None
    part = slice(run[0], run[1] + 1)
    bright = wall[part][wall[part] > limit_hu]
    return run[0], run[1], float(share[part].mean()), float(np.median(bright))


def _with_way_ahead(points_mm: np.ndarray) -> np.ndarray:
    """Return a curve drawn on straight beyond its end, by twice the length of the shortest stent."""
    back = points_mm[max(0, len(points_mm) - 8)]
    way = points_mm[-1] - back
    way = way / max(float(np.linalg.norm(way)), 1e-6)
    ahead = np.arange(1, int(2 * LEAST_MM / STEP_MM) + 1)[:, None] * STEP_MM
    return np.concatenate([points_mm, points_mm[-1] + ahead * way])


def _wall_hu(points_mm: np.ndarray, radius_mm: np.ndarray, values: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the brightest value of the vessel's wall at each point along each spoke, (N, J) HU."""
    raster = Raster.of(RADII_MM[1] + WALL_MM)
    where = raster.points_mm(points_mm, *frames(points_mm))
    index = np.moveaxis(grid.index(where), -1, 0)
    hu = ndimage.map_coordinates(values, index, order=1, output=np.float32, mode="constant", cval=-1024.0)
    ring = raster.ring_mm[None, :, None]
    inside = (ring >= 0.5 * radius_mm[:, None, None]) & (ring <= radius_mm[:, None, None] + WALL_MM)
    wall: np.ndarray = np.where(inside, hu, -1024.0).max(axis=1)
    return wall


def _share(bright: np.ndarray) -> np.ndarray:
    """Return the part of the spokes (N, J) that meet a strut at each point or beside it, (N,)."""
    reach = round(MESH_MM / STEP_MM)
    closed = ndimage.binary_closing(np.pad(bright, ((reach, reach), (0, 0)), mode="edge"), np.ones((2 * reach + 1, 1)))
    share: np.ndarray = closed[reach : len(closed) - reach].mean(axis=1)
    return share


def _longest(share: np.ndarray) -> tuple[int, int] | None:
    """Return first and last point of the longest run that is covered all around, if it is as long as a stent."""
    covered = ndimage.binary_closing(np.pad(share >= LEAST_SHARE, 4), np.ones(5))[4:-4]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], covered.astype(np.int8), [0]]))).reshape(-1, 2)
    runs = [(int(a), int(b) - 1) for a, b in edges if (b - 1 - a) * STEP_MM >= LEAST_MM]
    return max(runs, key=lambda r: r[1] - r[0], default=None)


def _around(points_mm: np.ndarray, volume_hu: Grid) -> Grid:
    """Return the part of the image within 8 mm of ``points_mm``."""
    corners = volume_hu.index(np.stack([points_mm.min(axis=0) - 8.0, points_mm.max(axis=0) + 8.0]))
    start = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, np.asarray(volume_hu.values.shape) - 1)
    stop = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, start + 1, volume_hu.values.shape)
    return volume_hu.box(tuple(start), tuple(stop))


def _thick(crop: Grid, limit_hu: float) -> np.ndarray:
    """Return the voxels of bright things in which a ball of ``THICKEST_MM`` fits, (Z, Y, X) bool."""
    bright = crop.values > limit_hu
    core = ndimage.distance_transform_edt(bright, sampling=crop.spacing_mm) > THICKEST_MM
    if not core.any():
        return np.zeros(bright.shape, bool)
    near: np.ndarray = ndimage.distance_transform_edt(~core, sampling=crop.spacing_mm) <= THICKEST_MM
    return near & bright
