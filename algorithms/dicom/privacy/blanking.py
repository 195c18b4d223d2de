"""Rectangles of pictures that a site has looked at and that are blacked out before they leave.

An entry of the policy is for one kind of picture of one model with one matrix, because a maker's layout changes with each of
them.  What is left is read by character recognition afterwards (`textless.py`): a picture that shows a word stays behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from algorithms.dicom.privacy.pixels import Layout

Key = tuple[str, str, str, int, int]
"""SOP class, Manufacturer and ManufacturerModelName in capitals, Rows, Columns."""

Rectangle = tuple[int, int, int, int]
"""Left, top, width and height in pixels, counted from the upper left."""


def entries(listed: Sequence[Mapping[str, Any]]) -> dict[Key, tuple[Rectangle, ...]]:
    """Return the rectangles of a policy's list by what they are for.

    Raises
    ------
    ValueError
        If a rectangle reaches beyond its matrix; the number of the entry is the text.
    """
    found: dict[Key, tuple[Rectangle, ...]] = {}
    for number, one in enumerate(listed):
        rows, columns = int(one["rows"]), int(one["columns"])
        rectangles = tuple((int(left), int(top), int(width), int(height)) for left, top, width, height in one["rectangles"])
        if any(left + width > columns or top + height > rows for left, top, width, height in rectangles):
            raise ValueError(str(number))
        found[one["sop_class"], one["manufacturer"].upper(), one["model"].upper(), rows, columns] = rectangles
    return found


def blanked(data: Any, layout: Layout, rectangles: Sequence[Rectangle]) -> bytes:
    """Return raw pixels, little endian, with zeros in the rectangles of every frame."""
    pixels = np.frombuffer(data, dtype=f"<u{layout.bits_allocated // 8}").copy()
    if layout.planar:
        frames = pixels.reshape(layout.frames, layout.samples, layout.rows, layout.columns).transpose(0, 2, 3, 1)
    else:
        frames = pixels.reshape(layout.frames, layout.rows, layout.columns, layout.samples)
    for left, top, width, height in rectangles:
        frames[:, top : top + height, left : left + width] = 0
    return pixels.tobytes()
