"""The stage ``centreline``: from a lumen mask to a named tree with radii, reference radii, stenoses and doubts.

::

    mask_repair       holes, crumbs, gaps; where the ostia lie in the mask
    skeleton          loop-free voxel paths from the ostia to the tips
    naming            which of them are LM, LAD, LCx, RCA and their branches (ways, heart_axes)
    tracing           sub-voxel curves and radii from the image (thread, cross_section, lumen_radius, radius_along, sampling)
    belief, veins     branches of the mask that the image does not show, or that are no arteries
    reference_radius  the radius without disease
    stenosis, scct    lesions and segments
    tree_doubts       what a person must look at
    stent, metal      what was put into the arteries or beside them
    occlusion         vessels that are closed, or end as closed ones do

Points are (N, 3) LPS mm.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.coronary.grid import Grid, read_grid
from algorithms.coronary.heart_axes import HeartAxes, heart_axes
from algorithms.coronary.tree import Branch, Stenosis, Tree, write_tree
from algorithms.coronary.vessel.belief import SILENT_SHARE, believed, ended_where_closed, ended_where_they_fade
from algorithms.coronary.vessel.calcium import bloom_hu, calcified
from algorithms.coronary.vessel.junction import joined, rough_course
from algorithms.coronary.vessel.mask_repair import repaired
from algorithms.coronary.vessel.metal import metal_doubts
from algorithms.coronary.vessel.naming import named_again, named_courses
from algorithms.coronary.vessel.occlusion import loose_doubts, with_occlusions
from algorithms.coronary.vessel.reference_radius import reference_radius_mm
from algorithms.coronary.vessel.sampling import Image, box_around, read_where
from algorithms.coronary.vessel.scct import segments
from algorithms.coronary.vessel.skeleton import Skeleton, skeleton_of
from algorithms.coronary.vessel.stenosis import OBSTRUCTIVE, doubt_of, is_certain, stenoses_of
from algorithms.coronary.vessel.stent import sentence as stent_sentence
from algorithms.coronary.vessel.stent import stents
from algorithms.coronary.vessel.tracing import Scene, Vessel, length_mm, traced
from algorithms.coronary.vessel.tree_doubts import smeared_doubts, tree_doubts
from algorithms.coronary.vessel.veins import without_veins
from algorithms.coronary.vessel.ways import Course

log = logging.getLogger(__name__)

MARGIN_MM = 8.0
"""The image is read this far beyond the mask, as far as a section through its rim reaches."""

LEAST_NOISE_HU = 8.0
"""Noise below this is not believed."""


def run(
    inputs: Mapping[str, Path],
    out: Path,
    *,
    stenosis_least: float = 0.25,
    branch_least_mm: float = 5.0,
    gap_widest_mm: float = 6.0,
    ostium_reach_mm: float = 6.0,
    blur_fwhm_mm: float = 0.0,
) -> dict[str, float | int | str]:
    """Read volume, quality, heart, anatomy and lumen; write ``tree.json`` and return what was measured.

    Raises
    ------
    DataError
        If there is no ostium or no lumen at one, so that there is no tree to answer from; or if an artery holds a stent.
    """
    anatomy, quality = (json.loads(Path(inputs[name]).read_text()) for name in ("anatomy", "quality"))
    lumen = read_grid(inputs["lumen"])
    if not lumen.values.any():
        raise DataError(
            "the coronary lumen mask is empty, wanted a left and a right tree; check the contrast and the segment stage"
        )
    ostia = {side: np.asarray(found["point_mm"], dtype=float) for side, found in anatomy["ostia"].items()}
    box = box_around(lumen, MARGIN_MM)
    tree, facts = tree_of(
        box,
        read_where(inputs["volume"], box),
        read_grid(inputs["heart"]),
        ostia,
        blood_hu=float(anatomy["aorta"]["mean_hu"]),
        noise_hu=max(float(quality["noise_hu"]), LEAST_NOISE_HU),
        stenosis_least=stenosis_least,
        branch_least_mm=branch_least_mm,
        gap_widest_mm=gap_widest_mm,
        ostium_reach_mm=ostium_reach_mm,
        blur_fwhm_mm=blur_fwhm_mm,
    )
    write_tree(tree, out / "tree.json")
    return facts


def tree_of(
    lumen: Grid,
    volume_hu: Grid,
    heart: Grid,
    ostia_mm: dict[str, np.ndarray],
    *,
    blood_hu: float,
    noise_hu: float,
    stenosis_least: float,
    branch_least_mm: float,
    gap_widest_mm: float,
    ostium_reach_mm: float,
    blur_fwhm_mm: float,
) -> tuple[Tree, dict[str, float | int | str]]:
    """Return the tree and measurements of it.

    Parameters
    ----------
    lumen, volume_hu
        The mask and Hounsfield units on the same grid.
    heart
        Labels of the heart on any grid.
    ostia_mm
        "left" and "right", those that were found.
    blood_hu, noise_hu
        Mean of the aorta, and standard deviation of the noise between the image's own voxels.
    stenosis_least, branch_least_mm, gap_widest_mm, ostium_reach_mm, blur_fwhm_mm
        As declared in pipeline.py.
    """
    if not ostia_mm:
        raise DataError(
            "no coronary ostium was found, wanted the left and the right one; check that the aortic root is in the scan"
        )
    values = volume_hu.values.astype(np.float32)
    repair = repaired(
        lumen, values, ostia_mm, blood_hu=blood_hu, widest_gap_mm=gap_widest_mm, farthest_ostium_mm=ostium_reach_mm
    )  # fmt: skip
    if not repair.seeds:
        raise DataError(
            f"no lumen within {ostium_reach_mm:g} mm of any of {len(ostia_mm)} ostia, so there is no tree; "
            "check the ostia and the contrast, or raise ostium_reach_mm"
        )
    sides = list(repair.seeds)
    skeleton = skeleton_of(
        repair.mask, np.asarray(lumen.spacing_mm), np.array([repair.seeds[s] for s in sides]), branch_least_mm
    )  # fmt: skip
    if not skeleton.paths:
        raise DataError("the lumen at the ostia is no vessel, wanted one of some mm in length; check the segmentation")
    axes = heart_axes(heart, np.array(list(ostia_mm.values())))
    courses = named_courses(_rough(skeleton, lumen, sides), axes)
    scene, calcium = _scene(
        volume_hu, heart, repair.mask, blood_hu=blood_hu, noise_hu=noise_hu, blur_fwhm_mm=blur_fwhm_mm or TYPICAL_BLUR_FWHM_MM
    )  # fmt: skip
    vessels, scene = traced(courses, scene, volume_hu, calcium, find_blur=blur_fwhm_mm == 0)
    vessels, lost_mm = believed(ended_where_they_fade(without_veins(vessels, scene.blood, scene.blur_sd_mm)))
    vessels, closed = ended_where_closed(named_again(vessels, axes))
    branches = _branches(vessels)
    narrowings = _narrowings(branches, vessels, stenosis_least)
    stenoses = [s for s in narrowings if is_certain(branches[s.branch], s)]
    doubts = [*repair.doubts, *tree_doubts(vessels, skeleton, blood_hu, axes), *smeared_doubts(scene.blur_sd_mm), *closed]
    doubts += [doubt_of(branches[s.branch], s) for s in narrowings if s not in stenoses and s.diameter_stenosis >= OBSTRUCTIVE]
    if lost_mm > SILENT_SHARE * sum(length_mm(v) for v in vessels):
        doubts.append(
            f"{lost_mm:.0f} mm of the lumen mask's branches are no vessel in the image; "
            "it may hold a vein or leak into a chamber"
        )
    tree = _examined(Tree(tuple(branches), tuple(stenoses), tuple(doubts)), scene, volume_hu, axes)
    tree = replace(tree, doubts=(*tree.doubts, *loose_doubts(tree, lumen.with_values(repair.mask))))
    return tree, _facts(tree, vessels, scene, repair.bridges)


def _scene(
    volume_hu: Grid, heart: Grid, mask: np.ndarray, *, blood_hu: float, noise_hu: float, blur_fwhm_mm: float
) -> tuple[Scene, np.ndarray]:
    """Return what sections are read from, and the calcium in it, (Z, Y, X) bool."""
    calcium = calcified(volume_hu, mask, blood_hu, noise_hu)
    blur_sd_mm = blur_fwhm_mm / 2.355
    scene = Scene(
        image=Image.of(volume_hu),
        heart=heart,
        bloom=bloom_hu(volume_hu, calcium, blur_sd_mm),
        blood_hu=blood_hu,
        noise_hu=noise_hu,
        blur_sd_mm=blur_sd_mm,
    )
    return scene, calcium


TYPICAL_BLUR_FWHM_MM = 0.85
"""Full width at half maximum of a cardiac CT's point spread with a medium kernel."""


def _examined(tree: Tree, scene: Scene, volume_hu: Grid, axes: HeartAxes) -> Tree:
    """Return ``tree`` with what is closed said, and metal doubted; a stent refuses the case."""
    found = stents(tree, volume_hu, scene.blood_hu, scene.noise_hu)
    if found:
        raise DataError(stent_sentence(found[0], tree))
    tree = with_occlusions(tree, volume_hu, scene.heart, axes, scene.blood_hu)
    return replace(tree, doubts=(*tree.doubts, *metal_doubts(tree, volume_hu)))


def _rough(skeleton: Skeleton, lumen: Grid, sides: list[str]) -> list[Course]:
    """Return the voxel paths as curves in mm, each child's first point on its parent."""
    courses: list[Course] = []
    for path in skeleton.paths:
        points, radius = rough_course(lumen.points_mm(path.voxels), path.radius_mm)
        parent_point = None
        if path.parent is not None and path.parent_point is not None:
            parent = courses[path.parent]
            before = len(skeleton.paths[path.parent].voxels) - 1
            near = round(path.parent_point / before * (len(parent.points_mm) - 1))
            parent_point, points, radius = joined(parent.points_mm, parent.radius_mm, near, points, radius)
        courses.append(Course(points, radius, path.parent, parent_point, sides[path.seed]))
    return courses


def _branches(vessels: list[Vessel]) -> list[Branch]:
    """Return the vessels with reference radii and SCCT segments."""
    branches: list[Branch] = []
    for i, vessel in enumerate(vessels):
        side = {
            v.name: (v.parent_point or 0, float(np.median(v.radius_mm[:10]))) for v in vessels if v.parent == i
        }  # fmt: skip
        above = 5 if vessel.side == "left" else 1
        if vessel.parent is not None and vessel.parent_point is not None:
            above = int(branches[vessel.parent].segment[vessel.parent_point])
        branches.append(
            Branch(
                vessel.name,
                vessel.parent,
                vessel.parent_point,
                vessel.points_mm,
                vessel.radius_mm,
                reference_radius_mm(vessel.radius_mm, vessel.radius_sd_mm, vessel.trusted),
                vessel.radius_sd_mm,
                segments(vessel.name, vessel.points_mm, side, above),
            )
        )
    return branches


def _narrowings(branches: list[Branch], vessels: list[Vessel], least: float) -> list[Stenosis]:
    """Return the narrowings of all branches, in their order."""
    forks = {(b.parent, b.parent_point) for b in branches}
    found: list[Stenosis] = []
    for i, (branch, vessel) in enumerate(zip(branches, vessels, strict=True)):
        tip = not any(parent == i and (point or 0) >= len(branch.points_mm) - 4 for parent, point in forks)
        found.extend(stenoses_of(branch, i, free=int(np.argmax(vessel.trusted)), tip=tip, least=least))
    return found


def _facts(tree: Tree, vessels: list[Vessel], scene: Scene, bridges: int) -> dict[str, float | int | str]:
    facts: dict[str, Any] = {
        "branches": len(tree.branches),
        "length_mm": round(sum(length_mm(v) for v in vessels), 1),
        "stenoses": len(tree.stenoses),
        "worst_diameter_stenosis": round(max((s.diameter_stenosis for s in tree.stenoses), default=0.0), 3),
        "doubts": len(tree.doubts),
        "bridged_gaps": bridges,
        "coronary_blood_hu": round(min((b.ostium_hu for b in scene.blood.values()), default=scene.blood_hu), 1),
        "blur_fwhm_mm": round(2.355 * scene.blur_sd_mm, 3),
        "names": " ".join(b.name for b in tree.branches),
    }
    log.info(
        "traced %d branches, %.0f mm, %d stenoses, %d doubts",
        facts["branches"],
        facts["length_mm"],
        len(tree.stenoses),
        len(tree.doubts),
    )
    return facts
