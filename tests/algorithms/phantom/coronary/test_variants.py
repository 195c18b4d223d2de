"""Occlusions, anomalous ostia, stents, leads and grafts: they are where the truth says, and the truth says them."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from algorithms.phantom.coronary.arteries import paint_arteries, paint_device
from algorithms.phantom.coronary.paint import Canvas, blank
from algorithms.phantom.coronary.person import Person, ct_grid, draw_person
from algorithms.phantom.coronary.tissues import DEVICE_LABEL, LABELS, tissues_hu
from algorithms.phantom.coronary.tree import Vessel
from algorithms.phantom.coronary.truth import tree_document, variety_facts
from algorithms.phantom.coronary.variety import Variety


@functools.cache
def person(seed: int, variety: Variety) -> Person:
    return draw_person(seed, variety)


def named(one: Person, name: str) -> Vessel:
    return next(v for v in one.vessels if v.name == name)


def painted(one: Person, points: np.ndarray, variety: Variety) -> Canvas:
    """Return the arteries and devices of ``one`` on voxels of half a mm around ``points``, in fat and before the scanner."""
    whole = ct_grid(one, "medium", variety)
    canvas = blank(whole.block(whole.around(points, 5.0)), -92.0)
    paint_arteries(canvas, one, tissues_hu(one, variety), variety)
    for device in one.devices:
        paint_device(canvas, device)
    return canvas


def voxels(canvas: Canvas, points: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the index of the voxel of each of ``points``."""
    return tuple(np.rint(canvas.grid.index_zyx(points)).astype(int).T)


OCCLUDED = Variety(occlusion=True, collateral=0.6)


@pytest.mark.parametrize("seed", [1, 2])
def test_an_occlusion_is_in_the_tree_as_such(seed):
    """The tree has one stenosis of 100 %, radius 0 over 5 mm or more of it, and an open artery before and behind it."""
    one = person(seed, OCCLUDED)
    (lesion,) = (lesion for lesion in one.lesions if lesion.severity == 1)
    vessel = one.vessels[lesion.vessel]
    closed = vessel.radius_mm < 1e-3

    assert vessel.name in {"LAD", "LCx", "RCA"}
    assert 5.0 < closed.sum() * 0.5 < lesion.length_mm
    assert closed[lesion.start : lesion.end].sum() == closed.sum()
    assert vessel.radius_mm[lesion.start] > 0
    assert vessel.radius_mm[-1] > 0
    assert (vessel.reference_radius_mm > 0).all()


def test_an_occluded_artery_shows_no_lumen_where_it_is_closed_and_less_contrast_beyond():
    """No voxel of the closed part holds lumen but plaque; beyond it contrast is 0.6 of that before, and the truth says all."""
    one = person(2, OCCLUDED)
    (lesion,) = (lesion for lesion in one.lesions if lesion.severity == 1)
    vessel = one.vessels[lesion.vessel]
    middle = slice((lesion.start + lesion.throat) // 2, (lesion.throat + lesion.end) // 2)
    canvas = painted(one, vessel.axis_mm[: lesion.end + 30], OCCLUDED)
    closed = voxels(canvas, vessel.axis_mm[middle])
    before, beyond = (voxels(canvas, vessel.axis_mm[part]) for part in (slice(4, 24), slice(lesion.end + 4, lesion.end + 24)))
    stenosis = tree_document(one)["stenoses"][-1]

    assert (canvas.lumen[closed] == 0).all()
    assert np.isin(canvas.labels[closed], [LABELS["soft plaque"], LABELS["calcified plaque"]]).mean() > 0.9
    assert np.median(canvas.hu[beyond]) / np.median(canvas.hu[before]) == pytest.approx(0.6, abs=0.01)
    assert variety_facts(one, OCCLUDED, [])["occlusions"] == [vessel.name]
    assert (stenosis["diameter_stenosis"], stenosis["minimal_lumen_diameter_mm"]) == (1.0, 0.0)


@pytest.mark.parametrize("seed", [1, 4])
@pytest.mark.parametrize("ostium", ["high", "left"])
def test_an_anomalous_ostium_is_on_the_aorta_where_it_is_said_to_be(seed, ostium):
    """It lies on the lumen's wall: above the sinotubular junction (20 mm), or nearer to the left sinus than to the right."""
    one = person(seed, Variety(ostium=ostium))
    artery = named(one, "RCA")
    start, heart = artery.points_mm[0], one.heart
    left, right, _ = heart.sinus_directions() @ (start - heart.root_point(17.0))

    assert abs(float(heart.ascending_lumen(start[None])[0])) < 0.1  # steps of 0.05 mm along the ray
    assert (float(start @ heart.root_axis) / heart.root_scale > 22.0) == (ostium == "high")
    assert (left > right) == (ostium == "left")
    inside = heart.ascending_lumen(artery.axis_mm) + artery.reference_radius_mm
    assert inside[artery.distance_mm > 8.0].min() > 0  # its axis is outside the aorta from there on


def test_a_stent_lies_in_the_wall_of_its_artery():
    """Its struts are one reference radius from the axis, metal is labelled, and both documents name it."""
    variety = Variety(stent=True)
    one = person(1, variety)
    (stent,) = one.devices
    vessel = one.vessels[stent.vessel or 0]
    struts = np.concatenate([path for path, _ in stent.strands])
    distance = np.linalg.norm(struts[:, None] - vessel.axis_mm[None, stent.start : stent.end + 1], axis=2).min(axis=1)
    canvas = painted(one, vessel.axis_mm[stent.start : stent.end], variety)
    metal = canvas.labels == DEVICE_LABEL
    facts = variety_facts(one, variety, [])

    assert distance == pytest.approx(vessel.reference_radius_mm[stent.start : stent.end].mean(), abs=0.5)
    assert tree_document(one)["treatments"] == [
        {"kind": "stent", "branch": stent.vessel, "start": stent.start, "end": stent.end}
    ]
    assert facts["devices"] == ["stent"]
    assert facts["labels"]["device"] == DEVICE_LABEL
    assert metal.sum() > 100
    assert canvas.hu[metal].mean() > 1000  # a fifth of a voxel is metal of 7000 HU, so it outshines calcium


def test_leads_lie_in_the_right_heart():
    """From the upper caval vein to the apex of the right ventricle every point of the first lead is in blood or its wall."""
    one = person(1, Variety(lead=True))
    heart = one.heart
    path = one.devices[0].strands[0][0]
    bodies = (heart.caval_veins, heart.ra_outer, heart.rv_outer, heart.right_appendage)
    outside = np.min([body(path) for body in bodies], axis=0)

    assert outside.max() < 1.5
    assert float(heart.rv_outer(path[-1:])[0]) < 0
    assert float(heart.lv_epicardium(path[-1:])[0]) > 0


@pytest.mark.parametrize("seed", [1, 3])
def test_a_graft_leads_from_the_aorta_to_its_artery(seed):
    """It begins on the ascending aorta, ends on the artery that the truth names, and meets no other artery on its way."""
    one = person(seed, Variety(graft=True))
    assert one.graft is not None
    path = one.graft.side_vessel.path_mm
    others = np.concatenate([v.axis_mm for i, v in enumerate(one.vessels) if i != one.graft.vessel])
    gap = np.linalg.norm(path[:, None] - others[None], axis=2).min()

    assert abs(float(one.heart.ascending_lumen(path[:1])[0])) < 0.5
    assert path[-1] == pytest.approx(one.vessels[one.graft.vessel].axis_mm[one.graft.point])
    assert gap > 3.0
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() < 1.0
    assert "wires" in {device.kind for device in one.devices}
