"""Which drawings may stay: shapes that measure, in numbers that cannot write.

A letter is an open stroke of many points, a grid of dots, or a heap of lines.  So an open line may have three points (a
length, an angle), open lines and points are few, and longer lines must close upon themselves, as outlines do.
"""

from __future__ import annotations

from collections.abc import Sequence

LONGEST_OPEN = 3
"""Points of a line that does not close: a length has two, an angle three."""

MOST_OPEN = 20
"""Points and open lines in one object."""

MOST_CLOSED = 200
"""Circles, ellipses and outlines in one object."""

ROUND = {"CIRCLE": 2, "ELLIPSE": 4, "ELLIPSOID": 6}
"""Closed shapes with the number of points that describe them (PS3.3 C.18.6.1.2, C.18.9.1.2)."""


class Drawn:
    """Counts the shapes of one object."""

    def __init__(self) -> None:
        self._open = self._closed = 0

    def admits(self, kind: str, coordinates: Sequence[float], dimensions: int) -> bool:
        """Return whether one more shape may stay.

        Parameters
        ----------
        kind
            GraphicType.
        coordinates
            Of all points, one point after the other.
        dimensions
            Of a point: 2 in an image, 3 in a frame of reference.
        """
        count, rest = divmod(len(coordinates), dimensions)
        if rest or not count:
            return False
        if kind in ROUND:
            return count == ROUND[kind] and self._one_more_closed()
        if kind in {"POINT", "MULTIPOINT"}:
            self._open += count
            return self._open <= MOST_OPEN and (count == 1 or kind == "MULTIPOINT")
        if kind not in {"POLYLINE", "POLYGON", "INTERPOLATED"}:
            return False
        if count > LONGEST_OPEN and (kind == "POLYGON" or list(coordinates[:dimensions]) == list(coordinates[-dimensions:])):
            return self._one_more_closed()
        self._open += 1
        return count <= LONGEST_OPEN and self._open <= MOST_OPEN

    def _one_more_closed(self) -> bool:
        self._closed += 1
        return self._closed <= MOST_CLOSED
