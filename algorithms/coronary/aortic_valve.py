"""Where the aorta begins: at the valve, which lies below the widest cross-section of the sinuses."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from algorithms.coronary.aorta import Aorta

VALVE_BELOW_SINUS = 0.73
"""Distance from the widest sinus down to the valve's ring, in radii of the sinus (1).

Sinuses of 32 mm width are 22 mm tall from ring to junction, widest in their middle (Berdajs et al.,
Eur J Cardiothorac Surg 22:923 (2002)); 11.0 mm for a radius of 15.4 mm in the CT of the shared data.
"""

WIDER = (1.4, 1.25)
"""How many times as wide as the outflow tract the ventricle below it is (1); the second where nothing is so wide."""


def cut_at_valve(aorta: Aorta) -> Aorta:
    """Return ``aorta`` from the valve upwards: ``VALVE_BELOW_SINUS`` below the widest cross-section of the sinuses."""
    radius = ndimage.gaussian_filter1d(aorta.mean_radius_mm, 1.5, mode="nearest")
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(aorta.centres_mm, axis=0), axis=1))])
    sinus = widest_sinus(radius, along)
    valve = int(np.searchsorted(along, along[sinus] - VALVE_BELOW_SINUS * radius[sinus]))
    return Aorta(aorta.centres_mm[valve:], aorta.normals[valve:], aorta.radii_mm[valve:], aorta.mean_hu)


def widest_sinus(radius_mm: np.ndarray, along_mm: np.ndarray) -> int:
    """Return the index of the widest cross-section of the sinuses, from mean radii (N,) from below upwards.

    Walking down, the trace leaves the outflow tract for the ventricle where it becomes 1.4 times as wide as it was at
    its narrowest, in a small ventricle 1.25 times.  From that narrowest place up, the sinuses are the first widening that ends.
    """
    least = np.minimum.accumulate(radius_mm[::-1])[::-1]
    lowest = next((int(wide.max()) for k in WIDER if (wide := np.flatnonzero(radius_mm > k * least)).size), 0)
    above = along_mm <= along_mm[lowest] + 45.0
    neck = lowest + int(np.argmin(radius_mm[lowest : int(above.sum())]))
    best = neck
    for i in range(neck, len(radius_mm)):
        if radius_mm[i] > 1.005 * radius_mm[best]:
            best = i
        elif radius_mm[i] < 0.98 * radius_mm[best] or (along_mm[i] - along_mm[best] > 10 and along_mm[i] - along_mm[neck] > 15):
            break
    return best
