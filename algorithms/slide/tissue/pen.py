"""Find pen and ink marks by colours that haematoxylin and eosin cannot make.

Pictures are (Y, X, 3) float32 RGB, 0 to 1, with the background at 1; masks are (Y, X) bool; areas are mm2.

Haematoxylin and eosin both absorb green at least as strongly as red (Ruifrok & Johnston's vectors), so no mixture of them is
greener than it is red: blue and green marks are told by that.  Black marks absorb all colours alike.  Red marks absorb blue as
strongly as green, where eosin lets blue pass; blood does so as well but is paler than a pen.
One rule a pen colour, then area, is the approach of HistoQC and of the filters of IBM's deep-histopath; the bounds are own.
Violet pens have the hue of haematoxylin and are not told from it.

References
----------
Ruifrok & Johnston, *Quantification of histochemical staining by color deconvolution*, Anal Quant Cytol Histol 23:291 (2001).
Janowczyk et al., *HistoQC*, JCO Clin Cancer Inform 3:1 (2019), doi:10.1200/CCI.18.00157.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

GREENER = 0.06
"""By how much (of 1) green or blue-green exceeds red in a coloured mark's core; noise and JPEG stay below (test_pen.py)."""

FADED = 0.025
"""The same at a mark's faded edge, reached from a core."""

BLUE_DENSITY = 0.3
"""By how much the optical density in red exceeds that in blue in a blue mark."""

BLUE_EVEN = 0.02
"""By how much the density in green may exceed that in red in a blue mark's core; with haematoxylin's 0.70 to 0.65 and any eosin
it does by more."""

BLUE_EVEN_FADED = 0.08
"""The same where the mark's rim or tissue below it adds to green."""

BLACK_VALUE = 0.42
"""Brightest channel of a black mark's core; the shadow of a coverslip's edge is brighter."""

BLACK_CHROMA = 0.12
"""Largest difference between a black mark's channels; the darkest crushed nuclei differ by more."""

RED_DARK = 0.42
"""Largest green and blue of a red mark's core; thick blood at 8 um a pixel lies above."""

RED_BRIGHT = 0.55
"""Smallest red of a red mark's core."""

RED_HUE = 0.10
"""Largest difference between green and blue of a red mark; in eosin blue exceeds green by more."""

LEAST_MM2 = 0.02
"""Smallest mark: a pen's dot is 0.3 mm wide; smaller specks of green or black are dust, pigment or inked margins."""

MARGIN_UM = 16.0
"""Widening of every mark: its blurred rim has the colour of tissue."""

FADE_UM = 200.0
"""How far a black or red mark's faded rim may reach; a coloured one's is followed to its end."""


def pen_mask(balanced: np.ndarray, pixel_um: float) -> np.ndarray:
    """Return where pen or ink marks lie in ``balanced``; ``pixel_um`` is the side of a pixel."""
    red, green, blue = balanced[..., 0], balanced[..., 1], balanced[..., 2]
    brightest, darkest = balanced.max(axis=-1), balanced.min(axis=-1)
    cool = (green - red > GREENER) & (brightest - darkest > 0.12)
    cool_faded = (green - red > FADED) & (brightest - darkest > 0.06)
    black = (brightest < BLACK_VALUE) & (brightest - darkest < BLACK_CHROMA) & (brightest > 0)
    black_faded = (brightest < 0.8) & (brightest - darkest < 0.06)
    crimson = (red > RED_BRIGHT) & (np.maximum(green, blue) < RED_DARK) & (np.abs(green - blue) < RED_HUE)
    crimson_faded = (red - np.maximum(green, blue) > 0.08) & (np.abs(green - blue) < 0.06)
    reach = max(1, round(FADE_UM / pixel_um))
    absorbed = -np.log10(np.maximum(balanced, 1 / 255))
    navy = absorbed[..., 0] - absorbed[..., 2] > BLUE_DENSITY
    greener = absorbed[..., 1] - absorbed[..., 0]
    pen = _marks(cool, cool_faded, pixel_um, None)
    pen |= _marks(navy & (greener < BLUE_EVEN), navy & (greener < BLUE_EVEN_FADED), pixel_um, reach)
    pen |= _marks(black, black_faded, pixel_um, reach)
    pen |= _marks(crimson, crimson_faded, pixel_um, reach)
    margin = max(1, round(MARGIN_UM / pixel_um))
    return np.asarray(ndimage.binary_dilation(pen, iterations=margin))


def _marks(core: np.ndarray, faded: np.ndarray, pixel_um: float, reach: int | None) -> np.ndarray:
    """Return the cores that are large enough, grown into their faded rims."""
    joined = ndimage.binary_closing(np.pad(core, 2), iterations=2)[2:-2, 2:-2] & (core | faded)
    large = of_area(joined, LEAST_MM2, pixel_um)
    if not large.any():
        return large
    iterations = -1 if reach is None else reach
    return np.asarray(ndimage.binary_dilation(large, mask=faded | large, iterations=iterations))


def of_area(mask: np.ndarray, least_mm2: float, pixel_um: float) -> np.ndarray:
    """Return the 8-connected regions of ``mask`` with at least this area."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3), dtype=bool))
    if count == 0:
        return np.zeros_like(mask)
    areas = np.bincount(labels.ravel())
    keep = areas * (pixel_um / 1000) ** 2 >= least_mm2
    keep[0] = False
    return np.asarray(keep[labels])
