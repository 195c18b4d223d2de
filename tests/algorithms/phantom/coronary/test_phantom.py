"""The coronary phantom is what it says it is: anatomy, disease, labels, and a tree that the pipeline reads."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from algorithms.phantom.coronary.person import SIZES, Person, ct_grid, draw_person
from algorithms.phantom.coronary.phantom import write_truth
from algorithms.phantom.coronary.plaque import draw_lesions
from algorithms.phantom.coronary.tissues import LABELS, MYOCARDIUM_DENSITY_G_ML
from algorithms.phantom.coronary.tree import Vessel
from tests.phantoms import small_coronary

SEEDS = (0, 1, 2, 3, 4, 5)


@functools.cache
def person(seed: int) -> Person:
    return draw_person(seed)


def named(vessels: tuple[Vessel, ...], name: str) -> Vessel:
    return next(v for v in vessels if v.name == name)


@pytest.mark.parametrize("seed", SEEDS)
def test_arteries_lie_in_fat(seed):
    """Beyond the first 6 mm no artery but the septal one enters muscle, chamber, aorta or pulmonary artery."""
    heart = person(seed).heart
    bodies = (heart.lv_epicardium, heart.right_heart, heart.la_outer, heart.ra_outer, heart.root_lumen, heart.caval_veins)
    for vessel in person(seed).vessels:
        if vessel.name == "S1":
            continue
        far = vessel.distance_mm > 6.0
        room = min(float((body(vessel.axis_mm) - vessel.reference_radius_mm)[far].min(initial=9.0)) for body in bodies)

        assert room > -0.2, vessel.name  # the epicardium is sampled at 2.5 mm, which rounds edges by that much


@pytest.mark.parametrize("seed", SEEDS)
def test_arteries_touch_each_other_only_at_their_forks(seed):
    """Two arteries that are no parent and child, or siblings near their fork, have fat between them."""
    vessels = person(seed).vessels
    for index, vessel in enumerate(vessels):
        for number, other in enumerate(vessels[:index]):
            gap, nearest = cKDTree(other.axis_mm).query(vessel.axis_mm)
            gap = gap - vessel.reference_radius_mm - other.reference_radius_mm[nearest]
            akin = vessel.parent in {number, other.parent}

            assert gap[vessel.distance_mm > (9.0 if akin else 0.0)].min(initial=9.0) > 0.2, (vessel.name, other.name)


@pytest.mark.parametrize("seed", SEEDS)
def test_ostia_are_on_the_wall_of_their_sinus(seed):
    """The distance of an ostium to the root's lumen is 0; LM rises from the left, RCA from the right (anterior) sinus."""
    heart = person(seed).heart
    for name, side in (("LM", 0), ("RCA", 1)):
        ostium = named(person(seed).vessels, name).points_mm[0]
        outward = (ostium - heart.root_point(13.5)) @ heart.sinus_directions().T

        assert abs(float(heart.root_lumen(ostium[None])[0])) < 0.1  # steps of 0.05 mm along the ray
        assert int(np.argmax(outward)) == side


@pytest.mark.parametrize("seed", SEEDS)
def test_veins_run_beside_the_arteries_and_not_in_them(seed):
    """They are there to be mistaken: some of a vein lies within 2 mm of an artery's wall, none of it inside one."""
    veins = [v for v in person(seed).side_vessels if v.name == "cardiac vein"]
    arteries = np.concatenate([v.axis_mm for v in person(seed).vessels])
    radius = np.concatenate([v.reference_radius_mm for v in person(seed).vessels])
    tree = cKDTree(arteries)
    gaps = []
    for vein in veins:
        distance, nearest = tree.query(vein.path_mm)
        gaps.append(distance - radius[nearest] - vein.radius_mm)

    assert 0.0 < np.concatenate(gaps).min()
    assert (np.concatenate(gaps) < 2.0).sum() * 0.5 > 30  # mm of vein
    assert sum(len(v.path_mm) for v in veins) * 0.5 > 150


def test_diameters_follow_the_published_ones():
    """Proximal diameters of six persons lie within 2.5 standard deviations (plus 9 % for size) of Dodge's."""
    means = {"LM": (4.5, 0.5), "LAD": (3.7, 0.4)}
    by_dominance = {"right": {"LCx": (3.4, 0.5), "RCA": (3.9, 0.6)}, "left": {"LCx": (4.2, 0.6), "RCA": (2.8, 0.5)}}
    for seed in SEEDS:
        habit = person(seed).habit
        for name, (mean, sd) in (means | by_dominance.get(habit.dominance, {})).items():
            diameter = 2 * named(person(seed).vessels, name).reference_radius_mm[0] / (0.91 if habit.female else 1.0)

            assert abs(diameter - mean) < 2.5 * sd + 0.09 * mean, (seed, name)


def test_vessels_taper():
    """No artery is wider at its tip than where it begins, and none is thinner than 0.5 mm."""
    for seed in SEEDS:
        for vessel in person(seed).vessels:
            assert vessel.reference_radius_mm[-1] <= vessel.reference_radius_mm[0]
            assert 2 * vessel.reference_radius_mm.min() > 0.5


def test_lesions_are_drawn_as_promised():
    """Of 300 draws about 1 in 8 is healthy; every other has 1 to 4 lesions, the first 50-80 % in a main vessel."""
    vessels = list(person(1).vessels)
    drawn = [draw_lesions(vessels, np.random.default_rng(n)) for n in range(300)]
    sick = [lesions for lesions in drawn if lesions]

    assert 300 * 0.125 == pytest.approx(300 - len(sick), abs=20)  # 3.5 standard deviations of a binomial
    assert all(len(lesions) <= 4 for lesions in sick)
    assert all(0.5 <= lesions[0].severity <= 0.8 for lesions in sick)
    assert {vessels[lesions[0].vessel].name for lesions in sick} <= {"LM", "LAD", "LCx", "RCA"}
    assert all(0.3 <= lesion.severity <= 0.85 for lesions in sick for lesion in lesions)


def test_an_eccentric_lumen_stays_inside_its_vessel():
    """The shift of the open circle plus its radius never exceeds the reference radius, and healthy parts are unmoved."""
    for seed in SEEDS:
        for vessel in person(seed).vessels:
            shift = np.linalg.norm(vessel.points_mm - vessel.axis_mm, axis=1)

            assert (shift + vessel.radius_mm <= vessel.reference_radius_mm + 1e-9).all()
            assert shift[vessel.radius_mm == vessel.reference_radius_mm] == pytest.approx(0, abs=1e-12)


def test_every_size_covers_the_same_heart():
    """All arteries lie inside the scan, and the scans of one person share their corner to a voxel."""
    points = np.concatenate([v.points_mm for v in person(3).vessels])
    grids = [ct_grid(person(3), size) for size in SIZES]
    for grid in grids:
        index = grid.index_zyx(points)

        assert (index > 3).all()
        assert (index < np.array(grid.shape) - 4).all()
    assert ct_grid(person(3), "full").shape == (250, 512, 512)
    assert np.ptp([g.origin_mm for g in grids], axis=0) == pytest.approx(0, abs=0.8)


def test_the_lumen_has_the_volume_of_its_tree():
    """The sub-voxel lumen sums to the integral of pi r^2 within 4 %, what branches share at forks and the aorta takes."""
    phantom = small_coronary(1)
    volume_mm3 = phantom.lumen_fraction.sum(dtype=float) / 64 * np.prod(phantom.spacing_mm)
    expected = 0.0
    for vessel in phantom.person.vessels:
        step = np.linalg.norm(np.diff(vessel.points_mm, axis=0), axis=1)
        area = np.pi * vessel.radius_mm**2
        expected += float((step * 0.5 * (area[1:] + area[:-1])).sum())

    assert volume_mm3 == pytest.approx(expected, rel=0.04)


def test_tree_points_lie_in_labelled_lumen():
    """Where the lumen is wider than a voxel's diagonal, the voxel of a centreline point is labelled lumen or aorta."""
    phantom = small_coronary(1)
    wanted = [LABELS["coronary lumen"], LABELS["ascending aorta and root"]]
    for vessel in phantom.person.vessels:
        wide = vessel.radius_mm > 0.8 * np.sqrt(3) / 2 + 0.1
        wide[-2:] = False  # a tip ends in a disc, and the voxel of its last point may stick out
        index = np.rint(phantom.grid.index_zyx(vessel.points_mm[wide])).astype(int)

        assert np.isin(phantom.labels[tuple(index.T)], wanted).all(), vessel.name


def test_the_left_ventricle_weighs_what_it_says():
    """Labelled voxels times density equal the stated mass within 2 %, and it is that of an adult (100 to 180 g)."""
    phantom = small_coronary(1)
    voxels = int((phantom.labels == LABELS["LV myocardium"]).sum())
    mass_g = voxels * np.prod(phantom.spacing_mm) / 1000 * MYOCARDIUM_DENSITY_G_ML

    assert phantom.facts["lv_mass_g"] == pytest.approx(mass_g, rel=0.02)
    assert 90 < phantom.facts["lv_mass_g"] < 180


def test_contrast_and_noise_are_those_of_the_scan():
    """Inside the ascending aorta, away from its wall, the mean is its blood and the deviation the stated noise."""
    phantom = small_coronary(1)
    inside = binary_erosion(phantom.labels == LABELS["ascending aorta and root"], iterations=5)
    values = phantom.volume_hu[inside]

    assert values.mean() == pytest.approx(phantom.facts["tissue_hu"]["aorta"], abs=2)
    assert values.std() == pytest.approx(phantom.facts["noise_hu"], rel=0.1)


def test_truth_is_read_by_the_pipeline(tmp_path):
    """tree.json is in the format of the artefact: the coronary reader takes it, and its stenoses agree with its radii."""
    from algorithms.coronary.tree import read_tree

    phantom = small_coronary(1)
    write_truth(phantom, tmp_path)
    tree = read_tree(tmp_path / "tree.json")

    assert [b.name for b in tree.branches] == [v.name for v in phantom.person.vessels]
    assert [b.name for b in tree.branches if b.parent is None] == ["LM", "RCA"]
    for branch in tree.branches:
        if branch.parent is not None:
            assert branch.points_mm[0].tolist() == tree.branches[branch.parent].points_mm[branch.parent_point].tolist()
        assert set(branch.segment.tolist()) <= set(range(1, 19))
        assert np.diff(branch.distance_mm) == pytest.approx(0.5, abs=0.3)  # a shifted lumen takes longer steps
    for stenosis in tree.stenoses:
        branch = tree.branches[stenosis.branch]
        ratio = branch.radius_mm[stenosis.throat] / branch.reference_radius_mm[stenosis.throat]

        assert 1 - ratio == pytest.approx(stenosis.diameter_stenosis, abs=1e-3)
        assert 1 - ratio**2 == pytest.approx(stenosis.area_stenosis, abs=1e-3)
        assert branch.radius_mm[stenosis.start : stenosis.end + 1].min() == pytest.approx(branch.radius_mm[stenosis.throat])
    assert json.loads((tmp_path / "phantom.json").read_text())["seed"] == 1


def test_truth_images_have_the_geometry_of_the_scan(tmp_path):
    """NIfTI stores RAS; read back by SimpleITK as LPS the origin, spacing and voxels are those of the grid."""
    import SimpleITK

    phantom = small_coronary(1)
    write_truth(phantom, tmp_path)
    image = SimpleITK.ReadImage(str(tmp_path / "labels.nii.gz"))

    assert image.GetOrigin() == pytest.approx(phantom.origin_mm, abs=1e-4)
    assert image.GetSpacing() == pytest.approx(phantom.spacing_mm[::-1], abs=1e-6)
    assert image.GetDirection() == pytest.approx(np.eye(3).ravel())
    assert np.array_equal(SimpleITK.GetArrayFromImage(image), phantom.labels)


def test_persons_differ():
    """Six seeds give six hearts: sizes, masses of plaque and trees are not copies of one another."""
    assert len({round(person(s).heart.scale, 4) for s in SEEDS}) == len(SEEDS)
    assert len({tuple(v.name for v in person(s).vessels) for s in SEEDS}) >= 4
    assert len({person(s).habit.dominance for s in SEEDS}) >= 2
