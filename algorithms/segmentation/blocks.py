"""A volume in blocks: each is answered with its surroundings, and only its core is kept.  Arrays are (Z, Y, X)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Part = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Block:
    """Where a block lies: ``seen`` is all of it in the padded volume, ``kept`` its core in the volume, ``core`` that in it."""

    seen: Part
    kept: Part
    core: Part


def blocks(shape: tuple[int, ...], size: tuple[int, int, int], margin: int, where: np.ndarray | None = None) -> Iterator[Block]:
    """Yield the blocks of ``size`` whose cores cover a volume of ``shape``; with ``where`` (Z, Y, X) only those it touches.

    The padded volume begins ``margin`` voxels before the volume and goes on as far as `padding` says.
    """
    step = [s - 2 * margin for s in size]
    if min(step) < 1:
        raise ValueError(f"a margin of {margin} leaves no core in a block of {size}")
    for z in range(0, shape[0], step[0]):
        for y in range(0, shape[1], step[1]):
            for x in range(0, shape[2], step[2]):
                start = (z, y, x)
                stop = tuple(min(a + s, n) for a, s, n in zip(start, step, shape, strict=True))
                kept = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
                if where is not None and not where[kept].any():
                    continue
                seen = tuple(slice(a, a + s) for a, s in zip(start, size, strict=True))
                core = tuple(slice(margin, margin + b - a) for a, b in zip(start, stop, strict=True))
                yield Block(seen, kept, core)  # type: ignore[arg-type]


def padding(shape: tuple[int, ...], size: tuple[int, int, int], margin: int) -> list[tuple[int, int]]:
    """Return how many voxels to put before and behind each axis, so that every block has its surroundings."""
    steps = [s - 2 * margin for s in size]
    return [(margin, -(-n // step) * step - n + margin) for n, step in zip(shape, steps, strict=True)]
