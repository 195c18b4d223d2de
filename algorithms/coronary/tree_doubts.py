"""What makes a traced tree doubtful.  A case with a doubt is held for review, never answered in silence.

Each doubt is a sentence that says what was found and what to look at.
"""

from __future__ import annotations

import numpy as np

from algorithms.coronary.skeleton import Skeleton
from algorithms.coronary.tracing import Vessel, length_mm

SHORTEST_MM = {"LAD": 60.0, "LCx": 20.0, "RCA": 40.0}
"""A main vessel shorter than this is broken off: a normal LAD is 100-170 mm, an RCA 80-140 mm, a small LCx 30 mm."""

WIDEST_MM, NARROWEST_MM = 3.5, 0.3
"""Median radii beyond these are no coronary artery (Dodge et al., Circulation 86:232 (1992): LM 2.25 +- 0.25 mm)."""

WIDEST_MASK_MM = 4.5
"""A mask this far from its own border on all sides holds a chamber, not a vessel (giant aneurysms are reviewed as well)."""

VENOUS_SHARE = 0.75
"""A wide vessel whose blood has less than this part of the ostium's contrast is filled by other blood: a vein."""

GROWTH = 1.35
"""A vessel that is wider in its last third than in its first by this grows downstream, as veins do."""

CHAMBER_RUN_MM = 4.0


def tree_doubts(vessels: list[Vessel], skeleton: Skeleton, blood_hu: float) -> list[str]:
    """Return the doubts about the vessels, and about the mask they come from."""
    doubts = _missing(vessels)
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
    return doubts


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


def _vessel_doubts(vessel: Vessel, name: str, blood_hu: float) -> list[str]:
    doubts = []
    own = vessel.radius_mm[vessel.trusted] if vessel.trusted.sum() >= 3 else vessel.radius_mm
    middle = float(np.median(own))
    if not NARROWEST_MM <= middle <= WIDEST_MM:
        doubts.append(f"{name} has a median radius of {middle:.2f} mm, wanted {NARROWEST_MM:g} to {WIDEST_MM:g} mm")
    wide = vessel.trusted & (vessel.radius_mm > 0.9)
    if wide.sum() >= 20:
        share = float(np.median(vessel.core_hu[wide])) / blood_hu
        if share < VENOUS_SHARE:
            doubts.append(f"{name} has {100 * share:.0f} % of the contrast expected in an artery; it may be a vein")
    third = len(own) // 3
    if third >= 20:
        growth = float(np.median(own[-third:]) / np.median(own[:third]))
        if growth > GROWTH and float(np.median(own[-third:])) > 0.8:
            doubts.append(f"{name} widens downstream by {100 * (growth - 1):.0f} %; it may be a vein or run into a chamber")
    return doubts
