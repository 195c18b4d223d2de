"""The coronary arteries and cardiac veins of the phantom: courses on the epicardium and diameters by segment.

Points are (N, 3) LPS mm from the ostium to the tip, about 0.5 mm apart; diameters are mm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from algorithms.phantom.coronary.heart import Heart
from algorithms.phantom.coronary.ostia import right_beginning, sinus_ostium
from algorithms.phantom.coronary.shapes import eased_path, resample_path, smooth_path, smoothed_path
from algorithms.phantom.coronary.surface import Crowd, Surface

STEP_MM = 0.5
"""Spacing of the points of a branch."""

DIAMETERS_MM = {
    ("right", "LM"): ((4.5, 0.5), (4.3, 0.5)),
    ("right", "LAD"): ((3.7, 0.4), (2.6, 0.2), (1.9, 0.3)),
    ("right", "LCx"): ((3.4, 0.5), (2.5, 0.2), (1.7, 0.2)),
    ("right", "RCA"): ((3.9, 0.6), (3.4, 0.3), (2.7, 0.3)),
    ("co", "LCx"): ((3.8, 0.5), (2.9, 0.2), (2.0, 0.2)),
    ("co", "RCA"): ((3.7, 0.5), (2.9, 0.3), (2.3, 0.2)),
    ("left", "LCx"): ((4.2, 0.6), (3.4, 0.2), (2.6, 0.2)),
    ("left", "RCA"): ((2.8, 0.5), (1.9, 0.2), (1.4, 0.1)),
    ("right", "RI"): ((2.2, 0.35), (1.2, 0.1)),
    ("right", "D1"): ((2.2, 0.3), (1.2, 0.1)),
    ("right", "D2"): ((1.9, 0.25), (1.1, 0.1)),
    ("right", "D3"): ((1.5, 0.2), (1.0, 0.1)),
    ("right", "OM1"): ((2.3, 0.35), (1.2, 0.1)),
    ("right", "OM2"): ((2.0, 0.3), (1.1, 0.1)),
    ("right", "R-PDA"): ((2.1, 0.3), (1.1, 0.1)),
    ("right", "R-PLB"): ((2.0, 0.3), (1.1, 0.1)),
    ("right", "L-PDA"): ((2.0, 0.3), (1.1, 0.1)),
    ("right", "L-PLB"): ((1.8, 0.3), (1.1, 0.1)),
    ("right", "AM1"): ((1.6, 0.2), (1.0, 0.1)),
    ("right", "S1"): ((1.3, 0.15), (0.8, 0.1)),
}
"""Lumen diameter (mean, standard deviation) at equal steps from origin to tip, by dominance; "right" is the default.

LM, proximal and distal LAD, proximal LCx and RCA by dominance: Dodge et al., Circulation 86:232 (1992), abstract.
Mid LAD, mid RCA and the mixed (co-dominant) type follow Vieweg et al., Cathet Cardiovasc Diagn 2:269 (1976).  The side
branches are ours, between 1.3 and 2.3 mm at their origin.
"""
FEMALE_FACTOR = 0.91
"""Women's epicardial arteries are 9 % narrower (Dodge et al., abstract)."""
LM_LENGTH_MM = (10.5, 3.0)
"""Mean and the standard deviation used here (5.3 in Medrano-Gracia et al., EuroIntervention 12:845 (2016))."""
SEGMENTS = {"LM": 5, "D1": 9, "D2": 10, "D3": 10, "OM1": 12, "OM2": 14, "L-PDA": 15, "R-PLB": 16, "RI": 17, "L-PLB": 18,
            "R-PDA": 4, "AM1": 2, "S1": 7}  # fmt: skip
"""SCCT segment (Leipsic et al., JCCT 8:342 (2014), figure 1); AM1, S1 and D3 have none and take a neighbour's."""


@dataclass(frozen=True, eq=False)
class Vessel:
    """One artery: its lumen's centreline and radii, and the axis of the vessel that the plaque fills."""

    name: str
    parent: int | None
    parent_point: int | None
    axis_mm: np.ndarray  # (N, 3) middle of the undiseased vessel
    points_mm: np.ndarray  # (N, 3) middle of the open lumen
    reference_radius_mm: np.ndarray  # (N,)
    radius_mm: np.ndarray  # (N,)
    segment: np.ndarray  # (N,)

    @property
    def distance_mm(self) -> np.ndarray:
        """Return the arc length of the axis from the first point, (N,) mm."""
        steps: np.ndarray = np.linalg.norm(np.diff(self.axis_mm, axis=0), axis=1)
        return np.concatenate([[0.0], np.cumsum(steps)])


@dataclass(frozen=True)
class Habit:
    """What kind of coronary circulation a person has."""

    dominance: str  # right, left or co
    female: bool
    tortuosity: float  # 0 straight, 1 usual, 2 very wound
    wraps_apex: bool
    ramus: bool
    diagonals: int
    marginals: int
    septal: bool
    acute_marginal: bool


def draw_habit(rng: np.random.Generator) -> Habit:
    """Return a circulation drawn with the frequencies of the population (right 0.82, left 0.10, co-dominant 0.08)."""
    return Habit(
        dominance=str(rng.choice(["right", "left", "co"], p=[0.82, 0.10, 0.08])),
        female=bool(rng.random() < 0.42),
        tortuosity=float(rng.uniform(0.4, 1.7)),
        wraps_apex=bool(rng.random() < 0.6),
        ramus=bool(rng.random() < 0.2),
        diagonals=int(rng.choice([1, 2, 3], p=[0.2, 0.55, 0.25])),
        marginals=int(rng.choice([1, 2], p=[0.35, 0.65])),
        septal=bool(rng.random() < 0.5),
        acute_marginal=bool(rng.random() < 0.6),
    )


class Planner:
    """Lays the vessels of one heart; ``vessels`` grows with every call."""

    def __init__(self, surface: Surface, habit: Habit, rng: np.random.Generator, right_ostium: str = "usual") -> None:
        self.right_ostium = right_ostium
        self.surface = surface
        self.heart: Heart = surface.heart
        self.habit = habit
        self.rng = rng
        self.vessels: list[Vessel] = []
        self.size = FEMALE_FACTOR if habit.female else 1.0
        self.size *= self.heart.scale * float(rng.normal(1.0, 0.04))

    def diameters_mm(self, name: str, share: np.ndarray) -> np.ndarray:
        """Return drawn diameters (N,) at the fractions ``share`` (N,) of the vessel's length."""
        knots = DIAMETERS_MM.get((self.habit.dominance, name)) or DIAMETERS_MM["right", name]
        # One person's vessel is wide or narrow as a whole, so one deviate moves all its knots.
        deviate = float(np.clip(self.rng.normal(), -1.5, 1.5))
        values = np.array([mean + sd * deviate for mean, sd in knots]) * self.size
        drawn: np.ndarray = np.interp(share, np.linspace(0, 1, len(values)), values)
        return drawn

    def lay(
        self, name: str, controls: np.ndarray, parent: int | None, parent_point: int | None, *, free_mm: float = 0.0
    ) -> int:
        """Add the vessel through ``controls`` (N, 3), relaxed onto the epicardium, and return its index."""
        rough = smooth_path(controls, 2.0)
        diameters = self.diameters_mm(name, np.linspace(0, 1, len(rough)))
        if parent is not None and parent_point is not None:
            limit = 0.92 * 2 * self.vessels[parent].reference_radius_mm[parent_point]
            diameters *= min(1.0, limit / diameters[0])
        # An artery lies in fat: never less than half a millimetre of it, mostly one or two.
        clearance = diameters / 2 + 0.5 + np.log1p(np.exp(self._undulation(len(rough), 1.0)))
        crowd = Crowd(
            np.concatenate([np.zeros((0, 3)), *(v.axis_mm for v in self.vessels)]),
            np.concatenate([np.zeros(0), *(v.reference_radius_mm for v in self.vessels)]),
        )
        path = self.surface.settle(rough, clearance, crowd, free_mm=free_mm)
        sway = self._undulation(len(path), 1.1 * self.habit.tortuosity)
        distance = np.linspace(0, 2.0 * (len(path) - 1), len(path))
        sway *= np.clip((distance - max(free_mm, 4.0)) / 8.0, 0, 1)
        path = self.surface.wave(path, sway)
        path = self.surface.settle(path, clearance, crowd, free_mm=free_mm, stiffness=0.1, rounds=12)
        path = smoothed_path(resample_path(smooth_path(path, 0.1), STEP_MM), 1.6, STEP_MM)
        path = eased_path(resample_path(path, STEP_MM), STEP_MM, 3.2)
        radius = np.interp(np.linspace(0, 1, len(path)), np.linspace(0, 1, len(diameters)), diameters / 2)
        self.add(name, path, radius, parent, parent_point)
        return len(self.vessels) - 1

    def add(self, name: str, path: np.ndarray, radius: np.ndarray, parent: int | None, parent_point: int | None) -> None:
        segment = np.full(len(path), SEGMENTS.get(name, 0))
        self.vessels.append(Vessel(name, parent, parent_point, path, path, radius, radius.copy(), segment))

    def _undulation(self, count: int, amplitude_mm: float) -> np.ndarray:
        """Return a smooth random wave (N,) at 2 mm steps with wavelengths of 16 to 45 mm."""
        distance = 2.0 * np.arange(count)
        wave = np.zeros(count)
        for _ in range(3):
            length, phase, weight = self.rng.uniform(16, 45), self.rng.uniform(0, 2 * np.pi), self.rng.normal(0, 0.6)
            wave += weight * np.sin(2 * np.pi * distance / length + phase)
        return amplitude_mm * wave

    def fork(self, parent: int, share: float) -> int:
        """Return the point of ``parent`` at this fraction of its length."""
        return round(share * (len(self.vessels[parent].points_mm) - 1))

    def descend(self, name: str, parent: int, point: int, azimuths_deg: list[float], polars_deg: list[float]) -> int:
        """Add a branch that leaves ``parent`` at ``point`` and runs over these angles (degrees) of the epicardium."""
        start = self.vessels[parent].points_mm[point]
        over = self.surface.hit(np.deg2rad(polars_deg), np.deg2rad(azimuths_deg))
        return self.lay(name, np.concatenate([start[None], over]), parent, point)

    def angles_deg(self, point: np.ndarray) -> tuple[float, float]:
        """Return polar angle and azimuth (degrees, 0..360) of ``point``."""
        from algorithms.phantom.coronary.surface import CENTRE_MM

        a, s, t = (point - self.heart.at(CENTRE_MM, 0, 0)) @ self.heart.axes.T
        return float(np.rad2deg(np.arctan2(np.hypot(s, t), a))), float(np.rad2deg(np.arctan2(t, s)) % 360)


def coronary_vessels(surface: Surface, habit: Habit, rng: np.random.Generator, right_ostium: str = "usual") -> list[Vessel]:
    """Return the arteries without disease, parents before children; roots are LM and RCA.

    The right one begins in its sinus (``usual``), above the sinotubular junction (``high``), or in the ``left`` sinus, from
    where it passes between aorta and pulmonary artery.
    """
    for _ in range(12):
        plan = Planner(surface, habit, rng, right_ostium)
        _left(plan)
        _right(plan)
        vessels = _without_contacts(plan.vessels)
        if not _faulty(surface.heart, vessels):
            break
    return _numbered(vessels)


def _faulty(heart: Heart, vessels: list[Vessel]) -> bool:
    """Return whether a main artery touches another one away from a fork, or any but a septal one enters a chamber."""
    from scipy.spatial import cKDTree

    main = {v.name: v for v in vessels if v.name in {"LAD", "LCx", "RCA"}}
    for vessel in vessels:
        far = vessel.distance_mm > 6.0
        if vessel.name == "S1" or not far.any():
            continue
        points, radius = vessel.axis_mm[far], vessel.reference_radius_mm[far]
        bodies = (heart.lv_epicardium, heart.right_heart, heart.la_outer, heart.ra_outer, heart.root_lumen)
        if min(float((body(points) - radius).min()) for body in bodies) < -0.1:
            return True
    gap, nearest = cKDTree(main["LAD"].axis_mm).query(main["LCx"].axis_mm)
    gap = gap - main["LCx"].reference_radius_mm - main["LAD"].reference_radius_mm[nearest]
    return bool((gap[main["LCx"].distance_mm > 9.0] < 0.3).any())


def _left(plan: Planner) -> None:
    start, way = sinus_ostium(plan.heart, 0)
    polars = np.deg2rad([98.0, 88, 76, 64, 52, 40, 28])
    groove = plan.surface.anterior_groove(polars[:-1])
    groove = np.append(groove, groove[-1]) + np.deg2rad(3.0)
    groove[-3:] = groove[-4]
    tail = np.deg2rad([14.0, -2.0, -14.0, -26.0] if plan.habit.wraps_apex else [18.0])
    groove, polars = np.append(groove, np.full(len(tail), groove[-1])), np.append(polars, tail)
    brow = float(plan.surface.anterior_groove(np.deg2rad([108.0]))[0])
    meeting = plan.surface.hit(np.deg2rad([122.0]), np.array([brow + np.deg2rad(24.0)]), 4.0)
    trunk = smooth_path(np.concatenate([[start, start + 3.5 * way], meeting]), STEP_MM)
    length = float(np.clip(plan.rng.normal(*LM_LENGTH_MM), 5.0, 16.0))
    cut = min(round(length / STEP_MM), round(0.9 * len(trunk)))
    end = plan.surface.settle(trunk[: cut + 1], np.full(4, 3.2), Crowd(trunk[:0], np.zeros(0)), free_mm=60.0)
    end = eased_path(resample_path(smoothed_path(resample_path(end, STEP_MM), 1.6, STEP_MM), STEP_MM), STEP_MM, 3.2)
    radius = plan.diameters_mm("LM", np.linspace(0, 1, len(end))) / 2
    plan.add("LM", end, radius, None, None)
    shoulder = plan.surface.hit(np.deg2rad([111.0]), np.array([brow + np.deg2rad(6.0)]), 3.0)
    course = np.concatenate([end[-1:], shoulder, plan.surface.hit(polars, groove)])
    plan.lay("LAD", course, 0, len(end) - 1, free_mm=8.0)
    _circumflex(plan, brow)
    _diagonals(plan)


def _circumflex(plan: Planner, brow: float) -> None:
    end = {"right": plan.rng.uniform(195, 225), "co": plan.rng.uniform(228, 245), "left": 262.0}[plan.habit.dominance]
    azimuths = np.append(np.arange(np.rad2deg(brow) + 46.0, end - 8.0, 14.0), end)
    polars = plan.surface.atrioventricular_groove(np.deg2rad(azimuths))
    polars = np.minimum(np.convolve(np.pad(polars, 1, mode="edge"), np.full(3, 1 / 3), "valid"), np.deg2rad(130.0))
    course = plan.surface.hit(polars, np.deg2rad(azimuths))
    fork = plan.vessels[0].points_mm[-1]
    lcx = plan.lay("LCx", np.concatenate([fork[None], course]), 0, len(plan.vessels[0].points_mm) - 1, free_mm=8.0)
    shares = {1: [plan.rng.uniform(0.28, 0.4)], 2: [plan.rng.uniform(0.22, 0.32), plan.rng.uniform(0.58, 0.72)]}
    for number, share in enumerate(shares[plan.habit.marginals], start=1):
        point = plan.fork(lcx, share)
        polar, azimuth = plan.angles_deg(plan.vessels[lcx].points_mm[point])
        drift = plan.rng.uniform(8, 18)
        reach = polar - np.array([18.0, 36, 54, 68] if number == 1 else [18.0, 34, 48])
        plan.descend(f"OM{number}", lcx, point, list(azimuth + drift * np.linspace(0.5, 1.6, len(reach))), list(reach))
    if plan.habit.ramus:
        plan.descend("RI", 0, len(plan.vessels[0].points_mm) - 1, [116.0, 122, 126, 130], [118.0, 102, 84, 62])
    if plan.habit.dominance == "left":
        last = len(plan.vessels[lcx].points_mm) - 1
        down = np.array([112.0, 96, 80, 62, 50])
        groove = np.rad2deg(plan.surface.posterior_groove(np.deg2rad(down)))
        plan.descend("L-PDA", lcx, last, list(groove), list(down))
        plan.descend("L-PLB", lcx, plan.fork(lcx, 0.86), [240.0, 238, 236, 236], [116.0, 100, 84, 70])


def _diagonals(plan: Planner) -> None:
    lad = 1
    usable = plan.vessels[lad].distance_mm[-1]
    for number in range(1, plan.habit.diagonals + 1):
        from_origin = plan.rng.uniform(16, 26) + 26.0 * (number - 1)
        if from_origin >= usable:
            break  # a small heart's artery ends before its third diagonal would begin
        point = plan.fork(lad, from_origin / usable)
        polar, azimuth = plan.angles_deg(plan.vessels[lad].points_mm[point])
        swing = plan.rng.uniform(26, 36) * (1.0 - 0.15 * (number - 1))
        reach = polar - np.array([8.0, 20, 34, 48] if number == 1 else [8.0, 18, 30, 40])
        plan.descend(f"D{number}", lad, point, list(azimuth + swing * np.array([0.42, 0.75, 0.95, 1.05])), list(reach))
    if plan.habit.septal:
        point = plan.fork(lad, plan.rng.uniform(10, 14) / usable)
        plan.add(*_septal(plan, lad, point))


def _septal(plan: Planner, lad: int, point: int) -> tuple[str, np.ndarray, np.ndarray, int, int]:
    """Return the first septal branch: it dives into the septum and runs in the middle of its muscle."""
    start = plan.vessels[lad].points_mm[point]
    polar, azimuth = plan.angles_deg(start)
    heart = plan.heart
    middle = []
    for drop, turn in [(8.0, 24.0), (16.0, 40.0), (26.0, 58.0)]:
        way = plan.surface.direction(np.deg2rad(polar - drop), np.deg2rad(azimuth - turn))
        ray = heart.at(30.0, 0, 0) + way * np.arange(5.0, 60.0, 0.25)[:, None]
        middle.append(ray[np.argmin(np.abs(heart.lv_epicardium(ray) + heart.wall_mm / 2))])
    path = smooth_path(np.stack([start, *middle]), STEP_MM)
    return "S1", path, plan.diameters_mm("S1", np.linspace(0, 1, len(path))) / 2, lad, point


def _right(plan: Planner) -> None:
    beginning = right_beginning(plan.heart, plan.right_ostium)
    dominance = plan.habit.dominance
    azimuths = np.array([12.0, -4, -20, -36, -52, -66])
    if dominance == "left":
        azimuths = azimuths[:5]
    polars = plan.surface.atrioventricular_groove(np.deg2rad(azimuths))
    polars = np.convolve(np.pad(polars, 1, mode="edge"), np.full(3, 1 / 3), "valid")
    polars = np.where(azimuths < -40, np.minimum(polars, np.deg2rad(131.0)), polars)
    course = plan.surface.hit(polars, np.deg2rad(azimuths))
    if dominance != "left":
        crux = np.rad2deg(plan.surface.posterior_groove(np.deg2rad([124.0])))[0]
        course = np.concatenate([course, plan.surface.hit(np.deg2rad([128.0]), np.deg2rad([crux]))])
    rca = plan.lay("RCA", np.concatenate([beginning, course]), None, None, free_mm=16.0)
    if plan.habit.acute_marginal:
        point = plan.fork(rca, plan.rng.uniform(0.5, 0.6))
        polar, azimuth = plan.angles_deg(plan.vessels[rca].points_mm[point])
        plan.descend("AM1", rca, point, [azimuth - 4, azimuth - 9, azimuth - 14], [polar - 16, polar - 32, polar - 46])
    if dominance == "left":
        return
    last = len(plan.vessels[rca].points_mm) - 1
    down = np.array([114.0, 98, 82, 64, 50])
    groove = np.rad2deg(plan.surface.posterior_groove(np.deg2rad(down))) + 3.0
    plan.descend("R-PDA", rca, last, list(groove), list(down))
    if dominance == "right":
        plan.descend("R-PLB", rca, last, [crux - 12, crux - 24, crux - 32, crux - 36, crux - 38], [129.0, 122, 106, 90, 76])


def _without_contacts(vessels: list[Vessel]) -> list[Vessel]:
    """Return ``vessels`` without those side branches that would touch another artery away from their own origin."""
    from scipy.spatial import cKDTree

    kept: list[Vessel] = []
    place: dict[int, int] = {}
    for index, vessel in enumerate(vessels):
        if vessel.parent is not None and vessel.parent not in place:
            continue
        touches = False
        for number, other in enumerate(kept):
            gap, nearest = cKDTree(other.points_mm).query(vessel.points_mm)
            gap = gap - vessel.reference_radius_mm - other.reference_radius_mm[nearest]
            akin = vessel.parent is not None and (place[vessel.parent] == number or other.parent == place[vessel.parent])
            start = 9.0 if akin else 0.0
            touches |= bool((gap[vessel.distance_mm >= start] < 0.8).any())
        if not touches or vessel.name in {"LM", "LAD", "LCx", "RCA"}:
            parent = None if vessel.parent is None else place[vessel.parent]
            place[index] = len(kept)
            kept.append(replace(vessel, parent=parent))
    return kept


def _numbered(vessels: list[Vessel]) -> list[Vessel]:
    """Return ``vessels`` with diagonals and marginals counted from the ostium, and the SCCT segments of LAD, LCx and RCA."""
    for family in ("D", "OM"):
        members = [i for i, v in enumerate(vessels) if v.name[:-1] == family]
        members.sort(key=lambda i: vessels[i].parent_point or 0)
        for number, index in enumerate(members, start=1):
            name = f"{family}{number}"
            segment = np.full(len(vessels[index].segment), SEGMENTS[name])
            vessels[index] = replace(vessels[index], name=name, segment=segment)
    numbered = []
    for index, vessel in enumerate(vessels):
        forks = {v.name: v.parent_point or 0 for v in vessels if v.parent == index}
        count = len(vessel.points_mm)
        segment = vessel.segment
        if vessel.name == "LAD":
            first = forks.get("D1", int(0.25 * count))
            middle = forks.get("D2", first + (count - first) // 2)
            segment = np.select([np.arange(count) < first, np.arange(count) < middle], [6, 7], 8)
        elif vessel.name == "LCx":
            segment = np.where(np.arange(count) < forks.get("OM1", count // 3), 11, 13)
        elif vessel.name == "RCA":
            margin = forks.get("AM1", int(0.55 * count))
            segment = np.select([np.arange(count) < margin // 2, np.arange(count) < margin], [1, 2], 3)
        numbered.append(replace(vessel, segment=segment))
    return numbered
