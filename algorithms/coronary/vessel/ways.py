"""Curves that hang together as trees, and the ways through them from the roots to the tips.

Points are (N, 3) LPS mm.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from algorithms.coronary.vessel.cross_section import arc_length_mm


@dataclass(frozen=True, eq=False)
class Course:
    """A curve with its place in the tree: its first point is the parent's point ``parent_point``."""

    points_mm: np.ndarray  # (N, 3)
    radius_mm: np.ndarray  # (N,) rough
    parent: int | None
    parent_point: int | None
    side: str  # "left" or "right": the ostium it comes from
    name: str = ""


@dataclass(eq=False)
class Forest:
    """All points of a forest, with the point before each (-1 at a root)."""

    points_mm: np.ndarray
    radius_mm: np.ndarray
    before: np.ndarray
    side: list[str]
    length_mm: np.ndarray
    leaves: list[int]
    rooted: list[bool]  # of each course: whether its first point is its own
    ways: dict[int, list[int]] = field(default_factory=dict)  # leaf -> nodes from the root

    def way(self, leaf: int) -> list[int]:
        """Return the nodes from the root to ``leaf``, kept once they are known."""
        if leaf not in self.ways:
            nodes = [leaf]
            while self.before[nodes[-1]] >= 0:
                nodes.append(int(self.before[nodes[-1]]))
            self.ways[leaf] = nodes[::-1]
        return self.ways[leaf]

    def parting(self, a: int, b: int) -> int:
        """Return how many nodes the ways to the leaves ``a`` and ``b`` share."""
        first, second = self.way(a), self.way(b)
        count = 0
        for x, y in zip(first, second, strict=False):
            if x != y:
                break
            count += 1
        return count

    def joined(self, values: list[np.ndarray]) -> np.ndarray:
        """Return what is known of the points of each course as what is known of the nodes."""
        return np.concatenate([own if rooted else own[1:] for own, rooted in zip(values, self.rooted, strict=True)])


def forest_of(courses: list[Course]) -> Forest:
    """Return the points of all courses, each once: the first of a child is its parent's."""
    offsets, total = [], 0
    for course in courses:
        offsets.append(total - (course.parent is not None))
        total += len(course.points_mm) - (course.parent is not None)
    points, radius = np.zeros((total, 3)), np.zeros(total)
    before, length = np.full(total, -1), np.zeros(total)
    side = [""] * total
    for course, offset in zip(courses, offsets, strict=True):
        along = arc_length_mm(course.points_mm)
        last, start = -1, 0.0
        if course.parent is not None and course.parent_point is not None:
            last = _number_of(courses, offsets, course.parent, course.parent_point)
            start = length[last]
        for i in range(course.parent is not None, len(course.points_mm)):
            node = offset + i
            points[node], radius[node], before[node] = course.points_mm[i], course.radius_mm[i], last
            length[node], side[node], last = start + along[i], course.side, node
    leaves = sorted(set(range(total)) - set(before.tolist()))
    return Forest(points, radius, before, side, length, leaves, [c.parent is None for c in courses])


def _number_of(courses: list[Course], offsets: list[int], index: int, point: int) -> int:
    """Return the node of a course's point; the first point of a child is its parent's."""
    course = courses[index]
    if point == 0 and course.parent is not None and course.parent_point is not None:
        return _number_of(courses, offsets, course.parent, course.parent_point)
    return offsets[index] + point
