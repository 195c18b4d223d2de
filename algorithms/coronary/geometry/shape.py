"""What a solver needs to know of a lumen: how far each point is from the wall, and where blood comes in and goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Opening:
    """A plane cut across a vessel, through which blood comes in or goes out.

    The lumen may go on behind the plane; blood ends at it.
    """

    name: str
    inlet: bool
    centre_mm: np.ndarray
    """(3,), in the frame of the lumen."""
    normal: np.ndarray
    """(3,), of length 1, out of the lumen."""
    radius_mm: float
    """Radius of the circle that has the area of the cut."""


class Lumen(Protocol):
    """Where blood is: inside of a wall that is known to a part of a cell's size."""

    @property
    def openings(self) -> tuple[Opening, ...]:
        """Where blood comes in and goes out."""
        ...

    @property
    def low_mm(self) -> np.ndarray:
        """(3,), the lower corner of a box that holds the lumen between its openings."""
        ...

    @property
    def high_mm(self) -> np.ndarray:
        """(3,), the upper corner of that box."""
        ...

    def distance_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """Return (n,) distances to the wall of (n, 3) points, positive in blood; far from the wall a lower bound is enough."""
        ...
