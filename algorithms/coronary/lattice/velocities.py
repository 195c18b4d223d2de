"""The twenty-seven velocities of D3Q27: neighbours that share a face, an edge or a corner with a cell.

Opposite velocities stand side by side: that of ``i`` is ``OPPOSITE[i]``.  Cells per step is the unit.

References
----------
Qian, d'Humieres and Lallemand, *Lattice BGK models for Navier-Stokes equation*, Europhys Lett 17:479 (1992).
"""

from __future__ import annotations

import numpy as np

VELOCITIES = np.array(
    [
        (0, 0, 0),
        (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1),
        (1, 1, 0), (-1, -1, 0), (1, -1, 0), (-1, 1, 0),
        (1, 0, 1), (-1, 0, -1), (1, 0, -1), (-1, 0, 1),
        (0, 1, 1), (0, -1, -1), (0, 1, -1), (0, -1, 1),
        (1, 1, 1), (-1, -1, -1), (1, 1, -1), (-1, -1, 1),
        (1, -1, 1), (-1, 1, -1), (-1, 1, 1), (1, -1, -1),
    ],
    dtype=np.int64,
)  # fmt: skip
"""(27, 3)."""

DIRECTIONS = len(VELOCITIES)

WEIGHTS = np.array([8 / 27] + [2 / 27] * 6 + [1 / 54] * 12 + [1 / 216] * 8)
"""(27,), their sum is 1."""

OPPOSITE = np.array([0] + [i + 1 if i % 2 else i - 1 for i in range(1, DIRECTIONS)])

SOUND_SPEED = 1 / np.sqrt(3)
"""Cells per step; pressure is its square times the density."""
