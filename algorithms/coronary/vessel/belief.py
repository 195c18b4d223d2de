"""What of the mask is no vessel in the image: leaks into a chamber, bumps beside a wide lumen, tails behind a tip.

Where a section shows no blurred disc, the fit of its radius says so by its standard deviation.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from algorithms.coronary.vessel.tracing import Vessel, length_mm

NO_VESSEL_SD_MM = 0.12
"""Median standard deviation of the radius from which no vessel is seen; 0.03-0.06 mm in vessels, 0.13-0.25 in leaks of
segmented masks (phantom seeds 102 and 103)."""

NO_VESSEL_RATIO = 2.0
"""And this many times that of the main vessels, so that a noisy scan does not lose its branches."""

MAIN = ("LM", "LAD", "LCx", "RCA")

SILENT_MM = 15.0
"""Leaks of less length in all are bumps of the mask; more may be a vessel that was traced wrongly: worth a doubt."""


FADED_RADIUS_MM = 0.2
"""A lumen this narrow is one voxel of a CT across: there is no telling it from none."""

LONGEST_TAIL_MM = 25.0
"""Behind a lumen that closes, so much mask may be noise that followed the tip; a vessel seen for longer is an occluded one."""

LEAST_TAIL_RADIUS_MM = 0.4
"""A vessel narrower than two voxels of a CT is not one whose stenosis is reported."""


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
    end = int(faded[0])
    arrays = ("points_mm", "radius_mm", "radius_sd_mm", "core_hu", "trusted")
    return replace(vessel, **{name: getattr(vessel, name)[:end] for name in arrays})


def _shows(vessel: Vessel, start: int) -> bool:
    wide = float(np.median(vessel.radius_mm[start:])) > LEAST_TAIL_RADIUS_MM
    return wide and float(np.median(vessel.radius_sd_mm[start:])) <= NO_VESSEL_SD_MM


def believed(vessels: list[Vessel]) -> tuple[list[Vessel], float]:
    """Return the vessels that the image shows, numbered anew, and the length in mm of those that it does not.

    Main vessels always stay (a doubt tells if they are odd), and with them whatever leads to a vessel that stays.
    """
    usual = float(np.median(np.concatenate([v.radius_sd_mm for v in vessels if v.name in MAIN] or [np.array([np.inf])])))
    limit = max(NO_VESSEL_SD_MM, NO_VESSEL_RATIO * usual) if np.isfinite(usual) else np.inf
    kept: set[int] = set()
    for i in reversed(range(len(vessels))):
        seen = vessels[i].name in MAIN or float(np.median(vessels[i].radius_sd_mm)) <= limit
        if seen or any(vessels[k].parent == i for k in kept):
            kept.add(i)
    order = sorted(kept)
    place = {old: new for new, old in enumerate(order)}
    lost = sum(length_mm(v) for i, v in enumerate(vessels) if i not in kept)
    found = [replace(vessels[i], parent=None if vessels[i].parent is None else place[vessels[i].parent]) for i in order]  # type: ignore[index]
    return [replace(v, name=name) for v, name in zip(found, _renumbered(found), strict=True)], lost


def _renumbered(vessels: list[Vessel]) -> list[str]:
    """Return the names with D1, OM1, S1 ... counted anew in the order in which they leave their parent."""
    names = [v.name for v in vessels]
    families: dict[tuple[int | None, str], list[int]] = {}
    for i, vessel in enumerate(vessels):
        numbered = re.fullmatch(r"(D|OM|S|AM|RV)\d+", vessel.name)
        if numbered:
            families.setdefault((vessel.parent, numbered[1]), []).append(i)
    for (_, stem), members in families.items():
        for number, i in enumerate(sorted(members, key=lambda k: vessels[k].parent_point or 0), start=1):
            names[i] = f"{stem}{number}"
    for i, vessel in enumerate(vessels):
        if vessel.parent is not None and vessel.name.startswith(vessels[vessel.parent].name) and vessel.name[-1].islower():
            above = vessels[vessel.parent].name
            if vessel.name[len(above) :].isalpha() and len(vessel.name) == len(above) + 1:
                names[i] = names[vessel.parent] + vessel.name[-1]
    return names
