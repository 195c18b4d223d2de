"""Find the tissue on a slide's overview: coloured by a stain, large enough, and no pen.

Overviews are (Y, X, 3) uint8 RGB with a pixel of ``pixel_um`` micrometres; masks are (Y, X) bool; areas are mm2.

The saturation is measured against the slide's own background, so a grey or yellowish one counts as white.
Otsu's threshold finds the core of the tissue and a floor keeps an empty slide empty; paler stroma and fat belong to the
tissue where they touch that core.  Filling holes and dropping specks follow CLAM.

References
----------
Otsu, *A threshold selection method from gray-level histograms*, IEEE Trans Syst Man Cybern 9:62 (1979).
Lu et al., *Data-efficient and weakly supervised computational pathology on whole-slide images* (CLAM), Nat Biomed Eng 5:555
(2021), methods, "WSI processing".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from algorithms.slide.tissue.pen import of_area, pen_mask

BACKGROUND, TISSUE, PEN, BLURRED, FOLD = range(5)
"""What a pixel of a mask says; blurred and folded tissue is tissue."""

SATURATION_FLOOR = 15.0
"""Least saturation of tissue, of 255: scanners' white balance and JPEG leave up to 10 on glass (own bound)."""

SATURATION_CEILING = 60.0
"""Otsu's threshold is not taken higher: between two stains it would cut away the paler one (own bound)."""

NOISE_DEVIATIONS = 4.0
"""Pale tissue stands out of the background's saturation by this many of its deviations."""

BRIGHT = 150
"""Least brightness of glass, of 255, lit for a camera; a grey background is 190-220."""

NEUTRAL = 40
"""Largest difference between the channels of glass: yellowish mounting medium reaches 30."""

CLOSING_UM = 24.0
"""Gaps closed in the mask: cracks between fibres."""

RIM = 0.6
"""Part of the threshold that a pixel's own saturation must reach beside the mean around it (own bound)."""

YELLOW_GREEN = (45.0, 200.0)
"""Hues, in degrees, that no haematoxylin and eosin stain has: mounting medium, mould, algae, ink."""


@dataclass(frozen=True)
class Areas:
    """What is too small to be tissue, and how large a gap inside it still belongs to it, both mm2."""

    speck_mm2: float
    hole_mm2: float


def background(rgb: np.ndarray) -> np.ndarray:
    """Return the colour of the slide's glass, (3,) float: the commonest bright neutral one, or white where there is none."""
    lightest, darkest = rgb.max(axis=-1), rgb.min(axis=-1)
    glass = rgb[(lightest >= BRIGHT) & (lightest - darkest <= NEUTRAL) & (lightest < 255)]
    if len(glass) < 0.002 * lightest.size:
        return np.full(3, 255.0)
    counts = np.bincount(glass.max(axis=-1), minlength=256)
    level = int(np.argmax(np.convolve(counts, np.ones(5), mode="same")))
    near = glass[np.abs(glass.max(axis=-1).astype(np.int16) - level) <= 4]
    return np.asarray(np.median(near, axis=0), dtype=float)


def balanced(rgb: np.ndarray, glass: np.ndarray) -> np.ndarray:
    """Return ``rgb`` over the background's colour, (Y, X, 3) float32, 1 where it is as bright as glass."""
    return np.asarray(np.minimum(rgb / np.maximum(glass, 1).astype(np.float32), 1), dtype=np.float32)


def smoothed(picture: np.ndarray) -> np.ndarray:
    """Return a picture, (Y, X, 3), as means over 3 x 3 pixels."""
    return np.stack([ndimage.uniform_filter(picture[..., c], 3, mode="nearest") for c in range(3)], axis=-1)


def saturation(picture: np.ndarray) -> np.ndarray:
    """Return the HSV saturation, 0 to 255, of a balanced picture."""
    lightest = np.maximum(picture.max(axis=-1), 1e-3)
    return np.asarray(255 * (lightest - picture.min(axis=-1)) / lightest, dtype=np.float32)


def otsu(values: np.ndarray) -> float:
    """Return the threshold, 0 to 255, that parts ``values`` into two classes of the greatest variance between them."""
    counts = np.bincount(np.clip(values, 0, 255).astype(np.uint8).ravel(), minlength=256).astype(float)
    below = np.cumsum(counts)
    sums = np.cumsum(counts * np.arange(256))
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    best = np.flatnonzero(np.nan_to_num(between) >= np.nan_to_num(between).max())
    return float(best.mean()) + 0.5


def find(rgb: np.ndarray, pixel_um: float, areas: Areas) -> np.ndarray:
    """Return the labels of an overview, (Y, X) uint8: background, tissue or pen.

    Blurred and folded tissue is told later (`algorithms.slide.tissue.focus`, `algorithms.slide.tissue.folds`).
    """
    picture = balanced(rgb, background(rgb))
    pen = pen_mask(picture, pixel_um)
    tissue = stained(picture, pen, pixel_um)
    tissue = whole(tissue, pen, pixel_um, areas)
    labels = np.zeros(rgb.shape[:2], dtype=np.uint8)
    labels[tissue] = TISSUE
    labels[pen] = PEN
    return labels


def stained(picture: np.ndarray, pen: np.ndarray, pixel_um: float) -> np.ndarray:
    """Return where a balanced picture is stained: cores above Otsu's threshold, and the paler tissue that touches them.

    Thresholds are held against means over 3 x 3 pixels; the pixel's own saturation then keeps the rim from growing by one.
    """
    smooth = smoothed(picture)
    colour = saturation(smooth)
    usable = colour[~pen]
    if usable.size == 0:
        return np.zeros_like(pen)
    core_least = min(max(otsu(usable), SATURATION_FLOOR), SATURATION_CEILING)
    glass = usable[usable < SATURATION_FLOOR]
    noise = float(glass.mean() + NOISE_DEVIATIONS * glass.std()) if glass.size else 0.0
    pale_least = min(max(noise, SATURATION_FLOOR), core_least)
    candidate = (colour >= pale_least) & (saturation(picture) >= RIM * pale_least) & ~pen & _stain_hue(smooth)
    core = candidate & (colour >= core_least)
    return np.asarray(ndimage.binary_propagation(core, mask=candidate))


def _stain_hue(picture: np.ndarray) -> np.ndarray:
    """Return where the hue is one that haematoxylin and eosin can make."""
    red, green, blue = (picture[..., channel] for channel in range(3))
    hue = np.degrees(np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)) % 360
    return np.asarray((hue < YELLOW_GREEN[0]) | (hue > YELLOW_GREEN[1]))


def whole(stained_mask: np.ndarray, pen: np.ndarray, pixel_um: float, areas: Areas) -> np.ndarray:
    """Return the mask closed over cracks, without specks, and with holes filled that are small enough to be lumen or fat."""
    reach = max(1, round(CLOSING_UM / pixel_um / 2))
    padded = np.pad(stained_mask, reach)
    disc = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach
    closed = ndimage.binary_closing(padded, disc)[reach:-reach, reach:-reach] & ~pen
    kept = of_area(closed, areas.speck_mm2, pixel_um)
    gaps = ~kept
    return np.asarray((kept | (gaps & ~of_area(gaps, areas.hole_mm2, pixel_um))) & ~pen)
