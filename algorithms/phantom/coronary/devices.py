"""What has been put into a patient before the scan: pacemaker leads, stents, bypass grafts with the wires of the breastbone.

Points are (N, 3) LPS mm; radii are mm; intensities are Hounsfield units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from algorithms.phantom.coronary.heart import Heart
from algorithms.phantom.coronary.neighbours import SideVessel
from algorithms.phantom.coronary.plaque import sideways
from algorithms.phantom.coronary.shapes import resample_path, smooth_path
from algorithms.phantom.coronary.surface import Crowd, Surface
from algorithms.phantom.coronary.thorax import Chest
from algorithms.phantom.coronary.tree import STEP_MM, Vessel

LEAD_HU, COIL_HU, STENT_HU, WIRE_HU = 4500.0, 8000.0, 7000.0, 8000.0
"""Ours: far beyond what twelve bits hold, so that metal blooms and is clipped as in a scan."""
STRUT_MM = 0.12
"""Radius of a stent's struts; those of thin-strut stents are 0.08 to 0.1 mm thick, here rounded up to a sub-voxel."""
STRANDS = 4
"""Struts that wind each way about a stent."""


@dataclass(frozen=True, eq=False)
class Device:
    """A thing of metal: its strands (path (N, 3), radius (N,)) and where it is."""

    kind: str  # lead, coil, stent or wires
    strands: tuple[tuple[np.ndarray, np.ndarray], ...]
    hu: float
    of_heart: bool
    vessel: int | None = None
    """The artery that a stent lies in, from its point ``start`` to ``end``."""
    start: int = 0
    end: int = 0


@dataclass(frozen=True, eq=False)
class Graft:
    """A bypass: a vein from the ascending aorta that ends on artery ``vessel`` at its point ``point``."""

    side_vessel: SideVessel
    vessel: int
    point: int


def draw_leads(heart: Heart, rng: np.random.Generator) -> list[Device]:
    """Return a lead through the upper caval vein and the right atrium to the apex of the right ventricle, perhaps a second.

    The ventricular one carries a defibrillator's coil in one case of three; the second ends in the right appendage.
    """
    centre = heart.at(-33, 37, -28)
    upper = centre + np.array([[10, -4, 120], [10, -4, 90], [9, -4, 55], [4, 0, 22]], dtype=float) * heart.scale
    sway = rng.normal(0, 2.0, 3)
    valve = np.stack([heart.at(-26, 40, -24) + sway, heart.at(-6, 35, -18), heart.at(24, 30, -16), heart.at(66, 27, -6)])
    path = resample_path(smooth_path(np.concatenate([upper, valve]), 1.0), STEP_MM)
    leads = [Device("lead", ((path, np.full(len(path), float(rng.uniform(0.8, 1.1)))),), LEAD_HU, True)]
    if rng.random() < 1 / 3:
        coil = path[-int(60 / STEP_MM) : -int(10 / STEP_MM)]
        leads.append(Device("coil", ((coil, np.full(len(coil), 1.4)),), COIL_HU, True))
    if rng.random() < 0.5:
        tip = heart.root_point(20.0) + np.array([-17.0, -27.0, 4.0]) * heart.scale
        bend = centre + np.array([2.0, -6.0, 6.0]) * heart.scale
        path = resample_path(
            smooth_path(np.concatenate([upper + np.array([2.2, 1.5, 0]), [bend, 0.4 * bend + 0.6 * tip]]), 1.0), STEP_MM
        )
        leads.append(Device("lead", ((path, np.full(len(path), 0.8)),), LEAD_HU, True))
    return leads


def draw_stent(vessels: Sequence[Vessel], rng: np.random.Generator) -> Device:
    """Return a stent of 12 to 28 mm in the first half of a main artery: struts that wind about the vessel both ways."""
    index = int(rng.choice([i for i, v in enumerate(vessels) if v.name in {"LAD", "LCx", "RCA"}]))
    vessel = vessels[index]
    length = int(rng.uniform(12, 28) / STEP_MM)
    start = int(rng.uniform(3, 25) / STEP_MM)
    end = min(start + length, len(vessel.axis_mm) - 2)
    fine = np.linspace(start, end, 4 * (end - start))
    along = np.arange(len(vessel.axis_mm))

    def at(values: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(fine, along, column) for column in values.T], axis=1)

    axis, across, upward = (at(v) for v in (vessel.axis_mm, sideways(vessel, 0.0), sideways(vessel, np.pi / 2)))
    radius = np.interp(fine, along, vessel.reference_radius_mm)[:, None]
    strands = []
    for hand in (-1, 1):
        for strand in range(STRANDS):
            turn = 2 * np.pi * (hand * (fine - start) * STEP_MM / 9.0 + strand / STRANDS)[:, None]
            path = axis + radius * (np.cos(turn) * across + np.sin(turn) * upward)
            strands.append((path, np.full(len(path), STRUT_MM)))
    return Device("stent", tuple(strands), STENT_HU, True, index, start, end)


def draw_graft(surface: Surface, vessels: Sequence[Vessel], rng: np.random.Generator) -> Graft:
    """Return a vein graft of 3.6 to 5 mm from the front of the ascending aorta to the far half of an artery."""
    heart = surface.heart
    names = [i for i, v in enumerate(vessels) if v.name in {"LAD", "RCA", "OM1", "D1"}]
    index = int(rng.choice(names))
    vessel = vessels[index]
    point = int(len(vessel.axis_mm) * rng.uniform(0.5, 0.7))
    target = vessel.axis_mm[point]
    side = -1.0 if vessel.name == "RCA" else 1.0
    way = np.array([0.55 * side, -0.8, 0.1])
    foot = heart.root_point(44.0)
    reach = np.arange(4.0, 40.0, 0.1)
    ray = foot + way / np.linalg.norm(way) * reach[:, None]
    start = ray[int(np.argmax(heart.ascending_lumen(ray) > 0))]
    rough = smooth_path(
        np.stack([start, start + 9.0 * way, 0.5 * (start + target) + np.array([14.0 * side, -14.0, 4.0]), target]), 2.0
    )
    wide = float(rng.uniform(1.8, 2.5))
    crowd = Crowd(
        np.concatenate([v.axis_mm for i, v in enumerate(vessels) if i != index]),
        np.concatenate([v.reference_radius_mm for i, v in enumerate(vessels) if i != index]),
    )
    path = surface.settle(rough, np.full(len(rough), wide + 2.5), crowd, free_mm=24.0)
    path = resample_path(np.concatenate([path, target[None]]), STEP_MM)
    radius = np.interp(np.arange(len(path))[::-1] * STEP_MM, [0.0, 6.0], [0.8, wide])
    return Graft(SideVessel("graft", path, radius), index, point)


def breastbone_wires(chest: Chest) -> Device:
    """Return the steel loops that close a breastbone after surgery, one every 28 mm."""
    turn = np.linspace(0, 2 * np.pi, 40)[:, None]
    middle = np.array([-3.0, chest.front() - 7.0, 0.0])
    loop = middle + np.cos(turn) * np.array([16.5, 0, 0]) + np.sin(turn) * np.array([0, 6.5, 1.5])
    heights = np.arange(-140.0, 100.0, 28.0)
    return Device("wires", tuple((loop + np.array([0, 0, z]), np.full(len(loop), 0.5)) for z in heights), WIRE_HU, False)
