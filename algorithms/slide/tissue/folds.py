"""Find folded tissue: strips in which both stains are twice as dense as beside them.

Where a section lies on itself light passes it twice, so the optical density of both stains doubles; crowded nuclei are denser
in haematoxylin only, and thick collagen in eosin only.  A fold is a long region, denser than the slide's tissue, in which the
two stains stand in about the same ratio, near two, to the tissue around it.
Darkness together with colour is used by Bautista & Yagi and by Kothari et al.; GrandQC names folds among its artefacts.

Pictures are (Y, X, 3) float32 RGB with glass at 1; masks are (Y, X) bool.

References
----------
Bautista & Yagi, *Improving the visualization and detection of tissue folds*, J Pathol Inform 1:25 (2010).
Kothari, Phan & Wang, *Eliminating tissue-fold artifacts*, J Pathol Inform 4:22 (2013).
Weng et al., *GrandQC*, Nat Commun 15:10685 (2024), doi:10.1038/s41467-024-54769-y.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from algorithms.slide.tissue.pen import of_area

HAEMATOXYLIN = (0.65, 0.70, 0.29)
EOSIN = (0.07, 0.99, 0.11)
"""Optical densities of the stains in red, green and blue (Ruifrok & Johnston, Anal Quant Cytol Histol 23:291 (2001))."""

DENSER = 1.35
"""Least ratio of the density to the tissue's median where a fold may be; lumens in it and its rim make it less than 2."""

DENSER_EACH = 1.1
"""The same for each stain."""

DOUBLED = (1.35, 2.8)
"""Ratio of each stain to the tissue beside a fold: 2 for one that lies flat, 3 where the section lies three times."""

ALIKE = 1.4
"""Largest quotient of the two ratios; planted folds have 1.0 to 1.2, keratin and crowded nuclei 1.6 and more (own bound)."""

LEAST_MM2 = 0.015
"""Smallest fold: 0.05 mm wide and 0.3 mm long."""

LONGER = 2.5
"""Least length over width: folds are strips, crowded glands are round (own bound)."""

CLOSING_UM = 24.0
BESIDE_UM = (24.0, 72.0)
"""Reach over the gaps that lumens leave; and from where to where the tissue beside a fold is looked at."""

LEAST_DENSITY = 0.05
"""Density that tissue is taken to have at least, so that a hardly stained slide has no folds of noise."""


def fold_mask(picture: np.ndarray, tissue: np.ndarray, pixel_um: float) -> np.ndarray:
    """Return where ``tissue`` is folded in a balanced picture with pixels of ``pixel_um``."""
    found = np.zeros_like(tissue)
    if not tissue.any():
        return found
    blue, pink, whole = stains(picture, tissue)
    candidate = tissue & (_relative(whole, tissue) >= DENSER)
    candidate &= (_relative(blue, tissue) >= DENSER_EACH) & (_relative(pink, tissue) >= DENSER_EACH)
    reach = max(1, round(CLOSING_UM / pixel_um))
    closed = ndimage.binary_closing(np.pad(candidate, reach), iterations=reach)[reach:-reach, reach:-reach] & tissue
    labels, _ = ndimage.label(of_area(closed, LEAST_MM2, pixel_um), structure=np.ones((3, 3), dtype=bool))
    near, far = (max(1, round(side / pixel_um)) for side in BESIDE_UM)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        around = tuple(slice(max(0, side.start - far), side.stop + far) for side in box)
        region = labels[around] == number
        beside = ndimage.binary_dilation(region, iterations=far) & ~ndimage.binary_dilation(region, iterations=near)
        beside &= tissue[around]
        if elongation(region) >= LONGER and doubled(blue[around], pink[around], region, beside):
            found[around] |= region
    return found


def stains(picture: np.ndarray, tissue: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return haematoxylin, eosin and the sum over all colours, as densities averaged over the tissue in 3 x 3 pixels."""
    density = -np.log10(np.maximum(picture, 1 / 255))
    share = np.maximum(ndimage.uniform_filter(tissue.astype(np.float32), 3), 1e-3)
    red, green, blue = (ndimage.uniform_filter(density[..., c] * tissue, 3) / share for c in range(3))
    # Red shows haematoxylin alone.  What green absorbs beyond haematoxylin's share of it is eosin.
    haematoxylin = red / HAEMATOXYLIN[0]
    eosin = np.maximum(green - HAEMATOXYLIN[1] * haematoxylin, 0) / EOSIN[1]
    return haematoxylin, eosin, red + green + blue


def _relative(density: np.ndarray, tissue: np.ndarray) -> np.ndarray:
    return np.asarray(density / max(float(np.median(density[tissue])), LEAST_DENSITY))


def doubled(blue: np.ndarray, pink: np.ndarray, region: np.ndarray, beside: np.ndarray) -> bool:
    """Return whether both stains are about twice as dense in ``region`` as ``beside`` it, and alike."""
    if not beside.any():
        return False
    ratios = [float(np.median(stain[region])) / max(float(np.median(stain[beside])), LEAST_DENSITY) for stain in (blue, pink)]
    return DOUBLED[0] <= min(ratios) and max(ratios) <= min(DOUBLED[1], ALIKE * min(ratios))


def elongation(region: np.ndarray) -> float:
    """Return length over width of a region, straight or curved.

    Inside a strip the mean distance to its rim is a quarter of its width, and its area is length times width.
    """
    depth = ndimage.distance_transform_edt(np.pad(region, 1))
    width = 4 * float(depth[depth > 0].mean())
    return float(region.sum()) / width**2
