"""The stage ``segment``: the voxels of the coronary lumen inside the heart box.

Arrays are (Z, Y, X); points are (N, 3) LPS mm.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.contract.pipeline import TOGETHER
from algorithms.coronary.arteries import Artery, grow
from algorithms.coronary.grid import Grid, read_grid, write_grid
from algorithms.coronary.heart import ASCENDING_AORTA, MUSCLE_HU
from algorithms.coronary.learned_lumen import learned_lumen
from algorithms.coronary.lumen import Lumen, lumen_likelihood, lumen_mask
from algorithms.coronary.vessels import labels_on
from algorithms.segmentation.segmenter import Segmenter, load

log = logging.getLogger(__name__)

LEARNED = "learned"
"""The segmenter that asks networks of the registry; the other one is tubeness and brightness."""

SEED_REACH_MM = 1.0
"""How far from an ostium's point the growth starts, mm."""

MOUTH_MM = 5.0
"""Reach of an artery's mouth from the ostium's point, mm: within it the artery may be as wide as a part of the root."""

MOUTH_LIKENESS = 0.5
"""Likeness of lumen of blood in an artery's mouth (1)."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The lumen (uint8) on the grid of the heart box, and the arteries as paths."""

    lumen: Grid
    arteries: list[Artery]


def segment(volume: Grid, heart: Grid, anatomy: Mapping[str, Any], segmenters: Sequence[Segmenter] = ()) -> Segmentation:
    """Return the coronary lumen of ``volume`` (HU), given the labels ``heart`` and the content of ``anatomy.json``.

    ``segmenters`` are the networks that are asked; with none of them tubeness and brightness tell.

    Raises
    ------
    DataError
        If no ostium is known, nothing grows from those known, or the model cannot be used.
    """
    if not anatomy["ostia"]:
        raise DataError("no coronary ostium was found, wanted at least one; send a series with the aortic root and less motion")
    box = volume.box(tuple(anatomy["heart_box"]["start_zyx"]), tuple(anatomy["heart_box"]["stop_zyx"]))
    aorta_hu = float(anatomy["aorta"]["mean_hu"])
    ostia = np.array([entry["point_mm"] for _, entry in sorted(anatomy["ostia"].items())])
    field = learned_lumen(box, ostia, segmenters, aorta_hu) if segmenters else lumen_likelihood(box, heart, aorta_hu)
    fine = field.hu
    field, seeds = opened_at(field, ostia, labels_on(heart, fine) == ASCENDING_AORTA)
    arteries = grow(field, seeds, aorta_hu)
    if not arteries:
        raise DataError(
            "no coronary artery could be followed from the ostia found; send a phase with less motion or more contrast"
        )
    points = np.concatenate([fine.points_mm(a.index) for a in arteries])
    radius = np.concatenate([a.radius_mm for a in arteries])
    mask = lumen_mask(box, field, points, radius, aorta_hu)
    return Segmentation(box.with_values(mask.astype(np.uint8)), arteries)


def opened_at(field: Lumen, ostia_mm: np.ndarray, root: np.ndarray) -> tuple[Lumen, np.ndarray]:
    """Return ``field`` with the arteries' mouths open, and the flat indices of the voxels that growth starts from.

    The widening of an artery's mouth belongs to the wide blood of the root as far as a filter can tell; within
    ``MOUTH_MM`` of an ostium and outside ``root`` (Z, Y, X) it is lumen.
    """
    mouth = np.zeros(field.open.shape, bool)
    seeds = []
    for point in ostia_mm:
        at, spacing = field.hu.index(point), field.hu.spacing_mm[0]
        reach = int(np.ceil(MOUTH_MM / spacing)) + 1
        start = np.clip(np.rint(at).astype(int) - reach, 0, None)
        stop = np.minimum(np.rint(at).astype(int) + reach + 1, field.open.shape)
        z, y, x = np.ogrid[start[0] : stop[0], start[1] : stop[1], start[2] : stop[2]]
        away = np.sqrt((z - at[0]) ** 2 + (y - at[1]) ** 2 + (x - at[2]) ** 2) * spacing
        part = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        mouth[part] |= away <= MOUTH_MM
        index = np.argwhere(away <= SEED_REACH_MM) + start
        seeds.append(np.ravel_multi_index(tuple(index.T), field.open.shape))
    bright = mouth & (field.hu.values > MUSCLE_HU) & field.wide
    likeness = np.where(bright, np.maximum(field.likeness, MOUTH_LIKENESS), field.likeness)
    opened = replace(field, likeness=likeness, open=field.open | bright, wide=field.wide & ~(mouth & ~root))
    return opened, np.unique(np.concatenate(seeds))


def run(
    inputs: Mapping[str, Path], out: Path, *, segmenter: str, lumen_model: str, lumen_precision: str
) -> dict[str, float | int | str]:
    """Read ``volume``, ``heart`` and ``anatomy``; write ``lumen.nii.gz``."""
    anatomy = json.loads(inputs["anatomy"].read_text())
    models = lumen_model.split(TOGETHER) if segmenter == LEARNED else []
    segmenters = [load(model, precision=lumen_precision) for model in models]
    found = segment(read_grid(inputs["volume"]), read_grid(inputs["heart"]), anatomy, segmenters)
    write_grid(found.lumen, out / "lumen.nii.gz")
    voxel_ml = float(np.prod(found.lumen.spacing_mm)) / 1000
    measured: dict[str, float | int | str] = {} if not segmenters else {"precision": segmenters[0].precision}
    volume_ml = float(found.lumen.values.sum(dtype=np.int64)) * voxel_ml
    log.info("grew %d arteries, %.1f ml of lumen", len(found.arteries), volume_ml)
    return measured | {
        "arteries": len(found.arteries),
        "lumen_ml": round(volume_ml, 3),
        "longest_gap_mm": round(float(max(a.gap_mm for a in found.arteries)), 2),
    }
