"""A lumen mask made fit for tracing: holes filled, crumbs dropped, gaps bridged where the image shows a vessel.

Nothing is mended in silence: what was bridged or left unconnected comes back as doubts.  Arrays are (Z, Y, X).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.graph import MCP_Geometric

from algorithms.coronary.grid import Grid

CRUMB_MM = 5.0
"""Pieces of less extent than this are noise; a vessel this short is not worth a doubt."""

UNCONNECTED_MM = 10.0
"""A piece of at least this extent that cannot be connected may be a vessel: worth a doubt."""

SILENT_GAP_MM = 3.0
"""A gap this short, straight and with the contrast of a narrow lumen is a severe stenosis, which is reported as such."""

LEAST_CONTRAST = 0.1
"""Part of the way from soft tissue to blood that the darkest place of a gap must have for a vessel to be seen there.
A lumen of 0.5 mm under a blur of 0.7 mm keeps 0.25, of which interpolation and a crooked way leave half."""

DARK_GAP_MM = 2.0
"""A gap this short is bridged, with a doubt, even where it is dark: a lumen of less than 0.3 mm looks like that."""

STRAIGHT_COSINE = 0.6
"""A bridge goes on in the direction of the piece that it connects, to within about 50 degrees."""

SOFT_TISSUE_HU = 40.0
"""Unenhanced vessel wall and myocardium."""

PATH_RADIUS_MM = 0.7
"""A bridge is painted this wide, a small vessel's radius."""


@dataclass(frozen=True, eq=False)
class Repair:
    """The mask to trace, its seeds, and what is doubtful about it."""

    mask: np.ndarray  # bool
    seeds: dict[str, np.ndarray]  # "left", "right" -> (3,) voxel of the mask
    doubts: tuple[str, ...]
    bridges: int


def repaired(
    lumen: Grid,
    values_hu: np.ndarray,
    ostia_mm: dict[str, np.ndarray],
    *,
    blood_hu: float,
    widest_gap_mm: float,
    farthest_ostium_mm: float,
) -> Repair:
    """Return the mask ``lumen`` with its holes filled and its pieces joined to those that lie at the ostia.

    Parameters
    ----------
    lumen, values_hu
        The mask, and (Z, Y, X) Hounsfield units on its grid.
    ostia_mm
        "left" and "right", those that were found.
    blood_hu
        Attenuation of the aorta.
    widest_gap_mm
        Wider gaps are not bridged.
    farthest_ostium_mm
        The mask must begin within this distance of an ostium.
    """
    spacing = np.asarray(lumen.spacing_mm)
    mask = ndimage.binary_fill_holes(lumen.values > 0)
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    boxes = ndimage.find_objects(labels)
    extent = np.array([0.0] + [_extent_mm(labels[box] == i + 1, spacing) for i, box in enumerate(boxes)])
    kept = extent >= CRUMB_MM
    seeds, doubts = _seeds(labels, kept, lumen, ostia_mm, farthest_ostium_mm)
    mask = kept[labels]
    if not seeds:
        return Repair(mask, {}, tuple(doubts), 0)
    tree = {int(labels[tuple(seed)]) for seed in seeds.values()}
    loose = {i for i in range(1, count + 1) if kept[i] and i not in tree}
    voxels = {i: np.argwhere(labels[boxes[i - 1]] == i) + [s.start for s in boxes[i - 1]] for i in loose}
    rooted = np.argwhere(np.isin(labels, list(tree)))
    bridges = 0
    while loose:
        finder = cKDTree(rooted * spacing)
        gaps = {i: finder.query(voxels[i] * spacing, distance_upper_bound=widest_gap_mm) for i in sorted(loose)}
        piece = min(gaps, key=lambda i: float(gaps[i][0].min()))
        gap_mm, near = gaps[piece]
        best = int(np.argmin(gap_mm))
        if not np.isfinite(gap_mm[best]):
            break
        loose.discard(piece)
        way, contrast = _way(values_hu, spacing, voxels[piece][best], rooted[near[best]], blood_hu)
        wide = float(gap_mm[best])
        straight = _straight(voxels[piece] * spacing, voxels[piece][best] * spacing, rooted[near[best]] * spacing)
        if (contrast < LEAST_CONTRAST or not straight) and wide > DARK_GAP_MM:
            if extent[piece] >= UNCONNECTED_MM:
                doubts.append(_unconnected(extent[piece], wide))
            continue
        bridges += 1
        if wide > SILENT_GAP_MM or contrast < LEAST_CONTRAST or not straight:
            doubts.append(
                f"a gap of {wide:.1f} mm in the lumen was bridged to connect a piece of {extent[piece]:.0f} mm; "
                "look there for an occlusion, a severe stenosis or a wrong connection"
            )
        painted = _paint(mask, way, spacing)
        rooted = np.concatenate([rooted, voxels[piece], painted])
    doubts.extend(_unconnected(extent[i], None) for i in sorted(loose) if extent[i] >= UNCONNECTED_MM)
    return Repair(mask, seeds, tuple(doubts), bridges)


def _straight(piece_mm: np.ndarray, start_mm: np.ndarray, end_mm: np.ndarray) -> bool:
    """Return whether the way from ``start`` on a piece to ``end`` goes on in the direction of the piece there."""
    near = piece_mm[np.linalg.norm(piece_mm - start_mm, axis=1) < 4.0].mean(axis=0)
    piece, gap = start_mm - near, end_mm - start_mm
    return bool(piece @ gap >= STRAIGHT_COSINE * np.linalg.norm(piece) * np.linalg.norm(gap))


def _unconnected(extent_mm: float, gap_mm: float | None) -> str:
    gap = "" if gap_mm is None else f" across a dark gap of {gap_mm:.1f} mm"
    return f"a piece of vessel of {extent_mm:.0f} mm extent is not connected to an ostium{gap}; it may hide an occlusion"


def _extent_mm(piece: np.ndarray, spacing_mm: np.ndarray) -> float:
    """Return the diagonal of the box around a piece, mm."""
    return float(np.linalg.norm(np.asarray(piece.shape) * spacing_mm))


def _seeds(
    labels: np.ndarray, kept: np.ndarray, grid: Grid, ostia_mm: dict[str, np.ndarray], farthest_mm: float
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the mask voxel nearest each ostium, of a piece that is no crumb, and doubts for ostia without one."""
    voxels = np.argwhere(kept[labels])
    seeds: dict[str, np.ndarray] = {}
    doubts: list[str] = []
    for side in ("left", "right"):
        if side not in ostia_mm:
            doubts.append(f"the {side} coronary ostium was not found, so that side of the tree is missing")
            continue
        if len(voxels) == 0:
            continue
        far = np.linalg.norm(grid.points_mm(voxels) - ostia_mm[side], axis=1)
        nearest = int(np.argmin(far))
        if far[nearest] > farthest_mm:
            doubts.append(
                f"no lumen within {farthest_mm:.0f} mm of the {side} ostium; the nearest is {far[nearest]:.0f} mm away"
            )
            continue
        seeds[side] = voxels[nearest]
    if len(seeds) == 2 and np.array_equal(seeds["left"], seeds["right"]):
        doubts.append("left and right ostium lead to the same place of the lumen")
        del seeds["right"]
    return seeds, doubts


def _way(
    values_hu: np.ndarray, spacing_mm: np.ndarray, start: np.ndarray, end: np.ndarray, blood_hu: float
) -> tuple[np.ndarray, float]:
    """Return the brightest way between two voxels, (N, 3), and the contrast of its darkest place, 0 tissue to 1 blood."""
    margin = np.ceil(3.0 / spacing_mm).astype(int)
    low = np.maximum(np.minimum(start, end) - margin, 0)
    high = np.minimum(np.maximum(start, end) + margin + 1, values_hu.shape)
    part = values_hu[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].astype(float)
    contrast = np.clip((ndimage.gaussian_filter(part, 0.3 / spacing_mm) - SOFT_TISSUE_HU) / (blood_hu - SOFT_TISSUE_HU), 0, 1)
    finder = MCP_Geometric(1 / np.maximum(contrast, 0.03) ** 2, sampling=tuple(spacing_mm))
    finder.find_costs([tuple(start - low)], [tuple(end - low)])
    way = np.array(finder.traceback(tuple(end - low)))
    return way + low, float(contrast[tuple(way.T)].min())


def _paint(mask: np.ndarray, way: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Set ``mask`` within PATH_RADIUS_MM of the way and return those voxels."""
    reach = np.ceil(PATH_RADIUS_MM / spacing_mm).astype(int)
    steps = np.argwhere(np.ones(2 * reach + 1)) - reach
    ball = steps[np.linalg.norm(steps * spacing_mm, axis=1) <= PATH_RADIUS_MM]
    voxels = np.unique((way[:, None] + ball[None]).reshape(-1, 3), axis=0)
    voxels = voxels[np.all((voxels >= 0) & (voxels < mask.shape), axis=1)]
    mask[tuple(voxels.T)] = True
    return voxels
