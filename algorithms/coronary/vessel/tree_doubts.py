"""What makes a traced tree doubtful.  A case with a doubt is held for review, never answered in silence.

Each doubt is a sentence that says what was found and what to look at.
"""

from __future__ import annotations

import numpy as np

from algorithms.coronary.heart_axes import HeartAxes
from algorithms.coronary.vessel.skeleton import Skeleton
from algorithms.coronary.vessel.tracing import Vessel, length_mm

SHORTEST_MM = {"LAD": 60.0, "LCx": 20.0, "RCA": 40.0}
"""A main vessel shorter than this is broken off: a normal LAD is 100-170 mm, an RCA 80-140 mm, a small LCx 30 mm."""

WIDEST_MM, NARROWEST_MM = 3.5, 0.3
"""Median radii beyond these are no coronary artery (Dodge et al., Circulation 86:232 (1992): LM 2.25 +- 0.25 mm)."""

WIDEST_MASK_MM = 4.5
"""A mask this far from its own border on all sides holds a chamber, not a vessel (giant aneurysms are reviewed as well)."""

VENOUS_SHARE, VENOUS_MASK_MM = 0.7, 0.6
"""A vessel of at least this radius in the mask, whose middle has less than this part of the aorta's contrast, is filled by
other blood: a vein.  The middle of an artery as narrow as that keeps 0.75 and more under a blur of 0.85 mm."""

GROWTH = 1.35
"""A vessel that is wider in its last third than in its first by this grows downstream, as veins do."""

WIDER_THAN_PARENT = 1.25
"""A side branch is not wider than the vessel that it leaves; the margin is for the parent's disease."""

LAD_REACH = 0.75
"""The LAD ends near the apex (1) or beyond it; where it ends before this, a diagonal may have been taken for it."""

SMEARED_FWHM_MM = 1.05
"""Edges that are blurred over more than this are smeared by motion, or by a kernel too soft to measure a throat: kernels of the
phantom blur over 0.7 to 1.0 mm, 4 and 6 mm of motion over 1.1 mm."""

INFERIOR_DEG = (-120.0, -50.0)
"""Angles of the inferior groove and its surroundings: the RCA or the LCx leads there in every heart."""


def tree_doubts(vessels: list[Vessel], skeleton: Skeleton, blood_hu: float, axes: HeartAxes) -> list[str]:
    """Return the doubts about the vessels, and about the mask they come from.

    Parameters
    ----------
    vessels, skeleton
        What was traced, and the mask's paths.
    blood_hu
        Attenuation of the aorta.
    axes
        The heart, for where the vessels should lead.
    """
    doubts = _missing(vessels) + _unserved(vessels, axes)
    names = [v.name for v in vessels]
    if skeleton.seeds_joined:
        doubts.append("left and right coronary tree are joined in the lumen mask; a vein or a chamber may lie between them")
    if skeleton.contacts:
        apart = max(length for _, _, length in skeleton.contacts)
        doubts.append(
            f"the lumen mask has a loop: two vessels touch though they are {apart:.0f} mm apart along the tree; "
            "one may be a vein or wrongly connected"
        )
    if skeleton.cut_off:
        doubts.append(f"the lumen mask has more branches than a coronary tree; {skeleton.cut_off} were left out")
    widest = max((float(path.radius_mm.max()) for path in skeleton.paths), default=0.0)
    if widest > WIDEST_MASK_MM:
        doubts.append(f"the lumen mask is up to {2 * widest:.0f} mm wide; it may hold a part of a chamber or the aorta")
    for vessel, name in zip(vessels, names, strict=True):
        doubts.extend(_vessel_doubts(vessel, name, blood_hu))
        if vessel.parent is not None and name not in SHORTEST_MM:
            doubts.extend(_wider_than_parent(vessel, vessels[vessel.parent]))
    return doubts


def smeared_doubts(blur_sd_mm: float) -> list[str]:
    """Return a doubt where the vessels' edges, blurred by a Gaussian of this deviation, hide how narrow a throat is."""
    width_mm = 2.355 * blur_sd_mm
    if width_mm <= SMEARED_FWHM_MM:
        return []
    return [
        f"the vessels' edges are blurred over {width_mm:.2f} mm, wanted {SMEARED_FWHM_MM:g} mm or less; the heart moved, or "
        "the kernel is too soft: narrow places may be narrower than they were measured"
    ]


def _missing(vessels: list[Vessel]) -> list[str]:
    doubts = []
    for name, least in SHORTEST_MM.items():
        lengths = [length_mm(v) for v in vessels if v.name == name]
        if not lengths:
            doubts.append(f"no {name} was found; it may be missing from the lumen mask, occluded or wrongly named")
        elif max(lengths) < least:
            doubts.append(
                f"the {name} ends after {max(lengths):.0f} mm, wanted {least:.0f} mm or more; it may be occluded or cut off"
            )
    return doubts


def _unserved(vessels: list[Vessel], axes: HeartAxes) -> list[str]:
    """Return doubts about walls of the heart that no vessel leads to; none where the heart's position is only typical."""
    if not axes.measured:
        return [
            "the left ventricle was not found; vessels were named after a typical heart's position and may bear wrong names"
        ]
    doubts = []
    reach = max((float(axes.height(v.points_mm).max()) for v in vessels if v.name == "LAD"), default=1.0)
    if reach < LAD_REACH:
        doubts.append(
            f"the LAD ends at {100 * reach:.0f} % of the way to the apex, wanted {100 * LAD_REACH:.0f} %; it may be "
            "occluded or cut off, or a diagonal taken for it"
        )
    if vessels and not any(_leads_below(v, axes) for v in vessels):
        doubts.append("no vessel reaches the lower wall of the heart; the RCA or the LCx may be occluded or cut off")
    return doubts


def _leads_below(vessel: Vessel, axes: HeartAxes) -> bool:
    if not vessel.name.startswith(("RCA", "R-", "LCx", "L-")):
        return False
    angle = axes.angle_deg(vessel.points_mm)
    return bool(((angle > INFERIOR_DEG[0]) & (angle < INFERIOR_DEG[1])).any())


def _wider_than_parent(vessel: Vessel, parent: Vessel) -> list[str]:
    """Return a doubt if a side branch is wider than the vessel that feeds it."""
    point = vessel.parent_point or 0
    above = float(np.quantile(parent.radius_mm[max(0, point - 40) : point + 1], 0.8))  # past a narrowing before the fork
    ratio = float(np.median(vessel.radius_mm)) / above
    if ratio <= WIDER_THAN_PARENT:
        return []
    return [f"{vessel.name} is {ratio:.1f} times as wide as the {parent.name} that it leaves; it may be a vein or a chamber"]


def _vessel_doubts(vessel: Vessel, name: str, blood_hu: float) -> list[str]:
    doubts = []
    own = vessel.radius_mm[vessel.trusted] if vessel.trusted.sum() >= 3 else vessel.radius_mm
    middle = float(np.median(own))
    if not NARROWEST_MM <= middle <= WIDEST_MM:
        doubts.append(f"{name} has a median radius of {middle:.2f} mm, wanted {NARROWEST_MM:g} to {WIDEST_MM:g} mm")
    share = float(np.median(vessel.core_hu)) / blood_hu
    if vessel.mask_radius_mm >= VENOUS_MASK_MM and share < VENOUS_SHARE:
        doubts.append(f"{name} has {100 * share:.0f} % of the contrast expected in an artery; it may be a vein")
    third = len(own) // 3
    if third >= 20:
        growth = float(np.median(own[-third:]) / np.median(own[:third]))
        if growth > GROWTH and float(np.median(own[-third:])) > 0.8:
            doubts.append(f"{name} widens downstream by {100 * (growth - 1):.0f} %; it may be a vein or run into a chamber")
    return doubts
