"""A synthetic coronary CT angiography with everything that is true of it.

``coronary_phantom(seed, size, difficulty)`` draws a person from ``seed`` alone: the same heart, tree and lesions come at
every size and difficulty.  Arrays are (Z, Y, X); points are (N, 3) LPS mm; intensities are Hounsfield units.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.phantom import coronary_paint as paint
from algorithms.phantom.coronary_heart import AORTIC_WALL_MM, Distance, Heart, draw_heart
from algorithms.phantom.coronary_neighbours import SideVessel, cardiac_veins, lung_vessels, mammary_arteries
from algorithms.phantom.coronary_paint import Grid, Solid
from algorithms.phantom.coronary_plaque import Calcification, Lesion, calcifications, diseased, draw_lesions, outer_radius_mm
from algorithms.phantom.coronary_scanner import DIFFICULTIES, Difficulty, add_motion, add_noise, blur
from algorithms.phantom.coronary_surface import Surface, survey
from algorithms.phantom.coronary_thorax import Chest, draw_chest
from algorithms.phantom.coronary_tree import Habit, Vessel, coronary_vessels, draw_habit

log = logging.getLogger(__name__)

SIZES = {"small": 0.8, "medium": 0.5, "full": 0.4}
"""Voxel edge in the slice plane, mm; a full study has 512 x 512 x 250 voxels of 0.39-0.43 x 0.5 mm."""
SLICE_STEP_MM = {"small": 0.8, "medium": 0.5, "full": 0.5}
LENGTH_MM = 125.0
"""What the scan covers along the patient."""
LABELS = {
    "ascending aorta and root": 1, "LV myocardium": 2, "LV blood": 3, "other blood pool": 4, "coronary lumen": 5,
    "soft plaque": 6, "calcified plaque": 7, "cardiac vein": 8, "other vessel": 9,
}  # fmt: skip
"""Values of ``labels``; 1 to 4 are those of heart.nii.gz."""
MYOCARDIUM_DENSITY_G_ML = 1.05
"""Density of myocardium (Vinnakota and Bassingthwaighte, Am J Physiol 286:H1742 (2004): 1.053 g/ml)."""
VESSEL_WALL_MM = 0.4
SOLID_STEP_MM = 2.0


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


@dataclass(frozen=True, eq=False)
class CoronaryPhantom:
    """One synthetic scan and its truth."""

    person: Person
    size: str
    difficulty: str
    grid: Grid
    volume_hu: np.ndarray  # (Z, Y, X) int16
    labels: np.ndarray  # (Z, Y, X) uint8, values of LABELS
    lumen_fraction: np.ndarray  # (Z, Y, X) uint8, 64ths of the voxel that are coronary lumen
    tree: dict[str, Any]  # the document of tree.json
    facts: dict[str, Any]  # the document of phantom.json

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Return the voxel size along (z, y, x) in mm."""
        return self.grid.spacing_mm

    @property
    def origin_mm(self) -> tuple[float, float, float]:
        """Return the centre of voxel (0, 0, 0) as LPS (x, y, z) mm."""
        return self.grid.origin_mm


def draw_person(seed: int) -> Person:
    """Return the person that ``seed`` (>= 0) stands for."""
    heart_rng, tree_rng, plaque_rng, chest_rng = (np.random.default_rng([seed, stream]) for stream in range(4))
    heart = draw_heart(heart_rng)
    surface = survey(heart)
    habit = draw_habit(tree_rng)
    healthy = coronary_vessels(surface, habit, tree_rng)
    lesions = draw_lesions(healthy, plaque_rng)
    vessels = diseased(healthy, lesions)
    nodules = calcifications(healthy, lesions, plaque_rng)
    chest = draw_chest(heart, chest_rng)
    side = mammary_arteries(chest, chest_rng) + lung_vessels(chest, heart, chest_rng)
    side += cardiac_veins(surface, healthy, chest_rng)
    field_mm = float(chest_rng.uniform(200.0, 218.0))
    contrast_hu = float(chest_rng.uniform(380.0, 500.0))
    return Person(
        seed, heart, chest, habit, surface, tuple(vessels), tuple(lesions), tuple(nodules), tuple(side), field_mm, contrast_hu
    )


def ct_grid(person: Person, size: str) -> Grid:
    """Return the grid of a scan of ``person`` at ``size``: the whole heart, centred in the slice plane."""
    if size not in SIZES:
        raise ValueError(f"size must be one of {', '.join(SIZES)}")
    count = 512 if size == "full" else 2 * round(person.field_mm / SIZES[size] / 2)
    pixel = person.field_mm / count
    step = SLICE_STEP_MM[size]
    slices = round(LENGTH_MM / step)
    lumens = np.concatenate([v.points_mm for v in person.vessels])
    middle = person.heart.at(12, 6, -4)
    bottom = float(lumens[:, 2].min()) - 7.0
    origin = (middle[0] - pixel * (count - 1) / 2, middle[1] - pixel * (count - 1) / 2, bottom)
    rounded = tuple(round(float(o), 2) for o in origin)
    return Grid((slices, count, count), (step, round(pixel, 6), round(pixel, 6)), rounded)  # type: ignore[arg-type]


def tissues_hu(person: Person, difficulty: Difficulty) -> dict[str, float]:
    """Return the Hounsfield units of every tissue in the arterial phase."""
    rng = np.random.default_rng([person.seed, 4])
    blood = person.contrast_hu * difficulty.contrast
    right = blood * float(rng.uniform(0.35, 0.6))
    return {
        "air": -1000.0, "skin": 20.0, "subcutaneous fat": -105.0, "muscle": 55.0, "cavity": -95.0,
        "lung": float(rng.uniform(-870, -810)),
        "bone": 480.0, "marrow": float(rng.uniform(130, 220)), "cartilage": 110.0, "disc": 85.0, "canal": 25.0,
        "oesophagus": 40.0, "liver": 70.0, "stomach": 45.0, "pericardium": 15.0, "epicardial fat": -92.0,
        "myocardium": float(rng.uniform(95, 120)), "atrial wall": 80.0, "aortic wall": 50.0, "papillary muscles": 110.0,
        "aorta": blood, "LV blood": blood * 0.98, "LA blood": blood * 0.97, "RV blood": right, "RA blood": right * 0.95,
        "caval veins": right * 1.1, "pulmonary arteries": right * 1.15, "pulmonary veins": blood * 0.99,
        "coronary lumen": blood * 0.98, "vessel wall": 35.0, "soft plaque": float(rng.uniform(30, 80)),
        "calcified plaque": float(rng.uniform(800, 1200)), "cardiac vein": blood * difficulty.vein_contrast,
        "mammary artery": blood * 0.97, "lung artery": right * 1.15, "lung vein": blood * 0.98,
    }  # fmt: skip


def solids(person: Person, grid: Grid) -> list[tuple[Solid, str]]:
    """Return the tissues in the order in which they are painted, each with the name of its Hounsfield units."""
    heart, chest = person.heart, person.chest
    low = np.floor((np.array(grid.origin_mm) - 3.0) / SOLID_STEP_MM) * SOLID_STEP_MM
    size = np.array(grid.shape[::-1]) * np.array(grid.spacing_mm[::-1])
    counts = np.ceil((np.array(grid.origin_mm) + size + 3.0 - low) / SOLID_STEP_MM).astype(int) + 1
    x, y, z = (low[i] + SOLID_STEP_MM * np.arange(counts[i]) for i in range(3))
    points = np.stack(np.broadcast_arrays(x, y[:, None], z[:, None, None]), axis=-1).astype(np.float32)
    other, vessel = LABELS["other blood pool"], LABELS["other vessel"]

    def shell(distance: Distance, thickness_mm: float) -> Distance:
        return lambda p: distance(p) - thickness_mm

    layers: list[tuple[str, str, int, Distance]] = [
        ("skin", "skin", 0, chest.skin),
        ("subcutaneous fat", "subcutaneous fat", 0, shell(chest.skin, -2.0)),
        ("muscle", "muscle", 0, chest.muscle),
        ("cavity", "cavity", 0, chest.cavity),
        ("lungs", "lung", 0, lambda p: chest.lungs(p, heart.pericardium(p))),
        ("liver", "liver", 0, lambda p: np.maximum(chest.liver(p), chest.cavity(p))),
        ("stomach", "stomach", 0, lambda p: np.maximum(chest.stomach(p), chest.cavity(p))),
        ("back muscles", "muscle", 0, chest.back_muscles),
        ("ribs", "bone", 0, chest.ribs),
        ("rib marrow", "marrow", 0, shell(chest.ribs, -1.6)),
        ("cartilage", "cartilage", 0, chest.cartilage),
        ("sternum", "bone", 0, chest.sternum),
        ("sternal marrow", "marrow", 0, shell(chest.sternum, -1.5)),
        ("arches", "bone", 0, chest.arches),
        ("vertebrae", "bone", 0, chest.vertebrae),
        ("vertebral marrow", "marrow", 0, shell(chest.vertebrae, -1.5)),
        ("discs", "disc", 0, chest.discs),
        ("canal", "canal", 0, chest.canal),
        ("oesophagus", "oesophagus", 0, lambda p: chest.oesophagus(p, heart)),
        ("descending aortic wall", "aortic wall", 0, shell(heart.descending_lumen, AORTIC_WALL_MM)),
        ("descending aorta", "aorta", vessel, heart.descending_lumen),
        ("pericardium", "pericardium", 0, shell(heart.pericardium, 1.2)),
        ("epicardial fat", "epicardial fat", 0, heart.pericardium),
        ("pulmonary veins", "pulmonary veins", other, heart.pulmonary_veins),
        ("pulmonary arterial wall", "aortic wall", 0, shell(heart.pulmonary_arteries, 1.2)),
        ("caval veins", "caval veins", other, heart.caval_veins),
        ("left appendage", "LA blood", other, heart.left_appendage),
        ("right appendage", "RA blood", other, heart.right_appendage),
        ("left atrial wall", "atrial wall", 0, heart.la_outer),
        ("right atrial wall", "atrial wall", 0, heart.ra_outer),
        ("right ventricular wall", "myocardium", 0, heart.rv_outer),
        ("pulmonary arteries", "pulmonary arteries", other, heart.pulmonary_arteries),
        ("RA blood", "RA blood", other, heart.ra_blood),
        ("RV blood", "RV blood", other, heart.rv_blood),
        ("LA blood", "LA blood", other, heart.la_blood),
        ("LV myocardium", "myocardium", LABELS["LV myocardium"], heart.lv_epicardium),
        ("aortic wall", "aortic wall", 0, shell(heart.ascending_lumen, AORTIC_WALL_MM)),
        ("LV blood", "LV blood", LABELS["LV blood"], heart.lv_blood),
        ("papillary muscles", "papillary muscles", LABELS["LV blood"], heart.papillary_muscles),
        ("ascending aorta", "aorta", LABELS["ascending aorta and root"], heart.ascending_lumen),
    ]
    made = []
    for name, tissue, label, distance in layers:
        part = _reach(distance, points)
        sampled = Solid(name, label, low + SOLID_STEP_MM * np.array([p.start for p in part[::-1]]), SOLID_STEP_MM, distance(points[part]))
        made.append((paint.tighten(sampled, 1.2), tissue))
    return made


def _reach(distance: Distance, points: np.ndarray) -> tuple[slice, slice, slice]:
    """Return the block of ``points`` (Z, Y, X, 3) outside which ``distance`` is surely more than a voxel: a look at every 4th."""
    stride = 4
    sparse = distance(points[::stride, ::stride, ::stride])
    near = np.argwhere(sparse < 1.5 * stride * SOLID_STEP_MM)
    if len(near) == 0:
        return slice(0, 2), slice(0, 2), slice(0, 2)
    low = np.maximum((near.min(axis=0) - 1) * stride, 0)
    high = np.minimum((near.max(axis=0) + 2) * stride, points.shape[:3])
    return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])


def lv_mass_g(layers: Sequence[tuple[Solid, str]]) -> float:
    """Return the mass of the left-ventricular myocardium that is left after everything else is painted over it."""
    wall = next(solid for solid, _ in layers if solid.name == "LV myocardium")
    after = False
    part = np.clip(0.5 - wall.distance_mm / wall.step_mm, 0, 1)
    for solid, _ in layers:
        if after:
            offset = np.round((solid.origin_mm - wall.origin_mm) / wall.step_mm).astype(int)[::-1]
            low = np.maximum(offset, 0)
            high = np.minimum(offset + solid.distance_mm.shape, part.shape)
            if (high > low).all():
                here = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
                there = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, offset, strict=True))
                part[here] *= 1 - np.clip(0.5 - solid.distance_mm[there] / wall.step_mm, 0, 1)
        after |= solid is wall
    return float(part.sum(dtype=float) * wall.step_mm**3 / 1000.0 * MYOCARDIUM_DENSITY_G_ML)


def coronary_phantom(seed: int, size: str = "small", difficulty: str = "easy") -> CoronaryPhantom:
    """Return the scan of the person that ``seed`` stands for.

    Parameters
    ----------
    seed
        Any integer >= 0; it fixes the anatomy, the disease and the contrast.
    size
        ``small`` (0.8 mm, seconds), ``medium`` (0.5 mm) or ``full`` (512 x 512 x 250).
    difficulty
        ``easy`` (12 HU of noise), ``moderate`` (25 HU, less contrast) or ``hard`` (40 HU, motion of the right artery).
    """
    person = draw_person(seed)
    grid = ct_grid(person, size)
    level = DIFFICULTIES[difficulty]
    hu_of = tissues_hu(person, level)
    hu = np.full(grid.shape, hu_of["air"], dtype=np.float32)
    labels = np.zeros(grid.shape, dtype=np.uint8)
    layers = solids(person, grid)
    paint.fill(hu, labels, grid, [(solid, hu_of[tissue]) for solid, tissue in layers])
    for vessel in person.side_vessels:
        _paint_side_vessel(hu, labels, grid, vessel, hu_of[vessel.name])
    lumen = _paint_arteries(hu, labels, grid, person, hu_of)
    if level.motion_mm:
        right = next(v for v in person.vessels if v.name == "RCA")
        middle = right.points_mm[len(right.points_mm) // 2]
        way = np.random.default_rng([seed, 5]).normal(0, 1, 3)
        add_motion(hu, grid, middle, 28.0, 2 * level.motion_mm * way / np.linalg.norm(way))
    blur(hu, grid.spacing_mm)
    add_noise(hu, grid, level.noise_hu, np.random.default_rng([seed, 6]))
    np.clip(np.rint(hu, out=hu), -1024, 3071, out=hu)
    tree = tree_document(person)
    facts = _facts(person, grid, size, difficulty, hu_of, lv_mass_g(layers))
    log.info("painted phantom of %d x %d x %d voxels with %d lesions", *grid.shape, len(person.lesions))
    return CoronaryPhantom(person, size, difficulty, grid, hu.astype(np.int16), labels, lumen, tree, facts)


def _paint_side_vessel(hu: np.ndarray, labels: np.ndarray, grid: Grid, vessel: SideVessel, value: float) -> None:
    part = grid.around(vessel.path_mm, float(vessel.radius_mm.max()) + 1.0)
    if any(s.stop <= s.start for s in part):
        return
    bits = np.zeros([s.stop - s.start for s in part], dtype=np.uint64)
    paint.sweep_tube(bits, grid.block(part), vessel.path_mm, vessel.radius_mm)
    filled = paint.share(bits)
    hu[part] += filled * (np.float32(value) - hu[part])
    label = LABELS["cardiac vein" if vessel.name == "cardiac vein" else "other vessel"]
    labels[part][filled >= 0.5] = label


def _paint_arteries(hu: np.ndarray, labels: np.ndarray, grid: Grid, person: Person, hu_of: dict[str, float]) -> np.ndarray:
    """Paint wall, plaque, calcium and lumen of all arteries, and return the lumen's share of every voxel in 64ths."""
    vessels, lesions = list(person.vessels), list(person.lesions)
    part = grid.around(np.concatenate([v.axis_mm for v in vessels]), 5.0)
    block = grid.block(part)
    lumen, outer, wall, calcium = (np.zeros(block.shape, dtype=np.uint64) for _ in range(4))
    for index, vessel in enumerate(vessels):
        plaque_radius = outer_radius_mm(vessel, index, lesions)
        _sweep_vessel(lumen, block, vessel, vessel.points_mm, vessel.radius_mm)
        _sweep_vessel(outer, block, vessel, vessel.axis_mm, plaque_radius)
        _sweep_vessel(wall, block, vessel, vessel.axis_mm, plaque_radius + VESSEL_WALL_MM)
    for nodule in person.nodules:
        paint.sweep_tube(calcium, block, nodule.path_mm, nodule.radius_mm)
    # An artery that opens into the aorta has no wall or plaque inside the aorta's lumen.
    aorta = labels[part] == LABELS["ascending aorta and root"]
    calcium &= wall & ~lumen
    soft = outer & ~lumen & ~calcium
    rim = wall & ~outer & ~lumen & ~calcium
    for bits in (calcium, soft, rim):
        bits[aorta] = 0
    shares = [paint.share(b) for b in (lumen, calcium, soft, rim)]
    values = [hu_of[n] for n in ("coronary lumen", "calcified plaque", "soft plaque", "vessel wall")]
    here = hu[part]
    mixed = here * (1 - sum(shares))
    for filled, value in zip(shares, values, strict=True):
        mixed += filled * np.float32(value)
    hu[part] = mixed
    marks = labels[part]
    for filled, name in zip(shares[2::-1], ("soft plaque", "calcified plaque", "coronary lumen"), strict=True):
        marks[(filled >= 0.5) & ~aorta] = LABELS[name]
    fraction = np.zeros(grid.shape, dtype=np.uint8)
    fraction[part] = np.bitwise_count(lumen)
    return fraction


def _sweep_vessel(bits: np.ndarray, grid: Grid, vessel: Vessel, path: np.ndarray, radius: np.ndarray) -> None:
    paint.sweep_tube(bits, grid, path, radius)
    paint.sweep_cap(bits, grid, path[0], float(radius[0]))
    if vessel.name in {"LM", "RCA"}:
        # Forks of two daughters stand at the ends of these; a ball closes the wedge between the three directions.
        paint.sweep_cap(bits, grid, path[-1], float(radius[-1]))


def tree_document(person: Person) -> dict[str, Any]:
    """Return the true tree in the format of tree.json (docs/coronary.md)."""
    branches = []
    for vessel in person.vessels:
        points = vessel.points_mm.copy()
        if vessel.parent is not None and vessel.parent_point is not None:
            points[0] = person.vessels[vessel.parent].points_mm[vessel.parent_point]
        branches.append(
            {
                "name": vessel.name,
                "parent": vessel.parent,
                "parent_point": vessel.parent_point,
                "segment": [int(s) for s in vessel.segment],
                "points_mm": np.round(points, 4).tolist(),
                "radius_mm": np.round(vessel.radius_mm, 4).tolist(),
                "reference_radius_mm": np.round(vessel.reference_radius_mm, 4).tolist(),
                "radius_sd_mm": [0.0] * len(points),
            }
        )
    stenoses = [_stenosis(person.vessels[lesion.vessel], lesion) for lesion in person.lesions]
    return {"coordinate_system": "LPS mm", "branches": branches, "stenoses": stenoses, "doubts": []}


def _stenosis(vessel: Vessel, lesion: Lesion) -> dict[str, Any]:
    open_mm, reference_mm = 2 * vessel.radius_mm[lesion.throat], 2 * vessel.reference_radius_mm[lesion.throat]
    return {
        "branch": lesion.vessel,
        "start": lesion.start,
        "throat": lesion.throat,
        "end": lesion.end,
        "diameter_stenosis": round(float(1 - open_mm / reference_mm), 4),
        "area_stenosis": round(float(1 - (open_mm / reference_mm) ** 2), 4),
        "minimal_lumen_diameter_mm": round(float(open_mm), 4),
        "reference_diameter_mm": round(float(reference_mm), 4),
        "length_mm": round(lesion.length_mm, 4),
        "segment": int(vessel.segment[lesion.throat]),
    }


def _facts(person: Person, grid: Grid, size: str, difficulty: str, hu_of: dict[str, float], mass_g: float) -> dict[str, Any]:
    roots = {"left": person.vessels[0], "right": next(v for v in person.vessels if v.name == "RCA")}
    return {
        "seed": person.seed,
        "size": size,
        "difficulty": difficulty,
        "spacing_mm": list(grid.spacing_mm),
        "shape": list(grid.shape),
        "origin_mm": list(grid.origin_mm),
        "lv_mass_g": round(mass_g, 3),
        "ostia": {side: [round(float(c), 4) for c in vessel.points_mm[0]] for side, vessel in roots.items()},
        "aortic_annulus_mm": [0.0, 0.0, 0.0],
        "habit": asdict(person.habit),
        "lesions": [asdict(lesion) | {"vessel": person.vessels[lesion.vessel].name} for lesion in person.lesions],
        "tissue_hu": {name: round(value, 2) for name, value in hu_of.items()},
        "noise_hu": DIFFICULTIES[difficulty].noise_hu,
        "labels": LABELS,
    }


def write_truth(phantom: CoronaryPhantom, folder: Path) -> None:
    """Write ``tree.json``, ``labels.nii.gz``, ``lumen_fraction.nii.gz`` and ``phantom.json`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tree.json").write_text(json.dumps(phantom.tree, separators=(",", ":")) + "\n")
    (folder / "phantom.json").write_text(json.dumps(phantom.facts, indent=1) + "\n")
    for name, values in (("labels", phantom.labels), ("lumen_fraction", phantom.lumen_fraction)):
        _write_nifti(values, phantom.grid, folder / f"{name}.nii.gz")


def _write_nifti(values: np.ndarray, grid: Grid, path: Path) -> None:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(values)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_mm)
    SimpleITK.WriteImage(image, str(path), useCompression=True)
