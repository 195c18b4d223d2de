"""The person behind a coronary phantom: everything that is drawn from the seed before any voxel is painted.

Points are (N, 3) LPS mm with the centre of the aortic annulus at the origin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from algorithms.phantom.coronary.devices import Device, Graft, breastbone_wires, draw_graft, draw_leads, draw_stent
from algorithms.phantom.coronary.heart import Heart, draw_heart
from algorithms.phantom.coronary.neighbours import SideVessel, cardiac_veins, lung_vessels, mammary_arteries
from algorithms.phantom.coronary.paint import Grid
from algorithms.phantom.coronary.plaque import Calcification, Lesion, calcifications, diseased, draw_lesions, draw_occlusion
from algorithms.phantom.coronary.surface import Surface, survey
from algorithms.phantom.coronary.thorax import Chest, draw_chest
from algorithms.phantom.coronary.tree import Habit, Vessel, coronary_vessels, draw_habit
from algorithms.phantom.coronary.variety import DIFFICULTIES, Variety

SIZES = {"small": 0.8, "medium": 0.5, "full": 0.4}
"""Voxel edge in the slice plane, mm; a full study has 512 x 512 x 250 voxels of 0.39-0.43 x 0.5 mm."""
SLICE_STEP_MM = {"small": 0.8, "medium": 0.5, "full": 0.5}
LENGTH_MM = 125.0
"""What the scan covers along the patient, unless the heart is longer."""
MOST_SLICES = 320


@dataclass(frozen=True, eq=False)
class Person:
    """Everything that is drawn from the seed before any voxel is painted."""

    seed: int
    heart: Heart
    chest: Chest
    habit: Habit
    surface: Surface
    vessels: tuple[Vessel, ...]  # with disease
    lesions: tuple[Lesion, ...]
    nodules: tuple[Calcification, ...]
    side_vessels: tuple[SideVessel, ...]
    field_mm: float  # width of the reconstructed field
    contrast_hu: float  # of blood in the ascending aorta
    devices: tuple[Device, ...] = ()
    graft: Graft | None = None


def draw_person(seed: int, variety: Variety = DIFFICULTIES["easy"]) -> Person:
    """Return the person that ``seed`` (>= 0) stands for, with what ``variety`` says of heart and vessels."""
    heart_rng, tree_rng, plaque_rng, chest_rng = (np.random.default_rng([seed, stream]) for stream in range(4))
    habit = draw_habit(tree_rng)
    if variety.dominance:
        habit = replace(habit, dominance=variety.dominance)
    heart = _sized(draw_heart(heart_rng, habit.female), variety)
    surface = survey(heart)
    healthy = coronary_vessels(surface, habit, tree_rng, variety.ostium)
    lesions = draw_lesions(healthy, plaque_rng)
    if variety.occlusion:
        lesions += draw_occlusion(healthy, lesions, np.random.default_rng([seed, 13]))
    vessels = diseased(healthy, lesions)
    nodules = calcifications(healthy, lesions, plaque_rng)
    chest = draw_chest(heart, chest_rng)
    side = mammary_arteries(chest, chest_rng) + lung_vessels(chest, heart, chest_rng)
    side += cardiac_veins(surface, healthy, chest_rng)
    drawn_mm = float(chest_rng.uniform(200.0, 218.0))
    field_mm = variety.field_mm or drawn_mm
    contrast_hu = float(chest_rng.uniform(380.0, 500.0))
    person = Person(
        seed, heart, chest, habit, surface, tuple(vessels), tuple(lesions), tuple(nodules), tuple(side), field_mm, contrast_hu
    )
    return _treated(person, variety)


def _treated(person: Person, variety: Variety) -> Person:
    """Return ``person`` with the leads, stent and graft that ``variety`` asks for."""
    lead_rng, stent_rng, graft_rng = (np.random.default_rng([person.seed, stream]) for stream in (14, 15, 16))
    devices: list[Device] = []
    if variety.lead:
        devices += draw_leads(person.heart, lead_rng)
    if variety.stent:
        devices.append(draw_stent(person.vessels, stent_rng))
    if not variety.graft:
        return replace(person, devices=tuple(devices))
    graft = draw_graft(person.surface, person.vessels, graft_rng)
    devices.append(breastbone_wires(person.chest))
    sides = (*person.side_vessels, graft.side_vessel)
    return replace(person, devices=tuple(devices), graft=graft, side_vessels=sides)


def _sized(heart: Heart, variety: Variety) -> Heart:
    """Return ``heart`` larger or smaller, with a thicker or thinner ventricular wall."""
    size = variety.heart_scale
    wall_mm = heart.wall_mm * size * variety.wall_scale
    return replace(heart, scale=heart.scale * size, root_scale=heart.root_scale * size, wall_mm=wall_mm)


def ct_grid(person: Person, size: str, variety: Variety = DIFFICULTIES["easy"]) -> Grid:
    """Return the grid of a scan of ``person`` at ``size``: the whole heart, centred in the slice plane."""
    if size not in SIZES:
        raise ValueError(f"size must be one of {', '.join(SIZES)}")
    count = 512 if size == "full" else 2 * round(person.field_mm / SIZES[size] / 2)
    pixel = person.field_mm / count
    lumens = np.concatenate([v.points_mm for v in person.vessels])
    length_mm = max(LENGTH_MM, float(np.ptp(lumens[:, 2])) + 16.0)
    step = SLICE_STEP_MM[size]
    if variety.slice_step_mm is not None:
        step = round(max(variety.slice_step_mm, SIZES[size], length_mm / MOST_SLICES), 3)
    slices = round(length_mm / step)
    middle = person.heart.at(12, 6, -4)
    bottom = float(lumens[:, 2].min()) - 7.0
    origin = (middle[0] - pixel * (count - 1) / 2, middle[1] - pixel * (count - 1) / 2, bottom)
    rounded = tuple(round(float(o), 2) for o in origin)
    return Grid((slices, count, count), (step, round(pixel, 6), round(pixel, 6)), rounded)  # type: ignore[arg-type]
