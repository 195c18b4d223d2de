"""A synthetic coronary CT angiography with everything that is true of it.

``coronary_phantom(seed, size, difficulty)`` draws a person from ``seed`` alone: the same heart, tree and lesions come at
every size and difficulty.  Arrays are (Z, Y, X); points are (N, 3) LPS mm; intensities are Hounsfield units.
"""

from __future__ import annotations

import gzip
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.phantom.coronary import paint
from algorithms.phantom.coronary.neighbours import SideVessel
from algorithms.phantom.coronary.paint import Grid
from algorithms.phantom.coronary.person import Person, ct_grid, draw_person
from algorithms.phantom.coronary.plaque import outer_radius_mm
from algorithms.phantom.coronary.scanner import DIFFICULTIES, Difficulty, add_motion, add_noise, blur
from algorithms.phantom.coronary.tissues import LABELS, lv_mass_g, solids, tissues_hu, without_contrast
from algorithms.phantom.coronary.tree import Vessel
from algorithms.phantom.coronary.truth import facts_document, tree_document

log = logging.getLogger(__name__)

VESSEL_WALL_MM = 0.4
"""Thickness of an artery's healthy wall, at the thin end of what ultrasound shows, because CT sees little of it."""
FAT_SHEATH_MM = 1.6
"""Fat that an artery carries with it where it bulges into the lung."""
MOTION_REACH_MM = 28.0
"""Standard deviation of the region that moves, around the middle of the right coronary artery."""


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
    if seed < 0 or difficulty not in DIFFICULTIES:
        raise ValueError(f"seed must be >= 0 and difficulty one of {', '.join(DIFFICULTIES)}")
    person = draw_person(seed)
    grid = ct_grid(person, size)
    level = DIFFICULTIES[difficulty]
    hu_of = tissues_hu(person, level)
    hu, labels, lumen, mass_g = _painted(person, grid, hu_of)
    volume = _scanned(hu, grid, person, level)
    facts = facts_document(person, grid, hu_of, mass_g) | {"size": size, "difficulty": difficulty, "noise_hu": level.noise_hu}
    log.info("painted phantom of %d x %d x %d voxels with %d lesions", *grid.shape, len(person.lesions))
    return CoronaryPhantom(person, size, difficulty, grid, volume, labels, lumen, tree_document(person), facts)


def calcium_scan(person: Person, difficulty: str) -> tuple[np.ndarray, Grid]:
    """Return the same chest before contrast, in 3 mm slices: int16 (Z, Y, X) and its grid."""
    fine = ct_grid(person, "small")
    slices = int(fine.shape[0] * fine.spacing_mm[0] / 3.0)
    grid = Grid((slices, *fine.shape[1:]), (3.0, *fine.spacing_mm[1:]), fine.origin_mm)
    level = DIFFICULTIES[difficulty]
    hu, _, _, _ = _painted(person, grid, without_contrast(tissues_hu(person, level)))
    return _scanned(hu, grid, person, level), grid


def _painted(person: Person, grid: Grid, hu_of: dict[str, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return intensities, labels and lumen share (Z, Y, X) before the scanner, and the mass of the left ventricle (g)."""
    hu = np.full(grid.shape, hu_of["air"], dtype=np.float32)
    labels = np.zeros(grid.shape, dtype=np.uint8)
    layers = solids(person, grid)
    paint.fill(hu, labels, grid, [(solid, hu_of[tissue]) for solid, tissue in layers])
    for vessel in person.side_vessels:
        _paint_side_vessel(hu, labels, grid, vessel, hu_of[vessel.name])
    lumen = _paint_arteries(hu, labels, grid, person, hu_of)
    return hu, labels, lumen, lv_mass_g(layers)


def _scanned(hu: np.ndarray, grid: Grid, person: Person, level: Difficulty) -> np.ndarray:
    """Return what the scanner makes of ``hu`` (Z, Y, X), which is overwritten: int16 Hounsfield units."""
    if level.motion_mm:
        right = next(v for v in person.vessels if v.name == "RCA")
        middle = right.points_mm[len(right.points_mm) // 2]
        way = np.random.default_rng([person.seed, 5]).normal(0, 1, 3)
        add_motion(hu, grid, middle, MOTION_REACH_MM, 2 * level.motion_mm * way / np.linalg.norm(way))
    blur(hu, grid.spacing_mm)
    add_noise(hu, grid, level.noise_hu, np.random.default_rng([person.seed, 6]))
    np.clip(np.rint(hu, out=hu), -1024, 3071, out=hu)
    return hu.astype(np.int16)


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
    part = grid.around(np.concatenate([v.axis_mm for v in person.vessels]), 5.0)
    block = grid.block(part)
    lumen, outer, wall, calcium, sheath = (np.zeros(block.shape, dtype=np.uint64) for _ in range(5))
    for index, vessel in enumerate(person.vessels):
        plaque_radius = outer_radius_mm(vessel, index, person.lesions)
        _sweep_vessel(lumen, block, vessel, vessel.points_mm, vessel.radius_mm)
        _sweep_vessel(outer, block, vessel, vessel.axis_mm, plaque_radius)
        _sweep_vessel(wall, block, vessel, vessel.axis_mm, plaque_radius + VESSEL_WALL_MM)
        _sweep_vessel(sheath, block, vessel, vessel.axis_mm, plaque_radius + FAT_SHEATH_MM)
    for nodule in person.nodules:
        paint.sweep_tube(calcium, block, nodule.path_mm, nodule.radius_mm)
    # An artery that opens into the aorta has neither wall nor plaque inside the aorta's lumen.
    aorta = labels[part] == LABELS["ascending aorta and root"]
    calcium &= wall & ~lumen
    soft = outer & ~lumen & ~calcium
    rim = wall & ~outer & ~lumen & ~calcium
    for bits in (lumen, calcium, soft, rim):
        bits[aorta] = 0
    here = hu[part]
    # An artery that bulges into the lung takes its fat along; whatever is denser than fat stays.
    np.maximum(here, here + paint.share(sheath) * (np.float32(hu_of["epicardial fat"]) - here), out=here)
    shares = [paint.share(b) for b in (lumen, calcium, soft, rim)]
    mixed = here * (1 - sum(shares))
    for filled, name in zip(shares, ("coronary lumen", "calcified plaque", "soft plaque", "vessel wall"), strict=True):
        mixed += filled * np.float32(hu_of[name])
    hu[part] = mixed
    for filled, name in zip(shares[2::-1], ("soft plaque", "calcified plaque", "coronary lumen"), strict=True):
        labels[part][filled >= 0.5] = LABELS[name]
    fraction = np.zeros(grid.shape, dtype=np.uint8)
    fraction[part] = np.bitwise_count(lumen)
    return fraction


def _sweep_vessel(bits: np.ndarray, grid: Grid, vessel: Vessel, path: np.ndarray, radius: np.ndarray) -> None:
    paint.sweep_tube(bits, grid, path, radius)
    paint.sweep_cap(bits, grid, path[0], float(radius[0]))
    if vessel.name in {"LM", "RCA"}:
        # Forks of two daughters stand at the ends of these; a ball closes the wedge between the three directions.
        paint.sweep_cap(bits, grid, path[-1], float(radius[-1]))


def write_truth(phantom: CoronaryPhantom, folder: Path) -> None:
    """Write ``tree.json``, ``labels.nii.gz``, ``lumen_fraction.nii.gz`` and ``phantom.json`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tree.json").write_text(json.dumps(phantom.tree, separators=(",", ":")) + "\n")
    (folder / "phantom.json").write_text(json.dumps(phantom.facts, indent=1) + "\n")
    for name, values in (("labels", phantom.labels), ("lumen_fraction", phantom.lumen_fraction)):
        _write_nifti(values, phantom.grid, folder / f"{name}.nii.gz")


def _write_nifti(values: np.ndarray, grid: Grid, path: Path) -> None:
    """Write uint8 ``values`` (Z, Y, X) as NIfTI-1 (nifti1.h, 348-byte header); its axes are RAS, so x and y change sign."""
    header = np.zeros(
        1,
        dtype=[("sizeof_hdr", "<i4"), ("unused", "S36"), ("dim", "<i2", 8), ("intent", "<f4", 3), ("intent_code", "<i2"),
               ("datatype", "<i2"), ("bitpix", "<i2"), ("slice_start", "<i2"), ("pixdim", "<f4", 8), ("vox_offset", "<f4"),
               ("scl_slope", "<f4"), ("scl_inter", "<f4"), ("slice_end", "<i2"), ("slice_code", "u1"), ("xyzt_units", "u1"),
               ("cal", "<f4", 4), ("gl", "<i4", 2), ("descrip", "S80"), ("aux_file", "S24"), ("qform_code", "<i2"),
               ("sform_code", "<i2"), ("quatern", "<f4", 3), ("qoffset", "<f4", 3), ("srow", "<f4", (3, 4)),
               ("intent_name", "S16"), ("magic", "S4")],
    )  # fmt: skip
    z, y, x = grid.spacing_mm
    header["sizeof_hdr"], header["magic"], header["vox_offset"], header["scl_slope"] = 348, b"n+1", 352, 1
    header["dim"] = (3, *grid.shape[::-1], 1, 1, 1, 1)
    header["datatype"], header["bitpix"], header["xyzt_units"] = 2, 8, 2
    header["pixdim"] = (1, x, y, z, 0, 0, 0, 0)
    # Half a turn about z takes LPS to RAS: the quaternion (0, 0, 0, 1).
    header["qform_code"], header["sform_code"], header["quatern"] = 1, 1, (0, 0, 1)
    place = np.array([[-x, 0, 0, -grid.origin_mm[0]], [0, -y, 0, -grid.origin_mm[1]], [0, 0, z, grid.origin_mm[2]]])
    header["srow"], header["qoffset"] = place, place[:, 3]
    packed = gzip.compress(header.tobytes() + b"\0" * 4 + np.ascontiguousarray(values, dtype=np.uint8).tobytes(), 1, mtime=0)
    path.write_bytes(packed)
