"""Laminar flow in a curved tube: White's correlation of its resistance."""

from __future__ import annotations

import math

STRAIGHT_DEAN = 11.6
"""Below it the tube loses what a straight one does."""


def dean_number(reynolds: float, tube_mm: float, bend_mm: float) -> float:
    """Return Re sqrt(d / D) of a tube of diameter ``tube_mm`` whose axis bends on a circle of diameter ``bend_mm``."""
    return reynolds * math.sqrt(tube_mm / bend_mm)


def white_ratio(dean: float) -> float:
    """Return the pressure gradient of developed flow over that in a straight tube, for 11.6 < Dean < 2000 and d / D < 0.066.

    References
    ----------
    White, *Streamline flow through curved pipes*, Proc R Soc Lond A 123:645 (1929), in the form of El-Genk and Schriener,
    Heat Transfer Eng (2016), doi:10.1080/01457632.2016.1194693, as read in the documentation of the package ``fluids``
    (``helical_laminar_fd_White``).
    """
    if dean <= STRAIGHT_DEAN:
        return 1.0
    return float(1 / (1 - (1 - (STRAIGHT_DEAN / dean) ** 0.45) ** (1 / 0.45)))
