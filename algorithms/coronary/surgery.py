"""Signs of surgery on the coronary arteries: a bypass from the ascending aorta, and the wires that close a breastbone.

FFR-CT is not meant for patients with bypass grafts (Medicare local coverage determination L38613, with the makers'
instructions for use): a graft feeds an artery from its far end, which no model of a tree from two ostia knows.
Arrays are (Z, Y, X); points are (N, 3) LPS mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from algorithms.contract.errors import DataError
from algorithms.coronary.aorta import Aorta
from algorithms.coronary.grid import Grid
from algorithms.coronary.ostia import SIDES, Ostium, Outgrowth, Surroundings, outgrowths, root_axis, worth
from algorithms.coronary.vessel.metal import METAL_HU

LOWEST_GRAFT_MM = 28.0
"""Least height above the valve at which a bypass leaves the aorta, mm: above the sinotubular junction, at 22 mm
(Berdajs et al., Eur J Cardiothorac Surg 22:923 (2002)), with room for a clamp."""

LEAST_GRAFT_MM = 30.0
"""Shortest outgrowth that is taken for a bypass, mm."""

LEAST_LIKENESS = 0.7
"""Least mean likeness of arterial lumen along it (1): rims of chambers have 0.3 to 0.6, arteries 0.8 to 1."""

LEAST_OSTIUM = 0.3
"""Worth from which an outgrowth serves as the ostium of its side, so that a higher one is none (1)."""

SAME_MOUTH_MM = 8.0
"""Within this of a known ostium an outgrowth may be the artery of that ostium, mm."""

WIRE_MM = (8.0, 60.0)
"""Extent of a wire loop in a breastbone, mm: less is a clip, more a lead."""

FLAT_MM = 14.0
"""A loop lies across the breastbone: it takes no more than this along the body, mm; a lead takes more."""

LEAST_WIRES = 3
"""A breastbone is closed with five to seven loops, of which a scan of the heart shows three at the least."""

IN_FRONT_MM, BESIDE_MM = 25.0, 50.0
"""A breastbone lies at least so far in front of the middle of the ascending aorta, and at most so far to either side, mm."""


@dataclass(frozen=True)
class Graft:
    """A bypass: how high above the valve it leaves the aorta, and how far it was followed."""

    height_mm: float
    length_mm: float


def surgery_doubts(volume: Grid, around: Surroundings, ostia: dict[str, Ostium]) -> tuple[str, ...]:
    """Return what speaks for an operation on the coronary arteries and does not prove one.

    Raises
    ------
    DataError
        If a bypass leaves the ascending aorta behind a breastbone that wires close.
    """
    wires = len(wire_loops(volume, around.aorta))
    # What leaves so high is an ostium of its own in a person who was not operated on: a lesion may hide the one below.
    found = grafts(around, {} if wires >= LEAST_WIRES else ostia)
    if not found:
        return wire_doubts(wires)
    begins = f"a vessel leaves the ascending aorta {found[0].height_mm:.0f} mm above the valve and was followed for "
    begins += f"{found[0].length_mm:.0f} mm, as a bypass graft does"
    if wires < LEAST_WIRES:
        return (f"{begins}, and no wires close the breastbone: it may be a vein beside the aorta; ask for a bypass",)
    raise DataError(
        f"{begins}, and {wires} wires close the breastbone; wanted coronary arteries that no graft feeds; "
        "read this study without FFR-CT: by the images, a stress test or a pressure wire"
    )


def grafts(around: Surroundings, ostia: dict[str, Ostium]) -> list[Graft]:
    """Return the bypasses seen to leave the ascending aorta, longest first.

    All outgrowths of the aorta are followed at once, so that a coronary artery belongs to its own ostium and not to a path
    that creeps along the aorta's wall.  A high one that is the only artery of its side is an anomalous ostium.
    """
    root, axis = around.aorta.centres_mm[0], root_axis(around.aorta)
    every = outgrowths(around.between(0.0, np.inf), (LOWEST_OSTIUM_MM, np.inf))
    high = [o for o in every if (o.path_mm[0] - root) @ axis >= LOWEST_GRAFT_MM]
    low = [o for o in every if (o.path_mm[0] - root) @ axis < LOWEST_GRAFT_MM]
    return [
        Graft(float((o.path_mm[0] - root) @ axis), o.length_mm)
        for o in high
        if o.length_mm >= LEAST_GRAFT_MM and o.likeness >= LEAST_LIKENESS and not _is_ostium(o, low, ostia)
    ]


LOWEST_OSTIUM_MM = 2.0
"""Height above the valve from which outgrowths are followed, mm: that of the lowest ostia."""


def _is_ostium(high: Outgrowth, low: Sequence[Outgrowth], ostia: dict[str, Ostium]) -> bool:
    """Return whether a high outgrowth is the artery of a side that no lower outgrowth serves."""
    return any(
        np.linalg.norm(high.path_mm[0] - ostia[side].point_mm) <= SAME_MOUTH_MM
        and all(worth(o, towards) < LEAST_OSTIUM for o in low)
        for side, towards in SIDES.items()
        if side in ostia
    )


def wire_loops(volume: Grid, aorta: Aorta) -> list[float]:
    """Return the heights (mm, of LPS z) of the loops of wire in the breastbone, from below.

    A loop is a piece of metal of a few centimetres in front of the ascending aorta, near the midline.
    """
    middle = aorta.centres_mm.mean(axis=0)
    start = volume.index(middle - np.array([BESIDE_MM, 200.0, 0.0]))
    stop = volume.index(middle + np.array([BESIDE_MM, -IN_FRONT_MM, 0.0]))
    y = slice(max(0, int(start[1])), max(0, int(stop[1])))
    x = slice(max(0, int(start[2])), max(0, int(stop[2])))
    metal = volume.values[:, y, x] > METAL_HU
    names, _ = ndimage.label(metal, np.ones((3, 3, 3)))
    heights = []
    for box in ndimage.find_objects(names):
        size = [(s.stop - s.start) * d for s, d in zip(box, volume.spacing_mm, strict=True)]
        if WIRE_MM[0] <= float(np.linalg.norm(size)) <= WIRE_MM[1] and size[0] <= FLAT_MM:
            heights.append(volume.origin_mm[2] + volume.spacing_mm[0] * (box[0].start + box[0].stop - 1) / 2)
    return _apart(sorted(heights))


def _apart(heights: list[float]) -> list[float]:
    """Return heights without those less than 8 mm above another: the two arms of one loop."""
    kept: list[float] = []
    for height in heights:
        if not kept or height - kept[-1] >= 8.0:
            kept.append(height)
    return kept


def wire_doubts(count: int) -> tuple[str, ...]:
    """Return a doubt if wires close the breastbone: the chest was opened, and a graft may lie where none was looked for."""
    if count < LEAST_WIRES:
        return ()
    return (
        f"{count} wires close the breastbone after an operation; no graft was seen to leave the aorta in this scan, but one "
        "that begins above it or comes from a mammary artery is not looked for: ask whether the patient has a bypass",
    )
