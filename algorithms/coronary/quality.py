"""Can a CT volume be answered?  Hounsfield units, contrast, noise, coverage of the heart, steps between slices.

Volumes are int16 HU, (Z, Y, X) from feet to head, front to back, right to left; spacings are (z, y, x) mm.
All estimates are made on a grid of about 2 mm; they judge the examination and serve no measurement of a vessel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from algorithms.contract.check import Check, check
from algorithms.contract.errors import DataError

COARSE_MM = 2.0
"""Widest spacing at which the volume is judged."""

PADDING_HU = -1020
"""At or below it lies padding outside the field of view as well as air; neither is tissue."""

BLOOD_HU = (150, 900)
"""Contrasted blood: from poor opacification to undiluted contrast in the right heart."""

OPENING_MM = 5.0
"""Radius of what survives as a blood pool: the aorta's is 12-18 mm, ribs and cortical bone are thinner."""

SOFT_TISSUE_HU = 50.0
"""Blood without contrast, and muscle."""

LEAST_POOL_ML = 40.0
"""The left heart holds 100-250 ml and the descending aorta 50 ml or more; a vertebral body holds less."""

MOST_POOLS = 8
"""Regions looked at: left and right heart, descending aorta, pulmonary arteries; the largest come first."""

ARTERIAL_FRACTION = 0.25
"""Largest difference in contrast between left heart and aorta; the bolus is mixed when it has passed the lungs."""

BRIGHTER_FRACTION = 0.7
"""A pool darker than this part of the brightest is not arterial: contrast leaves the right heart first."""

AORTA_MM = (14.0, 40.0)
"""Width of a descending aorta, of a small woman to an aneurysm."""

AORTA_EVENNESS = 1.7
"""Widest over narrowest; a chain of right heart, caval vein and pulmonary artery is as long, and uneven."""

AORTA_HEIGHT = 0.7
"""Part of the slices that it runs through; its ends may lie outside a small field of view."""

TEXTURE_HU = 60.0
"""Largest local deviation (3 x 3 x 3 coarse voxels) of blood: spongy bone beside its shell varies by more."""

NOISY_HU = 60.0
"""Above it, plaque (0-150 HU) and lumen can hardly be told apart voxel by voxel; an own bound."""


LOWEST_AREA = 0.3
"""Descending aorta (3-5 cm2) over left ventricle and atrium with it (15-45 cm2)."""

HIGHEST_AREA = 0.5
"""Ascending and descending aorta (8-14 cm2), and the arch, over the same."""

CUT_FACTOR = 1.5
"""A case is rejected at the limit times this, and doubted from the limit on."""


@dataclass(frozen=True)
class Judgement:
    """What the pixels say of a volume."""

    aorta_hu: float
    noise_hu: float
    checks: tuple[Check, ...]


def judge(volume: np.ndarray, spacing_mm: tuple[float, float, float], least_contrast_hu: float) -> Judgement:
    """Return contrast, noise and checks of ``volume``.

    Raises
    ------
    DataError
        If the values are no Hounsfield units, blood is not contrasted, or the heart is cut off.
    """
    strides = [max(1, int(COARSE_MM / s)) for s in spacing_mm]
    coarse = volume[:: strides[0], :: strides[1], :: strides[2]]
    coarse_mm = np.asarray(spacing_mm) * strides
    units = hounsfield_checks(coarse)
    pool = arterial_pool(blood_pools(coarse, coarse_mm), coarse_mm, least_contrast_hu)
    aorta_hu = pool.hu
    noise = noise_hu(volume, _interior(pool.voxels, coarse_mm) * strides, spacing_mm)
    steps = step_slices(volume)
    checks = (
        *units,
        check("aorta_contrast", (round(aorta_hu, 1), "HU"), ">= 300", aorta_hu >= 300, "median of left heart and aorta"),
        check("noise", (round(noise, 1), "HU"), f"<= {NOISY_HU:g}", noise <= NOISY_HU, "deviation in homogeneous blood"),
        check("contrast_to_noise", (round(aorta_hu / max(noise, 1.0), 1), "1"), ">= 10", aorta_hu >= 10 * max(noise, 1.0),
              "contrast over noise"),
        check("step_artefacts", (float(len(steps)), "1"), "0", not steps, "slices at which the body's outline jumps"),
        *coverage_checks(pool.voxels, coarse_mm),
    )  # fmt: skip
    return Judgement(aorta_hu, noise, checks)


def hounsfield_checks(coarse: np.ndarray) -> list[Check]:
    """Return the checks of air and soft tissue; raises `DataError` where the rescale to HU must be wrong."""
    tissue = coarse[coarse > PADDING_HU]
    if tissue.size < 0.05 * coarse.size:
        raise DataError("almost every voxel is padding or air; wanted Hounsfield units of a chest; resend the original series")
    air_hu = float(np.percentile(tissue, 1))
    counts, edges = np.histogram(tissue[(tissue > -300)], bins=np.arange(-300, 1500, 20))
    soft_hu = float(edges[int(np.argmax(ndimage.uniform_filter1d(counts.astype(float), 3)))] + 10)
    if air_hu > -600 or not -150 <= soft_hu <= 150:
        raise DataError(
            f"air reads {air_hu:.0f} HU and soft tissue {soft_hu:.0f} HU, wanted about -1000 to -700 and -100 to 80; "
            "the rescale to Hounsfield units is wrong or the scan is no chest; resend the original series"
        )
    return [
        check("air", (round(air_hu), "HU"), "<= -600", True, "darkest hundredth of the volume: air or lung"),
        check("soft_tissue", (round(soft_hu), "HU"), "-150 to 150", True, "commonest value above -300 HU"),
    ]


def _ball(radius_mm: float, spacing_mm: np.ndarray) -> np.ndarray:
    reach = np.maximum(1, np.floor(radius_mm / spacing_mm)).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1) * spacing_mm
    return np.asarray((grid**2).sum(axis=-1) <= (radius_mm + 0.01) ** 2)


@dataclass(frozen=True, eq=False)
class Pool:
    """One connected, homogeneous, bright region: its voxels (Z, Y, X), contrast and volume."""

    voxels: np.ndarray
    hu: float
    ml: float


def blood_pools(coarse: np.ndarray, coarse_mm: np.ndarray) -> list[Pool]:
    """Return the contrasted regions that are too large and too even to be bone, largest first."""
    smooth = ndimage.uniform_filter(coarse.astype(np.float32), 3)
    variance = ndimage.uniform_filter(coarse.astype(np.float32) ** 2, 3) - smooth**2
    bright = (smooth > BLOOD_HU[0]) & (smooth < BLOOD_HU[1])
    core = bright & (variance < TEXTURE_HU**2)
    labels, count = ndimage.label(ndimage.distance_transform_edt(core, sampling=coarse_mm) > OPENING_MM - 1.0)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    pools: list[Pool] = []
    for label in np.argsort(-sizes, kind="stable")[:MOST_POOLS] + 1:
        seed = labels == label
        hu = float(np.median(coarse[seed]))
        # Back to the full width of the region, up to where brightness falls to half of the way to soft tissue.
        near = ndimage.distance_transform_edt(~seed, sampling=coarse_mm) <= OPENING_MM
        voxels = near & (smooth > 0.5 * (hu + SOFT_TISSUE_HU))
        ml = float(voxels.sum() * np.prod(coarse_mm) / 1000)
        if ml >= LEAST_POOL_ML:
            pools.append(Pool(voxels, hu, ml))
    return pools


def arterial_pool(pools: Sequence[Pool], coarse_mm: np.ndarray, least_contrast_hu: float) -> Pool:
    """Return the left heart with the aorta: every pool about as bright as the arteries are.

    The arteries' brightness is that of the descending aorta, a tube through most of the volume; where there is none, that of
    the largest among the brighter pools.  A right heart that the contrast has left is darker and is not counted.

    Raises
    ------
    DataError
        If there is no pool, or the arteries are too dark.
    """
    remedy = "send the contrast-enhanced coronary phase"
    if not pools:
        raise DataError(
            f"no contrasted blood was found above {BLOOD_HU[0]} HU, wanted {least_contrast_hu:.0f} HU or more; {remedy}"
        )
    tubes = [pool for pool in pools if _is_tube(pool.voxels, coarse_mm)]
    brighter = [pool for pool in pools if pool.hu > BRIGHTER_FRACTION * max(pool.hu for pool in pools)]
    arterial_hu = max(tubes or brighter, key=lambda pool: pool.ml).hu
    if arterial_hu < least_contrast_hu:
        raise DataError(f"contrast of {arterial_hu:.0f} HU in the blood, wanted {least_contrast_hu:.0f} HU or more; {remedy}")
    members = [pool for pool in pools if abs(pool.hu - arterial_hu) < ARTERIAL_FRACTION * arterial_hu]
    voxels = np.logical_or.reduce([pool.voxels for pool in members])
    return Pool(voxels, arterial_hu, sum(pool.ml for pool in members))


def _is_tube(voxels: np.ndarray, coarse_mm: np.ndarray) -> bool:
    """Return whether a region is a vessel of the aorta's even width through most of the volume."""
    area_mm2 = voxels.sum(axis=(1, 2)) * coarse_mm[1] * coarse_mm[2]
    crossed = area_mm2[area_mm2 > 0]
    narrow_mm, usual_mm, wide_mm = np.sqrt(4 / np.pi * np.percentile(crossed, [10, 50, 90]))
    long = len(crossed) > AORTA_HEIGHT * len(area_mm2)
    return bool(long and AORTA_MM[0] <= usual_mm <= AORTA_MM[1] and wide_mm < AORTA_EVENNESS * narrow_mm)


def _interior(pool: np.ndarray, coarse_mm: np.ndarray) -> np.ndarray:
    """Return up to 200 voxels of the pool, (N, 3), whose 9 mm square holds nothing but the pool."""
    depth = ndimage.distance_transform_edt(pool, sampling=coarse_mm)
    inside = np.argwhere(depth > OPENING_MM + 1.5)
    return inside[:: max(1, len(inside) // 200)]


def noise_hu(volume: np.ndarray, centres: np.ndarray, spacing_mm: tuple[float, float, float]) -> float:
    """Return the noise in blood, HU: the median deviation from a plane in 9 mm squares round ``centres``, (N, 3) voxels.

    Squares lie in one slice, because reconstruction correlates noise within a slice and motion changes blood between them.
    """
    half = [max(2, round(4.5 / s)) for s in spacing_mm[1:]]
    rows, columns = np.meshgrid(*(np.arange(-h, h + 1) for h in half), indexing="ij")
    plane = np.stack([np.ones(rows.size), rows.ravel(), columns.ravel()], axis=1)
    projector = plane @ np.linalg.pinv(plane)
    deviations: list[float] = []
    for z, y, x in centres:
        square = volume[z, max(y - half[0], 0) : y + half[0] + 1, max(x - half[1], 0) : x + half[1] + 1].astype(float).ravel()
        if square.size == rows.size:
            deviations.append(float((square - projector @ square).std(ddof=3)))
    if not deviations:
        raise DataError("no homogeneous blood region to measure noise in; send the contrast-enhanced coronary phase")
    return float(np.median(deviations))


def step_slices(volume: np.ndarray) -> list[int]:
    """Return the slices z at which the image jumps from z to z + 1: steps between heart beats, or breathing.

    Mean absolute difference of neighbouring slices (every fourth pixel), against its own running median over 15 slices.
    """
    thin = volume[:, ::4, ::4].astype(np.int32)
    change = np.abs(np.diff(np.clip(thin, -300, 300), axis=0)).mean(axis=(1, 2))
    usual = ndimage.median_filter(change, size=15, mode="nearest")
    spread = 1.4826 * float(np.median(np.abs(change - usual)))
    jumps = change > np.maximum(1.4 * usual, usual + 6 * spread)
    return [int(z) for z in np.nonzero(jumps)[0]]


def coverage_checks(pool: np.ndarray, coarse_mm: np.ndarray) -> list[Check]:
    """Return the checks that the heart lies within the volume; ``pool`` is the left heart with the aorta.

    Below the apex only the descending aorta is bright; above the ostia only the aorta is.  So the area of the blood pool in
    the lowest and highest slices, over its greatest area, tells how much of the heart is cut off.

    Raises
    ------
    DataError
        If the pool is cut where it is wide.
    """
    area_mm2 = pool.sum(axis=(1, 2)) * coarse_mm[1] * coarse_mm[2]
    widest = float(area_mm2.max())
    edge = max(1, round(4.0 / coarse_mm[0]))
    below, above = float(area_mm2[:edge].mean() / widest), float(area_mm2[-edge:].mean() / widest)
    for end, fraction, limit, wanted in (
        ("below", below, LOWEST_AREA, "apex"),
        ("above", above, HIGHEST_AREA, "coronary ostia"),
    ):
        if fraction > CUT_FACTOR * limit:
            raise DataError(
                f"the heart is cut off {end}: the outermost slices hold {fraction:.0%} of its greatest blood area, "
                f"wanted {limit:.0%} or less beyond the {wanted}; send the series that covers the whole heart"
            )
    return [
        check("heart_below", (round(below, 3), "1"), f"<= {LOWEST_AREA:g}", below <= LOWEST_AREA,
              "blood area in the lowest slices over the greatest: beyond the apex little is left"),
        check("heart_above", (round(above, 3), "1"), f"<= {HIGHEST_AREA:g}", above <= HIGHEST_AREA,
              "blood area in the highest slices over the greatest: above the ostia only great vessels are left"),
    ]  # fmt: skip
