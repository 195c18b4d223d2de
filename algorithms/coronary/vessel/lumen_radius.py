"""The radius of a lumen whose image is blurred as widely as a stenosis is narrow.

Half of the peak is no edge there: with a blur of 0.8 mm a lumen of 1 mm looks 1.3 mm wide and too dark.  Here the whole
section is explained instead: a star-shaped lumen of known blood, blurred by a known Gaussian, in a background that may
differ from sector to sector (myocardium, fat) and from the wall outwards (plaque, then fat), both unknown.  What is
sought is the most probable radius (Gauss-Newton with Gaussian priors, robust weights); its standard deviation comes from
the same normal equations.  Sections are polar rasters, (N, K rings, J spokes); lengths are mm, values HU.

References
----------
Marcum, *A statistical theory of target detection by pulsed radar*, IRE Trans. Inf. Theory 6:59 (1960): the integral of a
Gaussian over a disc beside its centre, which is the blurred disc.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from algorithms.contract.threads import each
from algorithms.coronary.vessel.cross_section import Raster

LEAST_RADIUS_MM = 0.1
"""Radii are kept above this: a closed lumen and one of 0.2 mm look the same at CT resolution."""

MODEL_ERROR_HU = 20.0
"""What the model does not explain (texture of fat, small branches); our choice."""

NOISE_CELL_MM2 = 0.5
"""Area over which noise is one value, mm2: the power at 0.3 to 0.6 per mm, where an edge is seen, of noise that is filtered as
by a medium kernel is 0.4 to 0.75 mm2 times its variance (Kijewski and Judy, Phys Med Biol 32:565 (1987)).  What the model does
not explain is as wide as the blur."""

MOST_FREEDOM = 0.9
"""A section of fewer noise values than unknowns tells nothing."""

WALL_HU, WALL_SD_HU = 40.0, 50.0
"""The vessel wall, non-calcified plaque and myocardium before the fit: soft tissue."""

OUTER_SD_HU = 120.0
"""The surroundings before the fit: anything from fat (-100) to enhanced myocardium (120)."""

SHAPE_SD = 0.12
"""How far, as a part of the radius, the lumen may be out of round before the fit (each of two modes)."""

KNOTS_MM = (0.0, 1.0, 2.2)
"""Distances from the lumen's edge between which the background changes linearly: wall, plaque's outer rim, beyond."""

SECTIONS_AT_ONCE = 32
"""Sections that one thread computes together: as much as stays near to its core."""


@dataclass(frozen=True, eq=False)
class SectionFit:
    """What was found in N sections."""

    radius_mm: np.ndarray  # (N,) of the circle with the lumen's area
    radius_sd_mm: np.ndarray  # (N,)
    offset_mm: np.ndarray  # (N, 2) the lumen's centre along the raster's two axes
    background_hu: np.ndarray  # (N,) mean at the wall
    residual_hu: np.ndarray  # (N,) weighted root mean square
    freedom: np.ndarray  # (N,) share of the noise that the unknowns can follow, 0 to 1


def fit_sections(
    values_hu: np.ndarray,
    weight: np.ndarray,
    raster: Raster,
    *,
    bloom_sd_hu: np.ndarray,
    blood_hu: np.ndarray,
    blur_sd_mm: float,
    start_mm: np.ndarray,
    noise_hu: float,
    iterations: int = 10,
) -> SectionFit:
    """Return the lumen's area radius, centre and background in each section.

    Parameters
    ----------
    values_hu, weight, raster
        (N, K, J) on the points of ``raster``; weight 0 leaves a raster point out (a neighbour, calcium), 1 takes it.
    bloom_sd_hu
        (N, K, J) how uncertain each value is because calcium's bloom was taken from it.
    blood_hu
        (N,) attenuation of the undiluted lumen.
    blur_sd_mm
        Standard deviation of the scanner's Gaussian point spread.
    start_mm
        (N,) radii to start from.
    noise_hu
        Standard deviation of the image noise.
    iterations
        Gauss-Newton steps; a step changes the radius by 0.3 mm at the most.
    """

    def fitted(part: slice) -> SectionFit:
        return _fit(
            values_hu[part],
            weight[part],
            raster,
            bloom_sd=bloom_sd_hu[part],
            blood=blood_hu[part],
            blur=blur_sd_mm,
            start=start_mm[part],
            noise=noise_hu,
            iterations=iterations,
        )

    parts = each(fitted, (slice(i, i + SECTIONS_AT_ONCE) for i in range(0, len(values_hu), SECTIONS_AT_ONCE)))
    return SectionFit(*(np.concatenate([getattr(p, name) for p in parts]) for name in SectionFit.__dataclass_fields__))


def _fit(
    values: np.ndarray,
    weight: np.ndarray,
    raster: Raster,
    *,
    bloom_sd: np.ndarray,
    blood: np.ndarray,
    blur: float,
    start: np.ndarray,
    noise: float,
    iterations: int,
) -> SectionFit:
    n = len(values)
    modes = _modes(raster.spoke_rad)  # (5, J): 1, cos, sin, cos 2, sin 2
    shape_count, knot_count = 5, len(KNOTS_MM)
    error = np.sqrt(noise**2 + MODEL_ERROR_HU**2 + bloom_sd**2)
    # A raster point counts for its share of the area over which noise, or misfit, is one value.
    area = raster.area_mm2[None, :, None]
    base = weight * area / (NOISE_CELL_MM2 * noise**2 + 4 * np.pi * blur**2 * (MODEL_ERROR_HU**2 + bloom_sd**2))
    shape = np.zeros((n, shape_count))
    shape[:, 0] = np.maximum(start, 2 * LEAST_RADIUS_MM)
    ground = np.zeros((n, knot_count, 5))
    ground[:, 0, 0] = WALL_HU
    outside = weight * (raster.ring_mm[None, :, None] > shape[:, :1, None] + 1.0)
    ground[:, 1:, 0] = ((outside * values).sum((1, 2)) / np.maximum(outside.sum((1, 2)), 1e-9))[:, None]
    mean, precision = _prior(ground, shape[:, 0])
    unknown = np.concatenate([shape, ground.reshape(n, -1)], axis=1)
    mean = np.concatenate([shape * [1, 0, 0, 0, 0], mean.reshape(n, -1)], axis=1)
    robust = np.ones_like(values)
    for step in range(iterations):
        model, slope = _model(unknown, modes, raster, blood, blur)
        residual = values - model
        if step >= 2:
            robust = np.clip(1 - (residual / (4 * error)) ** 2, 0.0, 1.0) ** 2
        far = np.clip((raster.ring_mm[None, :, None] - unknown[:, :1, None] - 2.2) / 1.2, 0, 1)
        active = base * robust * (1 - far)
        precision[:, 1:shape_count] = 1 / np.maximum(SHAPE_SD * unknown[:, :1], 0.05) ** 2
        precision[:, 1:3] = 1 / 0.5**2  # the centre is free: the curve follows it
        flat = slope.reshape(n, -1, unknown.shape[1])
        weighted = flat * active.reshape(n, -1, 1)
        normal = weighted.transpose(0, 2, 1) @ flat
        normal[:, np.arange(unknown.shape[1]), np.arange(unknown.shape[1])] += precision
        right = (weighted.transpose(0, 2, 1) @ residual.reshape(n, -1, 1))[..., 0] + precision * (mean - unknown)
        change = np.linalg.solve(normal, right[..., None])[..., 0]
        change[:, :shape_count] = np.clip(change[:, :shape_count], -0.3, 0.3)
        unknown = unknown + change
        unknown[:, 0] = np.maximum(unknown[:, 0], LEAST_RADIUS_MM)
        unknown[:, 3:5] = np.clip(unknown[:, 3:5], -0.4 * unknown[:, :1], 0.4 * unknown[:, :1])
    covariance = np.linalg.inv(normal)
    area_radius = np.sqrt(unknown[:, 0] ** 2 + (unknown[:, 3:5] ** 2).sum(axis=1) / 2)
    rms = np.sqrt((active * residual**2).sum((1, 2)) / np.maximum(active.sum((1, 2)), 1e-12))
    misfit = np.maximum(1.0, rms / np.hypot(noise, MODEL_ERROR_HU))
    deviation = np.sqrt(covariance[:, 0, 0]) * misfit
    every = np.arange(unknown.shape[1])
    followed = unknown.shape[1] - (covariance[:, every, every] * precision).sum(axis=1)
    cells = (area * robust * (1 - far) * weight).sum((1, 2)) / NOISE_CELL_MM2
    freedom = np.minimum(followed / np.maximum(cells, 1e-9), MOST_FREEDOM)
    return SectionFit(area_radius, deviation, unknown[:, 1:3], unknown[:, shape_count], rms, freedom)


def _modes(spoke_rad: np.ndarray) -> np.ndarray:
    return np.stack([np.ones_like(spoke_rad)] + [f(m * spoke_rad) for m in (1, 2) for f in (np.cos, np.sin)])


def _prior(ground: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the prior means (N, knots, 5) of the background and the precisions of all unknowns (N, 5 + knots * 5)."""
    n, knots, _ = ground.shape
    sd = np.full((knots, 5), OUTER_SD_HU)
    sd[0] = WALL_SD_HU
    sd[:, 3:] *= 0.5
    precision = np.zeros((n, 5 + knots * 5))
    precision[:, 0] = 1 / 3.0**2
    precision[:, 5:] = (1 / sd**2).ravel()
    return ground.copy(), precision


def _model(
    unknown: np.ndarray, modes: np.ndarray, raster: Raster, blood: np.ndarray, blur: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sections that the unknowns would give, (N, K, J), and their derivatives, (N, K, J, unknowns)."""
    n = len(unknown)
    radius = np.maximum(unknown[:, :5] @ modes, LEAST_RADIUS_MM)[:, None, :]  # (N, 1, J)
    ring = raster.ring_mm[None, :, None]
    inside, steep = blurred_disc(ring, radius, blur)
    hats = _hats(ring - radius)  # (N, K, J, knots)
    levels = unknown[:, 5:].reshape(n, len(KNOTS_MM), 5) @ modes  # (N, knots, J)
    ground = np.einsum("nkjc,ncj->nkj", hats, levels)
    level = blood[:, None, None]
    model = level * inside + (1 - inside) * ground
    edge = (level - ground) * steep
    slope = np.empty((*model.shape, unknown.shape[1]))
    slope[..., :5] = edge[..., None] * modes.T
    outer = (1 - inside)[..., None] * hats
    slope[..., 5:] = (outer[..., None] * modes.T[None, None, :, None, :]).reshape(*model.shape, -1)
    return model, slope


def _hats(distance_mm: np.ndarray) -> np.ndarray:
    """Return the share of each knot at these distances from the lumen's edge, (..., knots); they add up to 1."""
    knots = np.asarray(KNOTS_MM)
    place = np.interp(distance_mm, knots, np.arange(len(knots)))
    hats: np.ndarray = np.maximum(0.0, 1 - np.abs(place[..., None] - np.arange(len(knots))))
    return hats


def blurred_disc(distance_mm: np.ndarray, radius_mm: np.ndarray, blur_sd_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the value at ``distance_mm`` from the middle of a blurred disc of height 1, and its slope by the radius.

    The disc's share under a Gaussian centred at a distance d is P(chi2'(2, (d/s)^2) <= (r/s)^2).
    """
    d, r = np.broadcast_arrays(distance_mm / blur_sd_mm, radius_mm / blur_sd_mm)
    table, step = _disc_table()
    i = np.minimum(d / step, table.shape[0] - 1.001)
    j = np.minimum(r / step, table.shape[1] - 1.001)
    a, b = i.astype(np.int32), j.astype(np.int32)
    u, v = i - a, j - b
    flat = table.ravel()
    at = a * table.shape[1] + b
    inside = (1 - u) * ((1 - v) * flat[at] + v * flat[at + 1])
    inside += u * ((1 - v) * flat[at + table.shape[1]] + v * flat[at + table.shape[1] + 1])
    slope = r * np.exp(-0.5 * (d - r) ** 2) * special.i0e(r * d) / blur_sd_mm
    return inside, slope


@lru_cache(maxsize=1)
def _disc_table() -> tuple[np.ndarray, float]:
    """Return the blurred disc over distance and radius in units of the blur, up to 24, and the table's step."""
    step = 0.1
    axis = np.arange(0, 24 + step / 2, step)
    d, r = np.meshgrid(axis, axis, indexing="ij")
    exact = special.chndtr(r**2, 2.0, d**2)
    # For large arguments the series of chndtr is slow and may fail; the edge is straight there.
    straight = 0.5 * special.erfc((d - r) / np.sqrt(2))
    table = np.where(np.isfinite(exact) & (d < 15) & (r < 15), exact, straight)
    return np.ascontiguousarray(table), step
