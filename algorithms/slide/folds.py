"""Find folded tissue: strips in which both stains are about twice as dense as around them.

Where a section lies on itself light passes it twice, so the optical density doubles in every channel; crowded nuclei are denser
in haematoxylin only, and thick collagen in eosin only.  So the lesser of the two ratios to the slide's own tissue is
measured, and a fold is a region of it that is long for its width.
The use of darkness together with colour follows Bautista & Yagi and Kothari et al.; HistoQC and GrandQC name folds as one of
their artefact classes.

References
----------
Bautista & Yagi, *Improving the visualization and detection of tissue folds*, J Pathol Inform 1:25 (2010).
Kothari, Phan & Wang, *Eliminating tissue-fold artifacts*, J Pathol Inform 4:22 (2013).
Weng et al., *GrandQC*, Nat Commun 15:10685 (2024), doi:10.1038/s41467-024-54769-y.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from algorithms.slide.pen import of_area
from algorithms.slide.tissue import smoothed

HAEMATOXYLIN = (0.65, 0.70, 0.29)
EOSIN = (0.07, 0.99, 0.11)
"""Optical densities of the stains in red, green and blue (Ruifrok & Johnston, Anal Quant Cytol Histol 23:291 (2001))."""

DENSER = 1.6
"""Least ratio to the tissue's median in both stains; a fold doubles them, less what the pixels at its rim share (own bound)."""

LEAST_DENSITY = 0.05
"""Density that a slide's median stain is taken for at least, so that a hardly stained slide has no folds of noise."""

LEAST_MM2 = 0.02
"""Smallest fold: 0.05 mm wide and 0.4 mm long."""

LONGER = 2.5
"""Least length over width: folds are strips, crowded glands are round (own bound)."""


def fold_mask(picture: np.ndarray, tissue: np.ndarray, pixel_um: float) -> np.ndarray:
    """Return where ``tissue`` is folded in a balanced picture, (Y, X, 3) float32 with glass at 1."""
    found = np.zeros_like(tissue)
    if not tissue.any():
        return found
    density = -np.log10(np.maximum(picture, 1 / 255))
    smooth = smoothed(density)
    # Red shows haematoxylin alone.  What green absorbs beyond haematoxylin's share of it is eosin.
    blue_stain = smooth[..., 0] / HAEMATOXYLIN[0]
    pink_stain = np.maximum(smooth[..., 1] - HAEMATOXYLIN[1] * blue_stain, 0) / EOSIN[1]
    ratio = np.minimum(*(stain / max(float(np.median(stain[tissue])), LEAST_DENSITY) for stain in (blue_stain, pink_stain)))
    dense = of_area((ratio >= DENSER) & tissue, LEAST_MM2, pixel_um)
    labels, count = ndimage.label(dense, structure=np.ones((3, 3), dtype=bool))
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        region = labels[box] == number
        if elongation(region) >= LONGER:
            found[box] |= region
    return found if count else np.zeros_like(tissue)


def elongation(region: np.ndarray) -> float:
    """Return length over width of a region, straight or curved.

    Inside a strip the mean distance to its rim is a quarter of its width, and its area is length times width.
    """
    depth = ndimage.distance_transform_edt(np.pad(region, 1))
    width = 4 * float(depth[depth > 0].mean())
    return float(region.sum()) / width**2
