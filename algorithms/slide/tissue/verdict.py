"""Can a slide be answered?  What was measured on it against what is wanted, in sentences that say what to do.

Lengths are micrometres, areas mm2; fractions of the slide's area for tissue and pen, of the tissue's for blur and folds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from algorithms.contract.check import Check, check
from algorithms.slide.tissue.focus import Focus
from algorithms.slide.tissue.mask import BLURRED, FOLD, PEN, TISSUE

MPP_RANGE = (0.1, 1.1)
"""Micrometres per pixel of a brightfield scanner: 100x oil is 0.1, 10x is 1.0; the resolution of a screen is far off."""

REMEDY = "set mpp to the scanner's (0.25 at 40x, 0.5 at 20x) or export the slide with it"

RESOLUTION_UM = 0.6
"""Coarsest pixel that still shows what a 20x objective shows, 0.5 um with 20 % for the makers' differences."""

POWER_UM = 10.0
"""Micrometres per pixel times the objective's power: 0.5 at 20x and 0.25 at 40x on all usual scanners."""

POWER_RANGE = (0.7, 1.4)
"""By which factor that product may be off before one of the two is doubted: half of a factor of two either way."""

PEN_MOST = 0.3
"""Part of pen in what is not glass, above which the mask is doubted (own bound)."""

FOLD_MOST = 0.2
"""Part of the tissue in folds, above which the slide is doubted (own bound)."""

UNREADABLE_MOST = 0.05
"""Part of the slide that cannot be decoded, above which it is refused: more than a few tiles is a damaged file (own bound)."""

ONLY_PEN = 4.0
"""Pen marks are blamed for a slide without tissue when they cover this many times the tissue found."""


@dataclass(frozen=True)
class Limits:
    """Least tissue, mm2; widest blur of sharp tissue, um; largest part of the tissue that may be blurred."""

    tissue_mm2: float
    blur_um: float
    blurred: float


@dataclass(frozen=True)
class Measures:
    """What the mask says of a slide; ``focus`` is the median blur of its cells in um, ``None`` where none can be told."""

    tissue_mm2: float
    tissue_fraction: float
    pen_mm2: float
    pen_fraction: float
    blurred_fraction: float
    fold_fraction: float
    unreadable_fraction: float
    focus: float | None

    def document(self) -> dict[str, float | None]:
        """Return the measures as ``quality.json`` carries them."""
        return {name: None if value is None else round(value, 4) for name, value in asdict(self).items()}


def measures(labels: np.ndarray, focus: Focus, pixel_um: float, unreadable: float) -> Measures:
    """Return what ``labels``, the mask of an overview with pixels of ``pixel_um``, say of the slide."""
    counts = np.bincount(labels.ravel(), minlength=5)
    tissue = int(counts[[TISSUE, BLURRED, FOLD]].sum())
    pixel_mm2 = (pixel_um / 1000) ** 2
    known = focus.blur_um[~np.isnan(focus.blur_um)]
    return Measures(
        tissue_mm2=tissue * pixel_mm2,
        tissue_fraction=tissue / labels.size,
        pen_mm2=float(counts[PEN]) * pixel_mm2,
        pen_fraction=float(counts[PEN]) / labels.size,
        blurred_fraction=float(counts[BLURRED]) / max(tissue, 1),
        fold_fraction=float(counts[FOLD]) / max(tissue, 1),
        unreadable_fraction=unreadable,
        focus=float(np.median(known)) if known.size else None,
    )


def scale_reason(mpp: float | None) -> str | None:
    """Return why a slide of this scale, as its file states it, cannot be used; ``None`` where it can."""
    low, high = MPP_RANGE
    if mpp is None:
        return f"the file states no um per pixel that can be true; {REMEDY}"
    if not low <= mpp <= high:
        return f"the file states {mpp:.4g} um per pixel, wanted {low:g} to {high:g}; {REMEDY}"
    return None


def tissue_reasons(found: Measures, limits: Limits) -> list[str]:
    """Return why the slide cannot be used: unreadable, empty, only pen, too little tissue, or mostly out of focus."""
    reasons = []
    if found.unreadable_fraction > UNREADABLE_MOST:
        reasons.append(
            f"{found.unreadable_fraction:.0%} of the slide cannot be decoded, wanted at most {UNREADABLE_MOST:.0%}; "
            "the file is damaged, send it again"
        )
    if found.tissue_mm2 < limits.tissue_mm2:
        reasons.append(_too_little(found, limits.tissue_mm2))
    elif found.blurred_fraction > limits.blurred:
        reasons.append(
            f"{found.blurred_fraction:.0%} of the tissue is out of focus (blurred by more than {limits.blur_um:g} um), "
            f"wanted at most {limits.blurred:.0%}; scan the slide again"
        )
    return reasons


def _too_little(found: Measures, least_mm2: float) -> str:
    wanted = f"wanted at least {least_mm2:g} mm2 of stained tissue"
    if found.pen_mm2 >= 0.05 and found.pen_mm2 >= ONLY_PEN * found.tissue_mm2:
        return f"no tissue, only pen marks ({found.pen_mm2:.1f} mm2); {wanted}; check that the right slide was scanned"
    if found.tissue_mm2 == 0:
        return f"no tissue: nothing on the slide is stained; {wanted}; check the slide and the scanned area"
    return f"only {found.tissue_mm2:.2f} mm2 of tissue; {wanted}; send a slide with more tissue, or lower tissue_least_mm2"


def scale_checks(mpp: float, power: float | None) -> list[Check]:
    """Return the checks of a slide's scale, with its objective's power where the file states one."""
    low, high = MPP_RANGE
    entries = [
        check("scale", (round(mpp, 4), "um"), f"{low:g} to {high:g}", low <= mpp <= high, "side of a level-0 pixel"),
        check("resolution", (round(mpp, 4), "um"), f"<= {RESOLUTION_UM:g}", mpp <= RESOLUTION_UM,
              "a coarser slide is enlarged for the encoder and lacks detail"),
    ]  # fmt: skip
    if power:
        product = mpp * power / POWER_UM
        entries.append(
            check("scale_fits_objective", (round(product, 3), "1"), f"{POWER_RANGE[0]:g} to {POWER_RANGE[1]:g}",
                  POWER_RANGE[0] <= product <= POWER_RANGE[1], "um per pixel times objective power, over 10")
        )  # fmt: skip
    return entries


def tissue_checks(found: Measures, limits: Limits) -> list[Check]:
    """Return the checks of what the mask shows."""
    marked = found.pen_mm2 / max(found.pen_mm2 + found.tissue_mm2, 1e-9)
    entries = [
        check("tissue", (round(found.tissue_mm2, 3), "mm2"), f">= {limits.tissue_mm2:g}",
              found.tissue_mm2 >= limits.tissue_mm2, "area of stained tissue"),
        check("pen", (round(marked, 4), "1"), f"<= {PEN_MOST:g}", marked <= PEN_MOST, "pen marks in all that is not glass"),
        check("blurred", (round(found.blurred_fraction, 4), "1"), f"<= {limits.blurred:g}",
              found.blurred_fraction <= limits.blurred, "part of the tissue that is out of focus"),
        check("folded", (round(found.fold_fraction, 4), "1"), f"<= {FOLD_MOST:g}", found.fold_fraction <= FOLD_MOST,
              "part of the tissue that lies on itself"),
        check("unreadable", (round(found.unreadable_fraction, 4), "1"), f"<= {UNREADABLE_MOST:g}",
              found.unreadable_fraction <= UNREADABLE_MOST, "part of the slide that cannot be decoded"),
    ]  # fmt: skip
    if found.focus is not None:
        entries.append(check("focus", (round(found.focus, 2), "um"), f"<= {limits.blur_um:g}", found.focus <= limits.blur_um,
                             "median blur of the tissue, as the sigma of a Gaussian"))  # fmt: skip
    return entries
