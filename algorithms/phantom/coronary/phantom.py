"""A synthetic coronary CT angiography with everything that is true of it.

``coronary_phantom(seed, size, difficulty)`` draws a person from ``seed``; the plain difficulties share the same heart, tree
and lesions at every size.  Arrays are (Z, Y, X); points are (N, 3) LPS mm; intensities are Hounsfield units.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.phantom.coronary import paint
from algorithms.phantom.coronary.arteries import paint_arteries, paint_device, paint_graft_sheath, paint_side_vessel
from algorithms.phantom.coronary.field import Field, add_field, texture
from algorithms.phantom.coronary.hardening import shadows
from algorithms.phantom.coronary.motion import Slab, as_scanned, draw_motion, draw_slabs, move_heart, shifted
from algorithms.phantom.coronary.paint import Canvas, Grid, Solid, blank
from algorithms.phantom.coronary.person import Person, ct_grid, draw_person
from algorithms.phantom.coronary.scanner import add_motion, add_noise, blur
from algorithms.phantom.coronary.tissues import BLOOD, FIRST_OF_HEART, LABELS, lv_mass_g, solids, tissues_hu, without_contrast
from algorithms.phantom.coronary.truth import facts_document, tree_document, variety_facts, write_nifti
from algorithms.phantom.coronary.variety import DIFFICULTIES, Variety, variety_of

log = logging.getLogger(__name__)

MOTION_REACH_MM = 28.0
"""Standard deviation of the region that moves, around the middle of the right coronary artery."""
HARDENING_MM = (3.0, 1.6)
"""Slice step and pixel of the coarse picture that beam hardening is reckoned on."""
MARGIN_MM = 6.0
"""What is painted around a part of a scan, so that its rim is blurred by what lies beyond."""

Part = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class CoronaryPhantom:
    """One synthetic scan, or a part of one, and its truth."""

    person: Person
    size: str
    difficulty: str
    variety: Variety
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


@dataclass(frozen=True, eq=False)
class Scene:
    """A person on the scanner's table: what is the same for every part of one scan."""

    person: Person
    variety: Variety
    grid: Grid  # of the whole scan
    hu_of: dict[str, float]
    layers: list[tuple[Solid, str]]  # in the order of painting, with the tissue of each
    slabs: list[Slab]  # empty where the heart is scanned in one piece

    @cached_property
    def textures(self) -> tuple[Field, Field, Field]:
        """Return the unevenness of lungs, of fat and muscle, and of blood."""
        rng = np.random.default_rng([self.person.seed, 12])
        return texture(rng, 1.2, 1.3, 0.6), texture(rng, 2.0, 2.4), texture(rng, 5.0, 9.0)

    @cached_property
    def shadows(self) -> Field:
        """Return what beam hardening adds, from a coarse picture of the whole scan."""
        whole = self.grid
        step, pixel = HARDENING_MM
        length = whole.spacing_mm[0] * whole.shape[0]
        count = round(whole.spacing_mm[1] * whole.shape[1] / pixel)
        coarse = Grid((max(round(length / step), 2), count, count), (step, pixel, pixel), whole.origin_mm)
        even = replace(self.variety, lung_texture_hu=0.0, tissue_texture_hu=0.0, mixing=0.0)
        return shadows(_painted(replace(self, slabs=[], variety=even), coarse).hu, coarse, self.variety.hardening)


def coronary_phantom(
    seed: int, size: str = "small", difficulty: str = "easy", variety: Variety | None = None
) -> CoronaryPhantom:
    """Return the scan of the person that ``seed`` stands for.

    Parameters
    ----------
    seed
        Any integer >= 0; it fixes the anatomy, the disease and the contrast.
    size
        ``small`` (0.8 mm, seconds), ``medium`` (0.5 mm) or ``full`` (512 x 512 x 250).
    difficulty
        ``easy`` (12 HU of noise), ``moderate`` (25 HU, less contrast) or ``hard`` (40 HU, motion of the right artery);
        ``wide`` draws everything that varies from the seed; ``variety.CASES`` are the others.
    variety
        Settings instead of those of ``difficulty``, which is then but the study's name.
    """
    scene = _scene(seed, size, difficulty, variety)
    return _scan(scene, size, difficulty, scene.grid, [seed, 6])


def coronary_parts(
    seed: int, size: str, difficulty: str, parts: Sequence[Part], variety: Variety | None = None
) -> list[CoronaryPhantom]:
    """Return ``parts`` of the scan that ``coronary_phantom`` would return, each with a grid, arrays and noise of its own.

    A part costs about what its voxels cost, so training draws one person and paints a few blocks.  ``tree`` and ``facts``
    are those of the whole scan.
    """
    scene = _scene(seed, size, difficulty, variety)
    scans = []
    for part in parts:
        ends = [s.indices(n)[:2] for s, n in zip(part, scene.grid.shape, strict=True)]
        margins = [int(np.ceil(MARGIN_MM / s)) for s in scene.grid.spacing_mm]
        wide = [(max(a - m, 0), min(b + m, n)) for (a, b), m, n in zip(ends, margins, scene.grid.shape, strict=True)]
        block = scene.grid.block(tuple(slice(a, b) for a, b in wide))  # type: ignore[arg-type]
        inner = tuple(slice(a - low, b - low) for (a, b), (low, _) in zip(ends, wide, strict=True))
        noise = [seed, 6, *(a for a, _ in ends)]
        scans.append(_trimmed(_scan(scene, size, difficulty, block, noise), inner))  # type: ignore[arg-type]
    return scans


def calcium_scan(person: Person, variety: Variety) -> tuple[np.ndarray, Grid]:
    """Return the same chest before contrast, in 3 mm slices: int16 (Z, Y, X) and its grid."""
    fine = ct_grid(person, "small")
    slices = int(fine.shape[0] * fine.spacing_mm[0] / 3.0)
    grid = Grid((slices, *fine.shape[1:]), (3.0, *fine.spacing_mm[1:]), fine.origin_mm)
    hu_of = without_contrast(tissues_hu(person, variety))
    plain = replace(variety, fading_hu_per_cm=0.0, hardening=0.0, collateral=1.0)
    scene = Scene(person, plain, grid, hu_of, solids(person, grid, plain), [])
    return _scanned(_painted(scene, grid), scene, [person.seed, 6]), grid


def _scene(seed: int, size: str, difficulty: str, variety: Variety | None) -> Scene:
    if seed < 0:
        raise ValueError("seed must be >= 0")
    variety = variety or variety_of(difficulty, seed)
    person = draw_person(seed, variety)
    grid = ct_grid(person, size, variety)
    slabs = []
    if variety.step_mm or variety.slab_contrast:
        slabs = draw_slabs(seed, grid, variety.slab_mm, variety.step_mm, variety.slab_contrast)
    return Scene(person, variety, grid, tissues_hu(person, variety), solids(person, grid, variety), slabs)


def _scan(scene: Scene, size: str, difficulty: str, grid: Grid, noise: list[int]) -> CoronaryPhantom:
    """Return the scan of ``scene`` on ``grid``, the whole one or a block of it."""
    person, variety = scene.person, scene.variety
    canvas = _painted(scene, grid)
    volume = _scanned(canvas, scene, noise)
    if scene.slabs:
        person = as_scanned(person, scene.grid, scene.slabs)
    facts = facts_document(person, scene.grid, scene.hu_of, lv_mass_g(scene.layers))
    facts |= {"size": size, "difficulty": difficulty, "noise_hu": variety.noise_hu}
    if variety not in DIFFICULTIES.values():
        facts |= variety_facts(person, variety, scene.slabs)
    log.info("painted phantom of %d x %d x %d voxels with %d lesions", *grid.shape, len(person.lesions))
    return CoronaryPhantom(
        person, size, difficulty, variety, grid, volume, canvas.labels, canvas.lumen, tree_document(person), facts
    )


def _trimmed(scan: CoronaryPhantom, inner: Part) -> CoronaryPhantom:
    arrays = {name: getattr(scan, name)[inner].copy() for name in ("volume_hu", "labels", "lumen_fraction")}
    return replace(scan, grid=scan.grid.block(inner), **arrays)


def _painted(scene: Scene, grid: Grid) -> Canvas:
    """Return ``scene`` on ``grid`` as it is before the scanner."""
    canvas = blank(grid, scene.hu_of["air"])
    first = round((grid.origin_mm[2] - scene.grid.origin_mm[2]) / scene.grid.spacing_mm[0])
    for slab in scene.slabs or [Slab(first, first + grid.shape[0], np.zeros(3), 1.0)]:
        start, stop = max(slab.start - first, 0), min(slab.stop - first, grid.shape[0])
        if start < stop:
            _paint_slab(scene, slab, canvas.slices(start, stop))
    return canvas


def _paint_slab(scene: Scene, slab: Slab, canvas: Canvas) -> None:
    """Paint the heart as it lay in ``slab``, and the chest around it."""
    hu_of = scene.hu_of | {name: scene.hu_of[name] * slab.contrast for name in BLOOD if name in scene.hu_of}
    person = scene.person
    layers = [(solid, hu_of[tissue]) for solid, tissue in scene.layers]
    if slab.shift_mm.any():
        person = shifted(person, slab.shift_mm)
        moving = [solid.name for solid, _ in layers].index(FIRST_OF_HEART)
        layers[moving:] = [(replace(s, origin_mm=s.origin_mm + slab.shift_mm), value) for s, value in layers[moving:]]
    paint.fill(canvas.hu, canvas.labels, canvas.grid, layers)
    _lay_textures(scene, canvas)
    for vessel in person.side_vessels:
        if vessel.name == "graft":
            paint_graft_sheath(canvas, vessel, hu_of["epicardial fat"])
        paint_side_vessel(canvas, vessel, hu_of[vessel.name])
    paint_arteries(canvas, person, hu_of, scene.variety)
    for device in person.devices:
        paint_device(canvas, device)


def _lay_textures(scene: Scene, canvas: Canvas) -> None:
    """Make lung, fat, muscle and blood uneven."""
    variety, blood = scene.variety, scene.hu_of["aorta"]
    if not (variety.lung_texture_hu or variety.tissue_texture_hu or variety.mixing):
        return
    lung, tissue, stream = scene.textures
    if variety.lung_texture_hu:
        add_field(canvas, lung, {0: variety.lung_texture_hu}, (-960.0, -600.0))
        add_field(canvas, stream, {0: 0.4 * variety.lung_texture_hu}, (-960.0, -600.0))
    if variety.tissue_texture_hu:
        muscle = LABELS["LV myocardium"]
        add_field(canvas, tissue, {0: variety.tissue_texture_hu, muscle: variety.tissue_texture_hu}, (-160.0, 150.0))
    if variety.mixing:
        uneven = {"other blood pool": 1.0, "LV blood": 0.33, "ascending aorta and root": 0.1}
        amplitude = {LABELS[name]: share * variety.mixing * blood for name, share in uneven.items()}
        add_field(canvas, stream, amplitude, (140.0, 4000.0))


def _scanned(canvas: Canvas, scene: Scene, noise: list[int]) -> np.ndarray:
    """Return what the scanner makes of ``canvas``, which is overwritten: int16 Hounsfield units (Z, Y, X)."""
    grid, hu = canvas.grid, canvas.hu
    person, variety = scene.person, scene.variety
    if variety.smear_mm:
        right = next(v for v in person.vessels if v.name == "RCA")
        middle = right.points_mm[len(right.points_mm) // 2]
        way = np.random.default_rng([person.seed, 5]).normal(0, 1, 3)
        add_motion(hu, grid, middle, MOTION_REACH_MM, 2 * variety.smear_mm * way / np.linalg.norm(way))
    if variety.motion_mm:
        move_heart(canvas, draw_motion(person.seed, person.vessels, variety.motion_mm))
    if variety.hardening:
        add_field(canvas, scene.shadows, dict.fromkeys(range(256), 1.0))
    blur(hu, grid.spacing_mm, variety)
    add_noise(hu, grid, variety, np.random.default_rng(noise))
    np.clip(np.rint(hu, out=hu), -1024, 3071, out=hu)
    return hu.astype(np.int16)


def write_truth(phantom: CoronaryPhantom, folder: Path) -> None:
    """Write ``tree.json``, ``labels.nii.gz``, ``lumen_fraction.nii.gz`` and ``phantom.json`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tree.json").write_text(json.dumps(phantom.tree, separators=(",", ":")) + "\n")
    (folder / "phantom.json").write_text(json.dumps(phantom.facts, indent=1) + "\n")
    for name, values in (("labels", phantom.labels), ("lumen_fraction", phantom.lumen_fraction)):
        write_nifti(values, phantom.grid, folder / f"{name}.nii.gz")
