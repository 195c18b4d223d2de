"""Names for the vessels of a skeleton, by where they run about the heart.

The left tree: the LAD is the way that ends nearest the apex at the anterior groove, the LCx the one that turns farthest
around the base; they share the LM, and what leaves within RAMUS_MM of their parting between them is the RI.  What hangs
on the LAD is a diagonal (towards the side wall) or a septal; on the LCx an obtuse marginal, or L-PDA and L-PLB beyond
the side wall.  The right tree: the RCA runs around the base to where R-PDA and R-PLB part.
Points are (N, 3) LPS mm.

References
----------
Leipsic et al., *SCCT guidelines for the interpretation and reporting of coronary CT angiography*,
J Cardiovasc Comput Tomogr 8:342 (2014), figure 1.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from algorithms.coronary.heart_axes import HeartAxes
from algorithms.coronary.vessel.cross_section import arc_length_mm
from algorithms.coronary.vessel.tracing import Vessel
from algorithms.coronary.vessel.ways import Course, Forest, forest_of

RAMUS_MM = 6.0
"""A branch that leaves the LM, or the LAD or LCx this near their parting, between the two, is a ramus intermedius; where a
branch leaves is known to about the calibre of what it leaves, 4 mm."""

LEAST_LCX_TURN_DEG = 30.0
"""The LCx is this much farther around the heart than the LAD while still below LCX_HEIGHT; a diagonal first descends."""

LCX_HEIGHT = 0.2
"""The LCx and the RCA run in the groove at the base: below this part of the way to the apex."""

LAD_HEIGHT = 0.4
"""The LAD reaches at least this far to the apex, unless nothing does; a septal branch does not."""

LAD_REACHES = 0.9
"""Whatever comes this near to the apex may be the LAD; the last diagonal often comes nearer, beside the groove."""

LAD_TURN_DEG = 120.0
"""The anterior groove lies at 50 to 100 degrees; what runs farther round than this is a marginal, whatever its length."""

PDA_SLOPE_DEG = 55.0
"""The posterior descending artery runs steeper than this to the apex, the groove's vessel does not: on the true trees of 15
hearts that were used for tuning it then begins within 4 mm of its place, with 50 and 60 degrees within 5 and 8 mm."""

PDA_TURN_DEG = 250.0
"""The inferior groove lies at about 275 degrees, counted from the septum by the front; the LCx of a right-dominant heart
ends before 230."""

PLB_TURN_DEG = 228.0
"""Side branches that leave an LCx without a PDA beyond this supply the inferior wall."""

PDA_REACH_DEG = 37.0
"""Side branches that leave the LCx this near to where it becomes the PDA supply the inferior wall, not the obtuse margin.

Posterolateral branches of 28 phantoms left 24 to 27 degrees before it, marginals 47 and more.
"""

PER_POINT = ("radius_mm", "radius_sd_mm", "core_hu", "trusted")
"""What a vessel knows of each of its points, besides where it is."""


def named_courses(courses: list[Course], axes: HeartAxes) -> list[Course]:
    """Return the same curves cut and joined anew into named vessels, a parent before its children."""
    return _named(forest_of(courses), axes).courses


def named_again(vessels: list[Vessel], axes: HeartAxes) -> list[Vessel]:
    """Return traced vessels of which some were cut off, cut, joined and named anew.

    What a vein had the better claim to, or what only hung on it, gets the name that it has without it.
    """
    forest = forest_of([Course(v.points_mm, v.radius_mm, v.parent, v.parent_point, v.side) for v in vessels])
    measured = [forest.joined([getattr(v, name) for v in vessels]) for name in PER_POINT]
    mask_radius_mm = forest.joined([np.full(len(v.points_mm), v.mask_radius_mm) for v in vessels])
    builder = _named(forest, axes)
    renamed = []
    for course, way in zip(builder.courses, builder.ways, strict=True):
        own = way if course.parent is None else [way[1], *way[1:]]  # its first point was measured on its parent
        radius, deviation, core, trusted = (values[own] for values in measured)
        place = (course.name, course.side, course.parent, course.parent_point, course.points_mm)
        renamed.append(Vessel(*place, radius, deviation, core, trusted, float(np.median(mask_radius_mm[own]))))
    return renamed


def _named(forest: Forest, axes: HeartAxes) -> _Builder:
    builder = _Builder(forest, axes)
    left = [leaf for leaf in forest.leaves if forest.side[leaf] == "left"]
    right = [leaf for leaf in forest.leaves if forest.side[leaf] == "right"]
    if left:
        builder.left_tree(left)
    if right:
        builder.right_tree(right)
    return builder


class _Builder:
    """Collects named courses and their ways; ``home`` tells which course and point a node belongs to."""

    def __init__(self, nodes: Forest, axes: HeartAxes) -> None:
        self.nodes = nodes
        self.axes = axes
        self.courses: list[Course] = []
        self.ways: list[list[int]] = []
        self.home: dict[int, tuple[int, int]] = {}

    def add(self, name: str, way: list[int]) -> int:
        """Add the vessel along ``way``, whose first node may belong to an earlier vessel: its parent."""
        parent, point = self.home.get(way[0], (None, None))
        index = len(self.courses)
        course = Course(self.nodes.points_mm[way], self.nodes.radius_mm[way], parent, point, self.nodes.side[way[-1]], name)
        self.courses.append(course)
        self.ways.append(way)
        for i, node in enumerate(way):
            self.home.setdefault(node, (index, i))
        return index

    def turn_deg(self, leaf: int) -> float:
        """Return how far around the heart from the septum, by the front, a tip lies: 0 to 360."""
        return float(self._turn_deg(self.nodes.points_mm[leaf]))

    def _turn_deg(self, points_mm: np.ndarray) -> np.ndarray:
        turn: np.ndarray = (self.axes.angle_deg(points_mm) + 60) % 360 - 60
        return turn

    def height(self, leaf: int) -> float:
        return float(self.axes.height(self.nodes.points_mm[leaf]))

    # -- the left tree

    def left_tree(self, leaves: list[int]) -> None:
        """Name the branches of the left ostium that end in ``leaves``: LM, LAD, LCx and what leaves them."""
        front = [leaf for leaf in leaves if self._course_deg(leaf) < LAD_TURN_DEG]
        tall = [leaf for leaf in front if self._tallest(leaf) >= LAD_HEIGHT]
        if not front:
            self._groove_vessel("LCx", self.nodes.way(max(leaves, key=self._lcx_score)), "L-PDA")
            self._side_branches(leaves, self._left_name)
            return
        lad = max(tall or front, key=self._lad_score)
        others = [leaf for leaf in leaves if leaf != lad and self._is_circumflex(leaf, lad)]
        roots = {self.nodes.way(leaf)[0] for leaf in leaves}
        if not others:
            self.add("LAD", self.nodes.way(lad))
        else:
            lcx = max(others, key=self._lcx_score)
            shared = self.nodes.parting(lad, lcx)
            if shared > 1:
                self.add("LM", self.nodes.way(lad)[:shared])
                self.add("LAD", self.nodes.way(lad)[shared - 1 :])
                self._groove_vessel("LCx", self.nodes.way(lcx)[shared - 1 :], "L-PDA")
            else:
                self.add("LAD", self.nodes.way(lad))
                self._groove_vessel("LCx", self.nodes.way(lcx), "L-PDA")
        rest = [leaf for leaf in leaves if leaf not in self.home]
        for root in sorted(roots):
            if root not in self.home:
                far = max((leaf for leaf in rest if self.nodes.way(leaf)[0] == root), key=lambda x: self.nodes.length_mm[x])
                self.add("left", self.nodes.way(far))
        self._side_branches(leaves, self._left_name)

    def _lad_score(self, leaf: int) -> float:
        """To the apex, along the septum's edge, and long: a diagonal falls short in each."""
        angle = np.radians(self._course_deg(leaf) - 60)
        return min(self._tallest(leaf), LAD_REACHES) + 3 * float(np.cos(angle)) + float(self.nodes.length_mm[leaf]) / 1000

    def _tallest(self, leaf: int) -> float:
        return float(self.axes.height(self.nodes.points_mm[self.nodes.way(leaf)]).max())

    def _course_deg(self, leaf: int) -> float:
        return self._rising_deg(self.nodes.points_mm[self.nodes.way(leaf)])

    def _rising_deg(self, points_mm: np.ndarray) -> float:
        """Return the mean angle at which a curve runs to the apex, or to where it comes nearest to it."""
        height = self.axes.height(points_mm)
        top = int(np.argmax(height))  # what wraps around the apex says nothing
        rising = np.flatnonzero(height[: top + 1] >= min(0.3, float(height[top]) - 0.1))
        return float(np.mean(self._turn_deg(points_mm[rising])))

    def _groove_turn(self, leaf: int) -> float:
        """Return how far around the heart a way gets while it stays at the base."""
        way = self.nodes.way(leaf)
        height = self.axes.height(self.nodes.points_mm[way])
        left = np.flatnonzero(height > LCX_HEIGHT)
        stays = way[: int(left[0]) if len(left) else len(way)] or way[:1]
        return float(self._turn_deg(self.nodes.points_mm[stays]).max())

    def _groove_vessel(self, name: str, way: list[int], beyond: str) -> int:
        """Add a vessel of the groove; where it turns to the apex in the inferior groove, that part is the vessel ``beyond``."""
        last = self._corner(way)
        turned = self.turn_deg(way[-1]) > PDA_TURN_DEG and self.height(way[-1]) > LCX_HEIGHT
        if not turned or last < 10 or last > len(way) - 10:
            return self.add(name, way)
        index = self.add(name, way[: last + 1])
        self.add(beyond, way[last:])
        return index

    def _corner(self, way: list[int]) -> int:
        """Return the point of a way behind which it runs steeper than `PDA_SLOPE_DEG` to the apex.

        That is on the unrolled heart, so that it does not matter at which height the base was found.
        """
        points = self.nodes.points_mm[way]
        turn = np.unwrap(self.axes.angle_deg(points), period=360)
        turn = np.abs(turn - turn[0])
        around_mm = np.radians(turn) * np.median(self.axes.away_mm(points))
        down_mm = self.axes.height(points) * self.axes.length_mm
        return int(np.argmax(around_mm * np.tan(np.radians(PDA_SLOPE_DEG)) - down_mm))

    def _lcx_score(self, leaf: int) -> float:
        """Around the base: a marginal ends towards the apex."""
        return self.turn_deg(leaf) / 90 - 1.5 * self.height(leaf) + float(self.nodes.length_mm[leaf]) / 200

    def _is_circumflex(self, leaf: int, lad: int) -> bool:
        """It leaves the LAD early and goes farther around the heart."""
        way = self.nodes.way(lad)
        shared = self.nodes.parting(leaf, lad)
        early = shared == 0 or self.nodes.length_mm[way[shared - 1]] < 0.35 * self.nodes.length_mm[lad]
        return bool(early) and self._groove_turn(leaf) > self._course_deg(lad) + LEAST_LCX_TURN_DEG

    def _left_name(self, parent: int, way: list[int]) -> str:
        owner = self.courses[parent]
        leaf = way[-1]
        at_mm = self.nodes.length_mm[way[0]]
        fork_mm = self._fork_mm()
        if owner.name in {"LM", "LAD", "LCx"} and at_mm <= fork_mm + RAMUS_MM and self._between(leaf):
            return "RI"
        if owner.name == "LAD":
            return "D" if self._lateral_of(parent, way) else "S"
        if owner.name == "LCx":
            return self._circumflex_name(way)
        if owner.name == "LM":
            return "OM"
        return owner.name + "-"

    def _circumflex_name(self, way: list[int]) -> str:
        """Name a branch of the LCx by how near to the inferior groove it leaves."""
        leaves_deg, leaf = self.turn_deg(way[0]), way[-1]
        pda = [float(self._turn_deg(course.points_mm[0])) for course in self.courses if course.name == "L-PDA"]
        if pda:
            return "L-PLB" if leaves_deg > pda[0] - PDA_REACH_DEG else "OM"
        if leaves_deg <= PLB_TURN_DEG:
            return "OM"
        return "L-PDA" if self.height(leaf) > LCX_HEIGHT and self.turn_deg(leaf) > PDA_TURN_DEG else "L-PLB"

    def _fork_mm(self) -> float:
        return float(arc_length_mm(self.courses[0].points_mm)[-1]) if self.courses[0].name == "LM" else -np.inf

    def _between(self, leaf: int) -> bool:
        """Return whether a tip lies between the way of the LAD and the end of the LCx."""
        curves = {course.name: course.points_mm for course in self.courses}
        if not {"LAD", "LCx"} <= set(curves):
            return False
        end = float(self._turn_deg(curves["LCx"][-1]))
        return self._rising_deg(curves["LAD"]) + 10 < self.turn_deg(leaf) < end + 40

    def _lateral_of(self, parent: int, way: list[int]) -> bool:
        """Return whether a branch of the LAD runs to the side wall: compare the angle with the LAD's at the same height."""
        lad = self.courses[parent].points_mm
        lad = lad[: int(np.argmax(self.axes.height(lad))) + 1]
        tip = self.nodes.points_mm[way[-1]]
        beside = lad[int(np.argmin(np.abs(self.axes.height(lad) - self.axes.height(tip))))]
        difference = float(self.axes.angle_deg(tip) - self.axes.angle_deg(beside) + 180) % 360 - 180
        return difference > 0

    # -- the right tree

    def right_tree(self, leaves: list[int]) -> None:
        """Name the branches of the right ostium that end in ``leaves``: RCA and what leaves it."""
        main = max(leaves, key=self._rca_score)
        way = self.nodes.way(main)
        margin = acute_margin(self.nodes.points_mm[way])
        forks = []
        for leaf in leaves:
            shared = self.nodes.parting(leaf, main)
            if leaf != main and shared > margin and self.nodes.length_mm[way[shared - 1]] > 0.5 * self.nodes.length_mm[main]:
                forks.append((shared, leaf))
        if forks and self.nodes.length_mm[main] > 60:
            shared, leaf = min(forks)
            twin = max((x for x in forks if x[0] == shared), key=lambda x: self.nodes.length_mm[x[1]])[1]
            self.add("RCA", way[:shared])
            pda, plb = sorted((main, twin), key=self._pda_score, reverse=True)
            self.add("R-PDA", self.nodes.way(pda)[shared - 1 :])
            self.add("R-PLB", self.nodes.way(plb)[shared - 1 :])
        else:
            self._groove_vessel("RCA", way, "R-PDA")
        for root in sorted({self.nodes.way(leaf)[0] for leaf in leaves}):
            if root not in self.home:
                far = max(
                    (leaf for leaf in leaves if self.nodes.way(leaf)[0] == root), key=lambda x: float(self.nodes.length_mm[x])
                )
                self.add("right", self.nodes.way(far))
        self._side_branches(leaves, self._right_name)

    def _rca_score(self, leaf: int) -> float:
        """The longest way that ends on the lower side of the heart."""
        below = -np.sin(np.radians(self.axes.angle_deg(self.nodes.points_mm[leaf])))
        return float(self.nodes.length_mm[leaf]) / 100 + 0.8 * float(below)

    def _pda_score(self, leaf: int) -> float:
        """The PDA runs towards the apex near the septum, the PLB on below the left ventricle."""
        angle = float(self.axes.angle_deg(self.nodes.points_mm[leaf]))
        return self.height(leaf) + 0.7 * float(np.cos(np.radians(angle + 50)))

    def _right_name(self, parent: int, way: list[int]) -> str:
        owner = self.courses[parent]
        if owner.name == "RCA":
            points = owner.points_mm
            at = self.home[way[0]][1]
            if at < 0.5 * acute_margin(points):
                return "RV"
            return "AM" if at < 1.15 * acute_margin(points) or not self._posterior(way) else "R-PLB"
        return owner.name + "-"

    def _posterior(self, way: list[int]) -> bool:
        return float(self.axes.angle_deg(self.nodes.points_mm[way[-1]])) < -30

    # -- both

    def _side_branches(self, leaves: list[int], name_of) -> None:  # type: ignore[no-untyped-def]
        """Add what is left, longest first on each vessel; then number by the order of leaving."""
        first = len(self.courses)
        stems: list[str] = []
        rest = sorted((leaf for leaf in leaves if leaf not in self.home), key=lambda x: (-float(self.nodes.length_mm[x]), x))
        for leaf in rest:
            way = self.nodes.way(leaf)
            start = max(i for i, node in enumerate(way) if node in self.home)
            parent = self.home[way[start]][0]
            stems.append(name_of(parent, way[start:]))
            self.add(stems[-1], way[start:])
        self._number(first, stems)

    def _number(self, first: int, stems: list[str]) -> None:
        """Rename courses from ``first`` on: D1, D2 ... along the parent; RI, L-PDA and the like only when there are two."""
        counted: dict[str, int] = {}
        names: dict[int, str] = {}
        taken = {course.name for course in self.courses[:first]}
        leaving = {i: (self.nodes_of_parent(i), self.courses[i].parent_point or 0) for i in range(first, len(self.courses))}
        for i in sorted(leaving, key=lambda x: leaving[x]):
            stem = stems[i - first]
            if stem.endswith("-"):
                continue
            counted[stem] = counted.get(stem, 0) + 1
            single = stem in {"RI", "L-PDA", "L-PLB", "R-PLB"} and counted[stem] == 1 and stem not in taken
            names[i] = stem if single else f"{stem}{counted[stem] + (stem in taken)}"
        for i in range(first, len(self.courses)):
            course = self.courses[i]
            name = names.get(i)
            if name is None:
                above = names.get(course.parent or 0, self.courses[course.parent or 0].name)
                counted[above + "-"] = counted.get(above + "-", 0) + 1
                name = above + chr(ord("a") + counted[above + "-"] - 1)
                names[i] = name
            self.courses[i] = replace(course, name=name)

    def nodes_of_parent(self, index: int) -> int:
        return self.courses[index].parent or 0


def acute_margin(points_mm: np.ndarray) -> int:
    """Return the index of the RCA's point at the acute margin: the lowest and rightmost, where it turns to the lower side."""
    return int(np.argmax(points_mm @ np.array([-1.0, 0.0, -1.0])))
