"""Painting of the vessels of the coronary phantom: arteries with wall, plaque and calcium, and the vessels beside them.

Arrays are (Z, Y, X); points are (N, 3) LPS mm; intensities are Hounsfield units.
"""

from __future__ import annotations

import numpy as np

from algorithms.phantom.coronary import paint
from algorithms.phantom.coronary.devices import Device
from algorithms.phantom.coronary.neighbours import SideVessel
from algorithms.phantom.coronary.paint import Canvas, Grid
from algorithms.phantom.coronary.person import Person
from algorithms.phantom.coronary.plaque import outer_radius_mm
from algorithms.phantom.coronary.tissues import DEVICE_LABEL, LABELS
from algorithms.phantom.coronary.tree import Vessel
from algorithms.phantom.coronary.variety import Variety

VESSEL_WALL_MM = 0.4
"""Thickness of an artery's healthy wall, at the thin end of what ultrasound shows, because CT sees little of it."""
DEVICE_SHARE = 0.1
"""Share of a voxel from which on it counts as metal: struts are thinner than voxels, and that much outshines blood."""
FAT_SHEATH_MM = 1.6
"""Fat that an artery carries with it where it bulges into the lung."""


def paint_graft_sheath(canvas: Canvas, graft: SideVessel, fat_hu: float) -> None:
    """Paint the fat that a bypass carries along where it crosses the lung; whatever is denser stays."""
    part = canvas.grid.around(graft.path_mm, float(graft.radius_mm.max()) + FAT_SHEATH_MM + 1.0)
    if any(s.stop <= s.start for s in part):
        return
    bits = np.zeros([s.stop - s.start for s in part], dtype=np.uint64)
    paint.sweep_tube(bits, canvas.grid.block(part), graft.path_mm, graft.radius_mm + FAT_SHEATH_MM)
    here = canvas.hu[part]
    np.maximum(here, here + paint.share(bits) * (np.float32(fat_hu) - here), out=here)


def paint_side_vessel(canvas: Canvas, vessel: SideVessel, value: float) -> None:
    """Paint one vessel that is no coronary artery with ``value`` Hounsfield units."""
    grid, hu = canvas.grid, canvas.hu
    part = grid.around(vessel.path_mm, float(vessel.radius_mm.max()) + 1.0)
    if any(s.stop <= s.start for s in part):
        return
    bits = np.zeros([s.stop - s.start for s in part], dtype=np.uint64)
    paint.sweep_tube(bits, grid.block(part), vessel.path_mm, vessel.radius_mm)
    filled = paint.share(bits)
    hu[part] += filled * (np.float32(value) - hu[part])
    label = LABELS["cardiac vein" if vessel.name == "cardiac vein" else "other vessel"]
    canvas.labels[part][filled >= 0.5] = label


def paint_arteries(canvas: Canvas, person: Person, hu_of: dict[str, float], variety: Variety) -> None:
    """Paint wall, plaque, calcium and lumen of all arteries; contrast fades from the ostium on as ``variety`` says."""
    grid, hu, labels = canvas.grid, canvas.hu, canvas.labels
    part = grid.around(np.concatenate([v.axis_mm for v in person.vessels]), 5.0)
    block = grid.block(part)
    lumen, outer, wall, calcium, sheath = (np.zeros(block.shape, dtype=np.uint64) for _ in range(5))
    for index, vessel in enumerate(person.vessels):
        plaque_radius = outer_radius_mm(vessel, index, person.lesions)
        _sweep_vessel(lumen, block, vessel, vessel.points_mm, vessel.radius_mm)
        _sweep_vessel(outer, block, vessel, vessel.axis_mm, plaque_radius)
        _sweep_vessel(wall, block, vessel, vessel.axis_mm, plaque_radius + VESSEL_WALL_MM)
        _sweep_vessel(sheath, block, vessel, vessel.axis_mm, plaque_radius + FAT_SHEATH_MM)
    for nodule in person.nodules:
        paint.sweep_tube(calcium, block, nodule.path_mm, nodule.radius_mm)
    # An artery that opens into the aorta has neither wall nor plaque inside the aorta's lumen.
    aorta = labels[part] == LABELS["ascending aorta and root"]
    calcium &= wall & ~lumen
    soft = outer & ~lumen & ~calcium
    rim = wall & ~outer & ~lumen & ~calcium
    for bits in (lumen, calcium, soft, rim):
        bits[aorta] = 0
    here = hu[part]
    # An artery that bulges into the lung takes its fat along; whatever is denser than fat stays.
    np.maximum(here, here + paint.share(sheath) * (np.float32(hu_of["epicardial fat"]) - here), out=here)
    shares = [paint.share(b) for b in (lumen, calcium, soft, rim)]
    mixed = here * (1 - sum(shares))
    for filled, name in zip(shares, ("coronary lumen", "calcified plaque", "soft plaque", "vessel wall"), strict=True):
        mixed += filled * np.float32(hu_of[name])
    if variety.fading_hu_per_cm or variety.occlusion:
        mixed -= shares[0] * _lost_hu(shares[0] > 0, block, person, _contrast_lost(person, hu_of["coronary lumen"], variety))
    hu[part] = mixed
    for filled, name in zip(shares[2::-1], ("soft plaque", "calcified plaque", "coronary lumen"), strict=True):
        labels[part][filled >= 0.5] = LABELS[name]
    canvas.lumen[part] = np.bitwise_count(lumen)


def _sweep_vessel(bits: np.ndarray, grid: Grid, vessel: Vessel, path: np.ndarray, radius: np.ndarray) -> None:
    paint.sweep_tube(bits, grid, path, radius)
    paint.sweep_cap(bits, grid, path[0], float(radius[0]))
    if vessel.name in {"LM", "RCA"}:
        # Forks of two daughters stand at the ends of these; a ball closes the wedge between the three directions.
        paint.sweep_cap(bits, grid, path[-1], float(radius[-1]))


def _contrast_lost(person: Person, blood_hu: float, variety: Variety) -> list[np.ndarray]:
    """Return for every artery the Hounsfield units (N,) that its blood lacks at each point: 150 at most by fading.

    Beyond an occlusion, in the artery and in its branches, is what collaterals bring.
    """
    way_mm: list[np.ndarray] = []
    beyond: list[np.ndarray] = []
    for vessel in person.vessels:
        start = 0 if vessel.parent_point is None else vessel.parent_point
        before = (0.0, False) if vessel.parent is None else (way_mm[vessel.parent][start], beyond[vessel.parent][start])
        way_mm.append(before[0] + vessel.distance_mm)
        beyond.append(before[1] | np.maximum.accumulate(vessel.radius_mm < 1e-3))
    faded = [np.minimum(way / 10.0 * variety.fading_hu_per_cm, 150.0) for way in way_mm]
    lacking = blood_hu * (1 - variety.collateral)
    return [np.maximum(lost, lacking * far) for lost, far in zip(faded, beyond, strict=True)]


def _lost_hu(open_voxels: np.ndarray, grid: Grid, person: Person, lost: list[np.ndarray]) -> np.ndarray:
    """Return ``lost``, which is by point of every artery, at each of ``open_voxels`` (Z, Y, X)."""
    from scipy.spatial import cKDTree

    values = np.zeros(open_voxels.shape, dtype=np.float32)
    voxels = np.argwhere(open_voxels)
    if len(voxels):
        places = np.array(grid.origin_mm) + voxels[:, ::-1] * np.array(grid.spacing_mm)[::-1]
        nearest = cKDTree(np.concatenate([v.axis_mm for v in person.vessels])).query(places)[1]
        values[open_voxels] = np.concatenate(lost)[nearest]
    return values


def paint_device(canvas: Canvas, device: Device) -> None:
    """Paint the strands of ``device`` over everything else."""
    points = np.concatenate([path for path, _ in device.strands])
    part = canvas.grid.around(points, 3.0)
    if any(s.stop <= s.start for s in part):
        return
    block = canvas.grid.block(part)
    bits = np.zeros(block.shape, dtype=np.uint64)
    for path, radius in device.strands:
        paint.sweep_tube(bits, block, path, radius)
    filled = paint.share(bits)
    canvas.hu[part] += filled * (np.float32(device.hu) - canvas.hu[part])
    canvas.labels[part][filled >= DEVICE_SHARE] = DEVICE_LABEL
