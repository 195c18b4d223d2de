"""The tissues of the coronary phantom: their Hounsfield units, their labels, and the order in which they are painted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from algorithms.phantom.coronary import paint
from algorithms.phantom.coronary.field import draw_ridges
from algorithms.phantom.coronary.heart import AORTIC_WALL_MM, Distance
from algorithms.phantom.coronary.paint import Grid, Solid
from algorithms.phantom.coronary.person import Person
from algorithms.phantom.coronary.shapes import tube_mm
from algorithms.phantom.coronary.variety import Variety

LABELS = {
    "ascending aorta and root": 1, "LV myocardium": 2, "LV blood": 3, "other blood pool": 4, "coronary lumen": 5,
    "soft plaque": 6, "calcified plaque": 7, "cardiac vein": 8, "other vessel": 9,
}  # fmt: skip
"""Values of ``labels``; 1 to 4 are those of heart.nii.gz."""
DEVICE_LABEL = 10
"""Value of ``labels`` for metal, in the scans that hold any."""
MYOCARDIUM_DENSITY_G_ML = 1.05
"""Density of myocardium (Vinnakota and Bassingthwaighte, Am J Physiol 286:H1742 (2004): 1.053 g/ml)."""
BLOOD = ("aorta", "LV blood", "LA blood", "RV blood", "RA blood", "caval veins", "pulmonary arteries", "pulmonary veins",
         "coronary lumen", "cardiac vein", "mammary artery", "lung artery", "lung vein", "graft")  # fmt: skip
"""The tissues that contrast brightens."""
OESOPHAGUS_HU = {"air": -750.0, "fluid": 15.0}
FIRST_OF_HEART = "pericardium"
"""From this solid on everything that is painted moves with the heart; what comes before belongs to the chest."""
SOLID_STEP_MM = 2.0
"""Spacing of the grid on which tissues are sampled; surfaces with radii over 10 mm are then right to 0.05 mm."""


def tissues_hu(person: Person, variety: Variety) -> dict[str, float]:
    """Return the Hounsfield units of every tissue in the arterial phase."""
    rng = np.random.default_rng([person.seed, 4])
    blood = person.contrast_hu * variety.contrast
    drawn = float(rng.uniform(0.35, 0.6))
    lung = float(rng.uniform(-870, -810))
    lung = lung if variety.lung_hu is None else variety.lung_hu
    right = blood * (drawn if variety.right_contrast is None else variety.right_contrast)
    return {
        "air": -1000.0, "skin": 20.0, "subcutaneous fat": variety.fat_hu - 13.0,
        "muscle": variety.muscle_hu, "cavity": variety.fat_hu - 3.0, "lung": lung,
        "bone": 480.0, "marrow": float(rng.uniform(130, 220)), "cartilage": 110.0, "disc": 85.0, "canal": 25.0,
        "oesophagus": 40.0, "liver": 70.0, "stomach": 45.0, "pericardium": 15.0, "epicardial fat": variety.fat_hu,
        "myocardium": float(rng.uniform(95, 120)), "atrial wall": 80.0, "aortic wall": 50.0, "papillary muscles": 110.0,
        "aorta": blood, "LV blood": blood * 0.98, "LA blood": blood * 0.97, "RV blood": right, "RA blood": right * 0.95,
        "caval veins": right * 1.1, "pulmonary arteries": right * 1.15, "pulmonary veins": blood * 0.99,
        "coronary lumen": blood * 0.98, "vessel wall": 35.0, "soft plaque": float(rng.uniform(30, 80)),
        "calcified plaque": float(rng.uniform(800, 1200)), "cardiac vein": blood * variety.vein_contrast,
        "mammary artery": blood * 0.97, "lung artery": right * 1.15, "lung vein": blood * 0.98,
    } | _extra_hu(variety, blood)  # fmt: skip


def _extra_hu(variety: Variety, blood: float) -> dict[str, float]:
    """Return the Hounsfield units of what plain phantoms do not have."""
    extra = {} if variety.oesophagus == "closed" else {"oesophageal content": OESOPHAGUS_HU[variety.oesophagus]}
    return extra | ({"graft": blood * 0.96} if variety.graft else {})


def without_contrast(hu_of: dict[str, float]) -> dict[str, float]:
    """Return the Hounsfield units before contrast: blood and muscle alike, calcium as it was."""
    plain = {"myocardium": 48.0, "papillary muscles": 48.0, "atrial wall": 45.0, "soft plaque": 42.0}
    return hu_of | plain | dict.fromkeys([name for name in BLOOD if name in hu_of], 42.0)


def solids(person: Person, grid: Grid, variety: Variety) -> list[tuple[Solid, str]]:
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

    def ridged(distance: Distance, share: float) -> Distance:
        """Return blood's ``distance`` with ridges of muscle standing into it, from a fifth of the ventricle's length on."""
        if not variety.trabeculae_mm:
            return distance
        ridges = draw_ridges(np.random.default_rng([person.seed, 11]), heart.apex, (7.0, 12.0))
        base = heart.at(8.0, 0, 0)

        def rough(p: np.ndarray) -> np.ndarray:
            reach = np.clip((p - base.astype(p.dtype)) @ heart.apex.astype(p.dtype) / 15.0, 0, 1)
            narrowed: np.ndarray = distance(p) + np.float32(share * variety.trabeculae_mm) * reach * ridges.height(p)
            return narrowed

        return rough

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
        ("pericardium", "pericardium", 0, shell(heart.pericardium, 0.9)),
        ("epicardial fat", "epicardial fat", 0, heart.pericardium),
        ("pulmonary veins", "pulmonary veins", other, heart.pulmonary_veins),
        ("pulmonary arterial wall", "aortic wall", 0, shell(heart.pulmonary_arteries, 1.2)),
        ("caval veins", "caval veins", other, heart.caval_veins),
        ("left appendage", "LA blood", other, lambda p: np.maximum(heart.left_appendage(p), 2.5 - _arteries_mm(person, p))),
        ("right appendage", "RA blood", other, lambda p: np.maximum(heart.right_appendage(p), 2.5 - _arteries_mm(person, p))),
        ("left atrial wall", "atrial wall", 0, heart.la_outer),
        ("right atrial wall", "atrial wall", 0, heart.ra_outer),
        ("right ventricular wall", "myocardium", 0, heart.rv_outer),
        ("pulmonary arteries", "pulmonary arteries", other, heart.pulmonary_arteries),
        ("RA blood", "RA blood", other, heart.ra_blood),
        ("RV blood", "RV blood", other, ridged(heart.rv_blood, 1.2)),
        ("LA blood", "LA blood", other, heart.la_blood),
        ("LV myocardium", "myocardium", LABELS["LV myocardium"], heart.lv_epicardium),
        ("aortic wall", "aortic wall", 0, shell(heart.ascending_lumen, AORTIC_WALL_MM)),
        ("LV blood", "LV blood", LABELS["LV blood"], ridged(heart.lv_blood, 1.0)),
        ("papillary muscles", "papillary muscles", LABELS["LV blood"], heart.papillary_muscles),
        ("ascending aorta", "aorta", LABELS["ascending aorta and root"], heart.ascending_lumen),
    ]
    if variety.oesophagus != "closed":
        inside = shell(lambda p: chest.oesophagus(p, heart), -3.2)
        after = next(i for i, layer in enumerate(layers) if layer[0] == "oesophagus") + 1
        layers.insert(after, ("oesophageal content", "oesophageal content", 0, inside))
    made = []
    for name, tissue, label, distance in layers:
        part = _reach(distance, points)
        sampled = Solid(
            name, label, low + SOLID_STEP_MM * np.array([p.start for p in part[::-1]]), SOLID_STEP_MM, distance(points[part])
        )
        made.append((paint.tighten(sampled, 1.2), tissue))
    return made


def _arteries_mm(person: Person, points: np.ndarray) -> np.ndarray:
    """Return the distance to the arteries that run beneath the appendages, which the appendages drape around."""
    distance = np.full(points.shape[:-1], np.inf, dtype=points.dtype)
    for vessel in person.vessels:
        if vessel.name in {"LM", "LAD", "LCx", "RI", "RCA"}:
            near = vessel.axis_mm[:160:6]
            distance = np.minimum(distance, tube_mm(points, near, vessel.reference_radius_mm[:160:6]))
    return distance


def _reach(distance: Distance, points: np.ndarray) -> tuple[slice, slice, slice]:
    """Return the block of ``points`` (Z, Y, X, 3) outside which ``distance`` surely exceeds a voxel."""
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
