"""The stage ``anatomy``: aorta, coronary ostia, left-ventricular muscle and the box around the heart, from the volume alone.

Arrays are (Z, Y, X); points are LPS mm.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from algorithms.contract.errors import DataError
from algorithms.coronary.aorta import Aorta, trace_aorta
from algorithms.coronary.aortic_discs import LEAST_CONTRAST_HU, ascending_chain, disc_chains
from algorithms.coronary.aortic_valve import cut_at_valve
from algorithms.coronary.grid import Grid, read_grid, write_grid
from algorithms.coronary.heart import MYOCARDIUM, Heart, find_heart
from algorithms.coronary.ostia import SIDES, Ostium, Surroundings, find_ostia
from algorithms.coronary.surgery import surgery_doubts

log = logging.getLogger(__name__)

COARSE_MM = 1.5
"""Coarsest voxel on which the heart is labelled, mm: a thirtieth of a ventricle."""

NOISE_LEFT_MM = 1.0
"""Gaussian that takes the noise out of the coarse volume, mm."""

LV_MASS_G = (60.0, 400.0)
"""Plausible left-ventricular mass, g: from the least of small women to extreme hypertrophy.

Normal ranges in CT are 57 to 150 (Lin et al., J Cardiovasc Comput Tomogr 2:17 (2008)).
"""

LEAST_CONFIDENCE = 0.35
"""Confidence below which an ostium is doubted (1)."""

BELOW_ROOT_MM = 55.0
"""A heart reaches at least this far below the aortic valve, mm; less in the volume means that its lower part is missing."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What the stage finds; ``heart_box`` holds start and stop (z, y, x) in voxels of the volume."""

    aorta: Aorta
    heart: Heart
    ostia: dict[str, Ostium]
    heart_box: tuple[np.ndarray, np.ndarray]
    doubts: tuple[str, ...]


def find_anatomy(volume: Grid) -> Anatomy:
    """Return the anatomy of ``volume`` (HU).

    Raises
    ------
    DataError
        If there is no ascending aorta, its contrast is too low, the heart below it is not in the volume, or a bypass graft
        leaves the aorta.
    """
    coarse = volume.coarse(COARSE_MM)
    smooth = coarse.with_values(ndimage.gaussian_filter(coarse.values, [NOISE_LEFT_MM / s for s in coarse.spacing_mm]))
    chain = ascending_chain(disc_chains(smooth), smooth)
    aorta = cut_at_valve(trace_aorta(smooth, chain))
    log.info("traced %d cross-sections of the aorta, %.0f HU", len(aorta.centres_mm), aorta.mean_hu)
    if aorta.mean_hu < LEAST_CONTRAST_HU:
        raise DataError(
            f"aortic contrast of {aorta.mean_hu:.0f} HU, wanted at least {LEAST_CONTRAST_HU:.0f} HU; "
            "send the arterial-phase series, or repeat the scan with a later trigger"
        )
    below = aorta.centres_mm[0, 2] - volume.origin_mm[2]
    if below < BELOW_ROOT_MM:
        raise DataError(
            f"{below:.0f} mm of the heart below the aortic valve in the volume, wanted at least {BELOW_ROOT_MM:.0f} mm; "
            "send the series that reaches from above the aortic root to below the heart's apex"
        )
    heart = find_heart(smooth, aorta)
    around = Surroundings.of(volume, heart, aorta)
    ostia = find_ostia(around)
    doubts = (*_doubts(heart, ostia), *surgery_doubts(volume, around, ostia))
    return Anatomy(aorta, heart, ostia, heart_box(volume, heart, aorta), doubts)


def heart_box(volume: Grid, heart: Heart, aorta: Aorta) -> tuple[np.ndarray, np.ndarray]:
    """Return start and stop (z, y, x) in voxels of ``volume`` of a box that holds every coronary artery.

    It spans the left ventricle with its muscle and the root, and as much to the right and front of the root as the right
    heart takes, which may hold no contrast.
    """
    root = aorta.centres_mm[0]
    low, high = root - np.array([70.0, 55.0, 75.0]), root + np.array([45.0, 45.0, 45.0])
    ventricle = np.argwhere((heart.labels.values == MYOCARDIUM) | (heart.labels.values == MYOCARDIUM + 1))
    if len(ventricle):
        points = heart.labels.points_mm(ventricle)
        low = np.minimum(low, points.min(axis=0) - 14.0)
        high = np.maximum(high, points.max(axis=0) + np.array([14.0, 14.0, 0.0]))
    index = np.sort(volume.index(np.stack([low, high])), axis=0)
    start = np.clip(np.floor(index[0]).astype(int), 0, np.asarray(volume.values.shape) - 1)
    stop = np.clip(np.ceil(index[1]).astype(int) + 1, 1, volume.values.shape)
    return start, stop


def _doubts(heart: Heart, ostia: dict[str, Ostium]) -> tuple[str, ...]:
    doubts = []
    for side in SIDES:
        if side not in ostia:
            doubts.append(f"the {side} coronary ostium was not found")
        elif ostia[side].confidence < LEAST_CONFIDENCE:
            doubts.append(f"the {side} coronary ostium is uncertain (confidence {ostia[side].confidence:.2f})")
    if heart.lv_mass_g is None:
        doubts.append("the left ventricle was not found; its mass must be given")
    elif not LV_MASS_G[0] <= heart.lv_mass_g <= LV_MASS_G[1]:
        doubts.append(
            f"left-ventricular mass of {heart.lv_mass_g:.0f} g, plausible are {LV_MASS_G[0]:.0f} to {LV_MASS_G[1]:.0f} g"
        )
    return tuple(doubts)


def document(anatomy: Anatomy) -> dict[str, Any]:
    """Return the content of ``anatomy.json``; lengths rounded to 1 um, so that equal findings are equal files."""
    aorta, heart = anatomy.aorta, anatomy.heart
    mass = None if heart.lv_mass_g is None else round(heart.lv_mass_g, 2)
    return {
        "aorta": {
            "mean_hu": round(aorta.mean_hu, 1),
            "root_centre_mm": np.round(aorta.centres_mm[0], 3).tolist(),
            "root_axis": np.round(aorta.normals[0], 4).tolist(),
        },
        "ostia": {
            s: {"point_mm": np.round(o.point_mm, 3).tolist(), "confidence": o.confidence} for s, o in anatomy.ostia.items()
        },
        "heart_box": {"start_zyx": anatomy.heart_box[0].tolist(), "stop_zyx": anatomy.heart_box[1].tolist()},
        "lv_mass_g": mass,
        "doubts": list(anatomy.doubts),
        "checks": _checks(anatomy),
    }


def _checks(anatomy: Anatomy) -> list[dict[str, Any]]:
    hu, mass, ostia = anatomy.aorta.mean_hu, anatomy.heart.lv_mass_g, len(anatomy.ostia)
    return [
        {
            "name": "aortic contrast",
            "value": round(hu, 1),
            "unit": "HU",
            "limit": f">= {LEAST_CONTRAST_HU:.0f}",
            "passed": bool(hu >= LEAST_CONTRAST_HU),
            "help": "mean attenuation of the ascending aorta",
        },
        {
            "name": "left-ventricular mass",
            "value": None if mass is None else round(mass, 2),
            "unit": "g",
            "limit": f"{LV_MASS_G[0]:.0f} to {LV_MASS_G[1]:.0f}",
            "passed": mass is not None and LV_MASS_G[0] <= mass <= LV_MASS_G[1],
            "help": "volume of the left-ventricular muscle times its density; it sets the resting flow",
        },
        {
            "name": "coronary ostia",
            "value": ostia,
            "unit": "1",
            "limit": "2",
            "passed": ostia == len(SIDES),
            "help": "a left and a right artery were seen to leave the aortic root",
        },
    ]


def run(inputs: Mapping[str, Path], out: Path) -> dict[str, float | int | str]:
    """Read ``volume``; write ``heart.nii.gz`` and ``anatomy.json``."""
    anatomy = find_anatomy(read_grid(inputs["volume"]))
    write_grid(anatomy.heart.labels, out / "heart.nii.gz")
    (out / "anatomy.json").write_text(json.dumps(document(anatomy), indent=1) + "\n")
    measured: dict[str, float | int | str] = {
        "aorta_hu": round(anatomy.aorta.mean_hu, 1),
        "ostia_found": len(anatomy.ostia),
        "doubts": len(anatomy.doubts),
    }
    if anatomy.heart.lv_mass_g is not None:
        measured["lv_mass_g"] = round(anatomy.heart.lv_mass_g, 2)
    return measured
