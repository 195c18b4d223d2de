"""The numbers that tell one of our networks from another.  Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """A residual U-Net: how many channels it answers with, its channels at the finest level, and how often it halves.

    Level ``l`` has ``width * 2 ** l`` channels; the coarsest has voxels ``2 ** (levels - 1)`` times as wide.
    """

    outputs: int
    width: int = 12
    levels: int = 4

    def __post_init__(self) -> None:
        if min(self.outputs, self.width, self.levels) < 1:
            raise ValueError("outputs, width and levels must be positive")

    @property
    def multiple(self) -> int:
        """Every side of a block must be a multiple of this."""
        return int(2 ** (self.levels - 1))
