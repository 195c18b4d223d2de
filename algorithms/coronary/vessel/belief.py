"""What of the mask is no artery in the image: leaks into a chamber, bumps beside a wide lumen, tails behind a tip.

Where a section shows no blurred disc, the fit of its radius says so by its standard deviation.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from algorithms.coronary.vessel.lumen_radius import LEAST_RADIUS_MM
from algorithms.coronary.vessel.tracing import MAIN, Vessel, length_mm

NO_VESSEL_SD_MM = 0.12
"""Median standard deviation of the radius from which no vessel is seen; 0.03-0.06 mm in vessels, 0.13-0.25 in leaks of
segmented masks (phantom seeds 102 and 103)."""

NO_VESSEL_RATIO = 2.0
"""And this many times that of the main vessels, so that a noisy scan does not lose its branches."""

SILENT_SHARE = 0.1
"""Share of the tree's length (1) up to which veins and leaks are cut off without a word; of more, one may have stayed."""

FADED_RADIUS_MM = 0.2
"""A lumen this narrow is one voxel of a CT across: there is no telling it from none."""

LONGEST_TAIL_MM = 25.0
"""Behind a lumen that closes, so much mask may be noise that followed the tip; a vessel seen for longer is an occluded one."""

LEAST_TAIL_RADIUS_MM = 0.4
"""A vessel narrower than two voxels of a CT is not one whose stenosis is reported."""

BEGINNING_MM = 4.0
"""Beginning of a side branch, from its parent's wall, in which it must have a lumen, mm."""


def ended_where_they_fade(vessels: list[Vessel]) -> list[Vessel]:
    """Return the vessels, each cut where its lumen closes near its tip for good.

    A tip is cut only behind the vessel's last branch, and only if what follows is short and is itself no vessel that CT
    shows.  A vessel that opens again has a tight stenosis or an occlusion, which must be reported and not cut off.
    """
    return [_ended(vessel, [v.parent_point or 0 for v in vessels if v.parent == i]) for i, vessel in enumerate(vessels)]


def _ended(vessel: Vessel, branch_points: list[int]) -> Vessel:
    least = max([1, *branch_points]) + 1  # a vessel keeps two points, and its branches
    count = len(vessel.points_mm)
    left_mm = np.append(np.cumsum(np.linalg.norm(np.diff(vessel.points_mm, axis=0), axis=1)[::-1])[::-1], 0.0)
    faded = np.flatnonzero((vessel.radius_mm <= FADED_RADIUS_MM) & (left_mm <= LONGEST_TAIL_MM) & (np.arange(count) >= least))
    if not faded.size or _shows(vessel, int(faded[0])):
        return vessel
    return shortened(vessel, int(faded[0]))


def _shows(vessel: Vessel, start: int) -> bool:
    wide = float(np.median(vessel.radius_mm[start:])) > LEAST_TAIL_RADIUS_MM
    return wide and float(np.median(vessel.radius_sd_mm[start:])) <= NO_VESSEL_SD_MM


def believed(vessels: list[Vessel]) -> tuple[list[Vessel], float]:
    """Return the vessels that the image shows, numbered anew, and the length in mm of those that it does not.

    Main vessels always stay (a doubt tells if they are odd), and with them whatever leads to a vessel that stays.  A side
    branch without lumen where it leaves its parent is connected wrongly, and goes with all that follows it.
    """
    usual = float(np.median(np.concatenate([v.radius_sd_mm for v in vessels if v.name in MAIN] or [np.array([np.inf])])))
    limit = max(NO_VESSEL_SD_MM, NO_VESSEL_RATIO * usual) if np.isfinite(usual) else np.inf
    kept: set[int] = set()
    for i in reversed(range(len(vessels))):
        seen = vessels[i].name in MAIN or float(np.median(vessels[i].radius_sd_mm)) <= limit
        if seen or any(vessels[k].parent == i for k in kept):
            kept.add(i)
    for i, vessel in enumerate(vessels):
        if (vessel.parent is not None and vessel.parent not in kept) or _begins_closed(vessels, i):
            kept.discard(i)
    lost = sum(length_mm(v) for i, v in enumerate(vessels) if i not in kept)
    return only(vessels, kept), lost


def _begins_closed(vessels: list[Vessel], i: int) -> bool:
    """Return whether a side branch has no lumen somewhere between its parent's middle and ``BEGINNING_MM`` from its wall."""
    vessel = vessels[i]
    if vessel.parent is None or vessel.name in MAIN:
        return False
    along = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(vessel.points_mm, axis=0), axis=1)))
    beyond = along - float(vessels[vessel.parent].radius_mm[vessel.parent_point or 0])
    return bool(vessel.radius_mm[beyond <= BEGINNING_MM].min(initial=np.inf) <= FADED_RADIUS_MM)


def ended_where_closed(vessels: list[Vessel]) -> tuple[list[Vessel], list[str]]:
    """Return the vessels, each side branch cut where it has no lumen, and a doubt for each that was.

    Behind it no flow can be reckoned.  A main vessel stays as it is: one that is closed refuses the case.
    """
    ends, doubts = [], []
    for vessel in vessels:
        shut = np.flatnonzero(vessel.radius_mm <= LEAST_RADIUS_MM)
        side = vessel.parent is not None and vessel.name not in MAIN
        ends.append(max(int(shut[0]), 2) if side and shut.size else len(vessel.points_mm))
    kept: set[int] = set()
    for i, vessel in enumerate(vessels):
        if vessel.parent is None or (vessel.parent in kept and (vessel.parent_point or 0) < ends[vessel.parent]):
            kept.add(i)
            if ends[i] < len(vessel.points_mm):
                before, whole = length_mm(shortened(vessel, ends[i])), length_mm(vessel)
                doubts.append(
                    f"the {vessel.name} has no lumen {before:.0f} mm from its origin; {whole - before:.0f} mm behind it, and "
                    "what leaves there, are left out: look there in the images"
                )
    return only([shortened(v, end) for v, end in zip(vessels, ends, strict=True)], kept), doubts


def only(vessels: list[Vessel], kept: set[int]) -> list[Vessel]:
    """Return the vessels of these numbers, whose parents are among them, numbered anew."""
    order = sorted(kept)
    place: dict[int | None, int | None] = {None: None} | {old: new for new, old in enumerate(order)}
    return [replace(vessels[i], parent=place[vessels[i].parent]) for i in order]


def shortened(vessel: Vessel, end: int) -> Vessel:
    """Return a vessel with its first ``end`` points."""
    arrays = ("points_mm", "radius_mm", "radius_sd_mm", "core_hu", "trusted")
    return replace(vessel, **{name: getattr(vessel, name)[:end] for name in arrays})
