"""A small painted heart: vessels of known radius on an ellipsoid, blurred and noisy, with its mask and labels.

Points are (N, 3) LPS mm.  Angles and heights are those of ``heart_axes``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK
from scipy import ndimage
from scipy.spatial import cKDTree

from algorithms.coronary.grid import Grid
from algorithms.coronary.vessel.cross_section import arc_length_mm, resampled

BLOOD_HU, FAT_HU, MUSCLE_HU = 420.0, -80.0, 100.0
WALL_HU, WALL_MM = 40.0, 0.5
BLUR_SD_MM = 0.35
LONG_AXIS = np.array([0.60, -0.50, -0.62]) / np.linalg.norm([0.60, -0.50, -0.62])
SEPTUM = np.array([-0.7, -0.7, 0.0]) - (np.array([-0.7, -0.7, 0.0]) @ LONG_AXIS) * LONG_AXIS
SEPTUM = SEPTUM / np.linalg.norm(SEPTUM)
ANTERIOR = np.cross(SEPTUM, LONG_AXIS)
LENGTH_MM, SHORT_MM = 75.0, 28.0


@dataclass
class Tube:
    """A vessel to paint; ``hu`` is its blood."""

    points_mm: np.ndarray
    radius_mm: np.ndarray
    hu: float = BLOOD_HU
    masked: bool = True


@dataclass
class Painted:
    """A painted scene and its truth."""

    volume: Grid
    lumen: Grid
    heart: Grid
    ostia_mm: dict[str, np.ndarray]
    tubes: Mapping[str, Tube]
    facts: dict[str, float] = field(default_factory=dict)


def on_heart(knots: list[tuple[float, float, float]]) -> np.ndarray:
    """Return the smooth curve through (angle in degrees, height 0 to 1, mm outside the ventricle), every 0.25 mm."""
    from scipy.interpolate import CubicSpline

    angle, height, away = (np.array(k, dtype=float) for k in zip(*knots, strict=True))
    along = CubicSpline(np.arange(len(knots)), np.column_stack([angle, height, away]))(np.linspace(0, len(knots) - 1, 200))
    phi = np.radians(along[:, 0])[:, None]
    wide = (SHORT_MM * np.sqrt(np.clip(1 - along[:, 1] ** 2, 0.02, 1)) + along[:, 2])[:, None]
    return resampled(along[:, 1:2] * LENGTH_MM * LONG_AXIS + wide * (np.cos(phi) * SEPTUM + np.sin(phi) * ANTERIOR), 0.25)


def narrowed(radius_mm: np.ndarray, points_mm: np.ndarray, middle_mm: float, length_mm: float, severity: float) -> np.ndarray:
    """Return radii with a raised-cosine narrowing: ``severity`` is the diameter stenosis at its throat."""
    phase = np.clip((arc_length_mm(points_mm) - middle_mm) / (length_mm / 2), -1, 1)
    return radius_mm * (1 - severity * 0.5 * (1 + np.cos(np.pi * phase)))


def tube(points_mm: np.ndarray, start_mm: float, end_mm: float) -> Tube:
    """Return a tube that tapers evenly between two radii."""
    return Tube(points_mm, np.linspace(start_mm, end_mm, len(points_mm)))


def healthy_tubes() -> dict[str, Tube]:
    """Return LM, LAD, LCx, D1, OM1 and RCA with R-PDA and R-PLB."""
    trunk = on_heart([(30, -0.12, 6), (45, -0.1, 8), (60, -0.05, 6)])
    fork = (60, -0.05, 6)
    lad = on_heart([fork, (55, 0.15, 3), (50, 0.4, 3), (55, 0.65, 3), (50, 0.88, 3)])
    lcx = on_heart([fork, (95, -0.08, 3), (130, -0.05, 3), (165, -0.08, 3), (200, -0.05, 3)])
    rca = on_heart([(0, -0.1, 8), (-10, 0.0, 30), (-30, 0.05, 38), (-55, 0.05, 30), (-75, 0.0, 6)])
    tubes = {"LM": tube(trunk, 2.2, 2.1), "LAD": tube(lad, 1.8, 1.0), "LCx": tube(lcx, 1.6, 1.0), "RCA": tube(rca, 1.8, 1.4)}
    tubes["D1"] = tube(_side(lad, 25.0, [(78, 0.35, 3), (92, 0.55, 3), (100, 0.7, 3)]), 1.1, 0.7)
    tubes["OM1"] = tube(_side(lcx, 30.0, [(150, 0.1, 3), (158, 0.3, 3), (160, 0.5, 3)]), 1.1, 0.7)
    tubes["R-PDA"] = tube(_side(rca, 1e9, [(-68, 0.1, 3), (-60, 0.35, 3), (-58, 0.6, 3)]), 1.1, 0.7)
    tubes["R-PLB"] = tube(_side(rca, 1e9, [(-92, 0.0, 3), (-115, 0.1, 3), (-125, 0.3, 3)]), 1.1, 0.7)
    return tubes


def _side(parent_mm: np.ndarray, at_mm: float, knots: list[tuple[float, float, float]]) -> np.ndarray:
    start = parent_mm[int(np.argmin(np.abs(arc_length_mm(parent_mm) - min(at_mm, arc_length_mm(parent_mm)[-1]))))]
    height = float(start @ LONG_AXIS) / LENGTH_MM
    angle = float(np.degrees(np.arctan2(start @ ANTERIOR, start @ SEPTUM)))
    if angle - knots[0][0] < -180:
        angle += 360
    away = float(np.hypot(start @ ANTERIOR, start @ SEPTUM)) - SHORT_MM * np.sqrt(max(1 - height**2, 0.02))
    curve = on_heart([(angle, height, away), *knots])
    return np.concatenate([start[None], curve[1:]])


def paint(tubes: Mapping[str, Tube], *, spacing_mm: float = 0.5, noise_hu: float = 12.0, seed: int = 0) -> Painted:
    """Return the volume in which ``tubes`` run half in fat, half beside muscle; the mask is where they are half or more."""
    rng = np.random.default_rng(seed)
    everything = np.concatenate([t.points_mm for t in tubes.values()])
    low, high = everything.min(axis=0) - 8, everything.max(axis=0) + 8
    shape = tuple(int(n) for n in np.ceil((high - low) / spacing_mm)[::-1])
    empty = Grid(np.zeros(shape, dtype=np.float32), (spacing_mm,) * 3, tuple(float(v) for v in low))
    hu, heart = _surroundings(empty)
    mask = np.zeros(shape, dtype=np.uint8)
    for item in tubes.values():
        voxels, share = _share(Tube(item.points_mm, item.radius_mm + WALL_MM), empty)
        at = tuple(voxels.T)
        hu[at] += share * (WALL_HU - hu[at])
    for item in tubes.values():
        voxels, share = _share(item, empty)
        at = tuple(voxels.T)
        hu[at] += share * (item.hu - hu[at])
        if item.masked:
            mask[at] |= share >= 0.5
    hu = ndimage.gaussian_filter(hu, BLUR_SD_MM / spacing_mm)
    texture = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 0.8)
    hu += noise_hu * texture / texture.std()
    ostia = {side: tubes[name].points_mm[0] for side, name in (("left", "LM"), ("right", "RCA")) if name in tubes}
    volume = empty.with_values(np.rint(hu).astype(np.int16))
    return Painted(volume, empty.with_values(mask), heart, ostia, tubes)


def _surroundings(empty: Grid) -> tuple[np.ndarray, Grid]:
    """Return muscle inside the ventricle's ellipsoid and fat outside, and the heart's labels on a grid of 2 mm."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in empty.values.shape), indexing="ij", sparse=True)
    hu = np.full(empty.values.shape, FAT_HU, dtype=np.float32)
    points = [empty.origin_mm[i] + empty.spacing_mm[2 - i] * axis for i, axis in enumerate((x, y, z))]
    along = sum(LONG_AXIS[i] * points[i] for i in range(3))
    across = np.maximum(sum(p**2 for p in points) - along**2, 0)
    level = (along / LENGTH_MM) ** 2 + across / SHORT_MM**2
    hu[(level < 1) & (along > 0)] = MUSCLE_HU
    labels = np.zeros(empty.values.shape, dtype=np.uint8)
    labels[(level < 1) & (along > 0)] = 2
    labels[(level < 0.5) & (along > 0)] = 3
    right = sum((p - 40 * s - 30 * a) ** 2 for p, s, a in zip(points, SEPTUM, LONG_AXIS, strict=True)) < 18.0**2
    labels[right & (labels == 0)] = 4
    step = round(2.0 / empty.spacing_mm[0])
    spacing = tuple(s * step for s in empty.spacing_mm)
    return hu, Grid(labels[::step, ::step, ::step].copy(), spacing, empty.origin_mm)  # type: ignore[arg-type]


def _share(item: Tube, empty: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return the voxels that a tube touches and how much of each it fills, from sub-voxels along its surface."""
    spacing = empty.spacing_mm[0]
    dense = resampled(item.points_mm, 0.1)
    radius = np.interp(np.linspace(0, 1, len(dense)), np.linspace(0, 1, len(item.radius_mm)), item.radius_mm)
    reach = int(np.ceil((radius.max() + 1.0) / spacing))
    ball = np.argwhere(np.ones((2 * reach + 1,) * 3)) - reach
    ball = ball[np.linalg.norm(ball, axis=1) * spacing <= radius.max() + 1.0]
    centres = np.unique(np.rint(empty.index(dense[::4])).astype(int), axis=0)
    voxels = np.unique((centres[:, None] + ball).reshape(-1, 3), axis=0)
    voxels = voxels[np.all((voxels >= 0) & (voxels < empty.values.shape), axis=1)]
    offsets = (np.argwhere(np.ones((3, 3, 3))) - 1) * spacing / 3
    points = empty.points_mm(voxels)[:, None] + offsets[None]
    far, near = cKDTree(dense).query(points)
    share = np.clip(0.5 + (radius[near] - far) / (spacing / 3), 0, 1).mean(axis=1)
    return voxels[share > 0], share[share > 0].astype(np.float32)


def write(scene: Painted, folder: Path) -> dict[str, Path]:
    """Write the inputs of the stage as the stages before it do."""
    paths = {name: folder / file for name, file in FILES.items()}
    for name in ("volume", "lumen", "heart"):
        grid: Grid = getattr(scene, name)
        image = SimpleITK.GetImageFromArray(grid.values)
        image.SetSpacing(grid.spacing_mm[::-1])
        image.SetOrigin(grid.origin_mm)
        SimpleITK.WriteImage(image, str(paths[name]))
    anatomy = {
        "aorta": {"mean_hu": BLOOD_HU, "root_centre_mm": [0.0, 0.0, 0.0]},
        "ostia": {side: {"point_mm": point.tolist(), "confidence": 1.0} for side, point in scene.ostia_mm.items()},
        "heart_box": {"start_zyx": [0, 0, 0], "stop_zyx": list(scene.volume.values.shape)},
        "lv_mass_g": 120.0,
        "doubts": [],
        "checks": [],
    }
    paths["anatomy"].write_text(json.dumps(anatomy))
    paths["quality"].write_text(json.dumps({"noise_hu": 15.0}))
    return paths


FILES = {
    "volume": "volume.nii",
    "lumen": "lumen.nii.gz",
    "heart": "heart.nii.gz",
    "anatomy": "anatomy.json",
    "quality": "quality.json",
}
