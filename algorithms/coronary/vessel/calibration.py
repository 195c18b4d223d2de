"""What the image itself says about its blood and its blur, measured on the vessels' own wide, clean parts.

Values are HU; distances mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import theilslopes

from algorithms.coronary.vessel.cross_section import Raster
from algorithms.coronary.vessel.lumen_radius import fit_sections

WIDE_MM = 1.2
"""From this radius on the middle of a lumen is undiluted blood, whatever the blur (0.35 mm: 99.7 %)."""

STEEPEST_HU_PER_MM = 1.5
"""Contrast falls along a coronary, the more the severer its disease (Choi et al., JACC Cardiovasc Imaging 4:1149 (2011));
our bound."""

ARTERIAL = (0.8, 1.15)
"""A coronary's blood lies within these shares of the aorta's; beyond it the vessel is not believed but the aorta is."""

BLUR_RANGE_MM = (0.18, 0.60)
"""Standard deviations of point spreads that a cardiac CT can have: full widths of 0.42 to 1.41 mm."""

SECTIONS = 160
"""As many sections, evenly chosen, serve to find the blur."""


@dataclass(frozen=True)
class Blood:
    """Attenuation of the blood of one coronary tree: ``ostium_hu`` falling by ``fall_hu_mm`` up to ``reach_mm``."""

    ostium_hu: float
    fall_hu_mm: float = 0.0
    reach_mm: float = 0.0

    def at(self, distance_mm: np.ndarray) -> np.ndarray:
        """Return the attenuation at distances from the ostium, (N,) HU."""
        value: np.ndarray = self.ostium_hu - self.fall_hu_mm * np.minimum(distance_mm, self.reach_mm)
        return value


def blood_of(core_hu: np.ndarray, distance_mm: np.ndarray, radius_mm: np.ndarray, aorta_hu: float) -> Blood:
    """Return the blood of one tree from the attenuation on its centrelines; the aorta's where too little of it is wide."""
    wide = radius_mm >= WIDE_MM
    if wide.sum() < 20:
        return Blood(aorta_hu)
    core, distance = core_hu[wide], distance_mm[wide]
    step = max(1, len(core) // 300)
    slope, level, _, _ = theilslopes(core[::step], distance[::step])
    fall = float(np.clip(-slope, 0.0, STEEPEST_HU_PER_MM))
    level = float(np.median(core + fall * distance))
    if not ARTERIAL[0] * aorta_hu <= level <= ARTERIAL[1] * aorta_hu:
        return Blood(aorta_hu)
    return Blood(level, fall, float(np.quantile(distance, 0.95)))


def blur_sd_of(
    values_hu: np.ndarray, weight: np.ndarray, raster: Raster, *, blood_hu: np.ndarray, radius_mm: np.ndarray, noise_hu: float
) -> float | None:
    """Return the standard deviation of the blur that explains sections best, mm; ``None`` where there are too few.

    Parameters
    ----------
    values_hu, weight, raster
        Sections as for ``fit_sections``; wide, free of calcium and neighbours.
    blood_hu, radius_mm
        (N,) of each section.
    noise_hu
        Standard deviation of the image noise.
    """
    if len(values_hu) < 20:
        return None
    chosen = np.unique(np.linspace(0, len(values_hu) - 1, SECTIONS).astype(int))
    widths = np.linspace(*BLUR_RANGE_MM, 8)
    misfit = []
    for width in widths:
        fit = fit_sections(
            values_hu[chosen], weight[chosen], raster, bloom_sd_hu=np.zeros(values_hu[chosen].shape),
            blood_hu=blood_hu[chosen], blur_sd_mm=float(width),
            start_mm=radius_mm[chosen], noise_hu=noise_hu, iterations=6,
        )  # fmt: skip
        # A narrow blur lets the unknowns follow more of the noise: what they leave is divided by what they must leave.
        misfit.append(float(np.median(fit.residual_hu**2 / (1 - fit.freedom))))
    best = int(np.clip(np.argmin(misfit), 1, len(widths) - 2))
    bend = np.polyfit(widths[best - 1 : best + 2], misfit[best - 1 : best + 2], 2)
    if bend[0] <= 0:
        return float(widths[int(np.argmin(misfit))])
    return float(np.clip(-bend[1] / (2 * bend[0]), *BLUR_RANGE_MM))
