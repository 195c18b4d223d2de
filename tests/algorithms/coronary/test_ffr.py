"""FFR: where it is read, how it is banded, and whether its interval is what the spreads say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.coronary import ffr, flow
from algorithms.coronary.boundary import Boundary, Quantity, boundary, pressure, quantities, write_boundary
from algorithms.coronary.haemodynamics.interval import (
    CORRELATION_LENGTH_MM,
    Source,
    lumen_bias,
    pressure_samples,
    radius_samples,
    sources,
)
from algorithms.coronary.pipeline import FFR
from algorithms.coronary.tree import Tree, read_tree, write_tree
from algorithms.coronary.truth import DEFAULTS, true_ffr, write_true_ffr
from algorithms.report.words import shared_out
from tests.algorithms.coronary.tubes import coronary_tree, stenosis, tube


def conditions(tree: Tree, systolic: float = 0, diastolic: float = 0) -> Boundary:
    """Return the boundary conditions with an LV mass of 130 g."""
    return boundary(tree, quantities(pressure(systolic, diastolic), Quantity(130.0, "g", False, ""), DEFAULTS))


def read_at(tree: Tree, lesion: int) -> tuple[int, int, float]:
    """Return branch, point and distance of a reading, the distance free of the rounding of added steps."""
    place = ffr.reading(tree, lesion)
    return place.branch, place.point, round(place.distal_mm, 6)


def still(given: Boundary, **moved: float) -> tuple[Source, ...]:
    """Return the sources of uncertainty with every spread 0, but for those named."""
    return tuple(Source(s.name, moved.get(s.name, 0.0), s.unit, s.source) for s in sources(given, lumen_bias(0.05, ())))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.0, "negative"),
        (0.806, "negative"),
        (0.804, "grey"),
        (0.80, "grey"),
        (0.756, "grey"),
        (0.754, "positive"),
        (0.3, "positive"),
    ],
)
def test_the_band_is_that_of_the_two_digits_shown(value: float, expected: str) -> None:
    """A report that shows 0.80 and calls it negative would contradict itself: > 0.80, 0.76-0.80, <= 0.75."""
    assert ffr.band(value) == expected


def test_a_lesion_is_read_fifteen_millimetres_behind_its_end() -> None:
    """The lesion ends at 31 mm, points are 0.5 mm apart: point 92, and not the tip."""
    assert read_at(coronary_tree(0.8), 0) == (1, 92, 15.0)


def test_a_left_main_lesion_is_read_in_its_larger_daughter() -> None:
    """LM's lesion ends 2 mm before the bifurcation, so 13 mm into the LAD."""
    tree = coronary_tree()
    tree = Tree(tree.branches, (stenosis(tree.branches, 0, 2, 5, 8),))

    assert read_at(tree, 0) == (1, 26, 15.0)


def test_a_lesion_is_read_before_the_next_one_begins() -> None:
    """6 mm between two lesions: the first is not blamed for the second."""
    tree = coronary_tree()
    tree = Tree(tree.branches, (stenosis(tree.branches, 1, 10, 14, 18), stenosis(tree.branches, 1, 24, 28, 32)))

    assert read_at(tree, 0) == (1, 48, 6.0)
    assert read_at(tree, 1) == (1, 94, 15.0)


def test_a_lesion_near_the_end_is_read_at_the_end_and_says_how_near() -> None:
    """A vessel that could not be followed 15 mm behind its lesion is read where it ends."""
    tree = coronary_tree()
    tree = Tree(tree.branches, (stenosis(tree.branches, 3, 25, 30, 36),))

    assert read_at(tree, 0) == (3, 80, 4.0)


def test_a_vessel_is_as_bad_as_its_worst_lesion_and_its_tip_is_only_shown() -> None:
    """The decision value is read behind the worse of two lesions; tip_ffr is lower and has no band."""
    tree = coronary_tree(0.85)
    tree = Tree(tree.branches, (*tree.stenoses, stenosis(tree.branches, 1, 70, 74, 78)))
    values = ffr.along(flow.solve(tree, given := conditions(tree)).pressure_mmhg, given["aortic_pressure_mmhg"])

    document = ffr.answer(tree, values, tuple(np.empty((0, len(v))) for v in values))

    lad = next(v for v in document["vessels"] if v["vessel"] == "LAD")
    lowest = min(document["lesions"], key=lambda lesion: lesion["ffr"])
    assert lad["lesions"] == [0, 1]
    assert (lad["ffr"], lad["point"]) == (lowest["ffr"], lowest["point"])
    assert lad["tip_ffr"] == pytest.approx(float(values[1][-1]), abs=5e-5)  # rounded to 1e-4
    assert lad["tip_ffr"] < lad["ffr"]


def test_delta_is_what_the_lesion_alone_takes() -> None:
    """From the lesion's first point to where it is read."""
    tree = coronary_tree(0.85)
    values = ffr.along(flow.solve(tree, given := conditions(tree)).pressure_mmhg, given["aortic_pressure_mmhg"])

    lesion = ffr.answer(tree, values, tuple(np.empty((0, len(v))) for v in values))["lesions"][0]

    assert lesion["delta_ffr"] == pytest.approx(values[1][38] - values[1][92], abs=1e-4)  # both rounded to 1e-4


def test_a_healthy_vessel_is_read_where_it_is_still_two_millimetres_wide() -> None:
    """LAD tapers from 3.7 to 1.7 mm over 100 mm: 2.0 mm is at 85 mm."""
    tree = coronary_tree()

    assert tree.branches[1].distance_mm[ffr.distal_point(tree, 1)] == pytest.approx(85.0)


def test_small_side_branches_have_no_line_of_their_own_unless_diseased() -> None:
    """1.5 mm at the origin is the least that is treated; a lesion is shown wherever it is."""
    small = tube("D2", 30, 0.7, parent=1, parent_point=120)
    tree = Tree((*coronary_tree().branches, small))
    diseased = Tree(tree.branches, (stenosis(tree.branches, 7, 5, 8, 11),))

    assert "D2" not in [tree.branches[i].name for i in ffr.summarised(tree)]
    assert "D2" in [tree.branches[i].name for i in ffr.summarised(diseased)]


def test_the_interval_of_one_monotone_source_is_its_quantiles() -> None:
    """Only the loss model moves: FFR falls with it, so the interval's ends are FFR at exp(-+1.96 sd), solved directly.

    2000 samples: the 2.5 % quantile of z has a standard error of 0.060 (sqrt(p (1 - p) / n) over the density), three of
    which, times the slope of FFR, is the tolerance.
    """
    tree = coronary_tree(0.85)
    given = conditions(tree)
    solved = flow.solve(tree, given)

    samples, aortic = pressure_samples(tree, given, still(given, loss_model=0.2), 2000, np.random.default_rng(5))

    low, high = np.quantile(samples[1][:, 92] / aortic, [0.025, 0.975])
    expected = [_with_losses(tree, given, np.exp(sign * 1.96 * 0.2)) for sign in (1, -1)]
    slope = abs(_with_losses(tree, given, np.exp(2.06 * 0.2)) - expected[0]) / 0.1
    assert [low, high] == pytest.approx(expected, abs=3 * 0.060 * slope)
    assert low < solved.pressure_mmhg[1][92] / given["aortic_pressure_mmhg"] < high


def _with_losses(tree: Tree, given: Boundary, factor: float) -> float:
    from algorithms.coronary.haemodynamics.network import losses, network

    net = network(tree)
    lost = losses(tree, tuple(b.radius_mm for b in tree.branches), given["viscosity_pa_s"], given["density_kg_m3"])
    linear, quadratic = (c * factor for c in lost.per_edge(net))
    drive = np.full(len(net.outlets), given["aortic_pressure_mmhg"] - given["venous_pressure_mmhg"])
    q, _, _ = flow.outlet_flows_ml_s(net, linear, quadratic, given.resistance_hyperaemic_mmhg_s_ml, drive)
    viscous, expansion = flow.along_branches(tree, net, lost, net.below @ q)
    return float(1 - factor * (viscous[1] + expansion[1])[92] / given["aortic_pressure_mmhg"])


def test_without_any_spread_every_sample_is_the_answer() -> None:
    """The samples take the same way through the code as the answer; nothing else may differ."""
    tree = coronary_tree(0.85)
    given = conditions(tree)

    samples, aortic = pressure_samples(tree, given, still(given), 3, np.random.default_rng(5))

    solved = flow.solve(tree, given)
    assert aortic == pytest.approx(given["aortic_pressure_mmhg"])
    for perturbed, value in zip(samples, solved.pressure_mmhg, strict=True):
        assert perturbed == pytest.approx(np.tile(value, (3, 1)), rel=1e-8)


def test_radius_errors_have_the_spread_and_the_reach_that_they_are_given() -> None:
    """Unit variance times radius_sd_mm, and a correlation of 1/e after 10 mm: moments of an Ornstein-Uhlenbeck process.

    5000 samples: a standard deviation is known to 1 % and a correlation of 0.37 to 0.012; three of each are allowed.
    """
    tree = Tree((tube("RCA", 60, 1.5, sd_mm=0.1),))

    moved = radius_samples(tree, np.zeros(5000), np.random.default_rng(2))[0]

    error = 1.5 * np.log(moved[1:] / 1.5)
    assert moved[0] == pytest.approx(1.5)
    assert error.std(axis=0) == pytest.approx(0.1, rel=0.04)  # the worst of 121 correlated points
    reach = round(CORRELATION_LENGTH_MM / 0.5)
    assert np.corrcoef(error[:, 40], error[:, 40 + reach])[0, 1] == pytest.approx(np.exp(-1), abs=0.04)


@pytest.mark.parametrize(
    "source", ["resting_flow", "hyperaemic_resistance", "flow_split_exponent", "radius_bias", "loss_model"]
)
def test_every_source_moves_the_answer(source: str) -> None:
    """A source that is listed in the report but does nothing would be a false assurance."""
    tree = coronary_tree(0.85)
    given = conditions(tree)

    samples, aortic = pressure_samples(tree, given, still(given, **{source: 0.1}), 50, np.random.default_rng(5))

    assert (samples[1][:, 92] / aortic).std() > 1e-4


def test_a_higher_aortic_pressure_raises_ffr() -> None:
    """The muscle asks for its flow whatever the pressure is, so about the same loss is a smaller part of more pressure."""
    tree = coronary_tree(0.85)
    given = conditions(tree)

    samples, aortic = pressure_samples(tree, given, still(given, aortic_pressure=14.0), 50, np.random.default_rng(5))

    assert np.array_equal(np.argsort(samples[1][:, 92] / aortic), np.argsort(aortic))


def test_what_was_not_measured_widens_the_spreads() -> None:
    """An assumed pressure and an assumed LV mass are known less well than measured ones, and say so."""
    tree = coronary_tree()
    measured = conditions(tree, 120, 80)
    assumed = boundary(tree, quantities(pressure(0, 0), Quantity(130.0, "g", True, ""), DEFAULTS))
    spread = [{s.name: s.sd for s in sources(given, lumen_bias(0.05, ()))} for given in (measured, assumed)]

    assert spread[1]["aortic_pressure"] > spread[0]["aortic_pressure"]
    assert spread[1]["resting_flow"] > spread[0]["resting_flow"]


def stage(folder: Path, **settings: int) -> bytes:
    """Run the three stages' files through ``ffr.run`` and return ffr.json."""
    folder.mkdir()
    write_tree(coronary_tree(0.85, sd_mm=0.08), folder / "tree.json")
    tree = read_tree(folder / "tree.json")
    given = conditions(tree)
    solved = flow.solve(tree, given)
    write_boundary(given, folder / "boundary.json")
    flow.write_flow(tree, solved, flow.checks(tree, given, solved), folder / "flow.json")
    (folder / "quality.json").write_text(json.dumps({"facts": {"spacing_mm": [0.4, 0.4, 0.4]}}))
    ffr.run({name: folder / f"{name}.json" for name in FFR.inputs}, folder, **FFR.settings(settings))  # type: ignore[arg-type]
    return (folder / "ffr.json").read_bytes()


def test_samples_spread_about_an_answer_that_loses_more() -> None:
    """Where the answer loses a fifth more than the reduced model, each sample does; where nothing is lost, nothing changes."""
    reduced, value = (np.array([1.0, 0.8]),), (np.array([1.0, 0.76]),)
    samples = (np.array([[1.0, 0.8], [0.99, 0.7], [1.0, 0.1]]),)

    moved = ffr.about(samples, reduced, value)[0]

    assert moved == pytest.approx(np.array([[1.0, 0.76], [0.99, 0.64], [1.0, 0.0]]))  # no pressure below 0


def test_two_runs_are_equal_byte_for_byte_and_another_seed_is_not(tmp_path: Path) -> None:
    """The interval is random but seeded: a rerun must reproduce the report."""
    first, again, other = (stage(tmp_path / name, interval_seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))

    assert first == again
    assert first != other


def test_the_interval_holds_its_value_everywhere(tmp_path: Path) -> None:
    """ffr_low <= ffr <= ffr_high at every point of every branch, between 0 and 1."""
    document = json.loads(stage(tmp_path / "case"))

    for entry in document["branches"]:
        low, value, high = (np.array(entry[name]) for name in ("ffr_low", "ffr", "ffr_high"))
        assert ((low >= 0) & (low <= value) & (value <= high) & (high <= 1)).all()
    assert document["interval"]["samples"] == 200
    assert document["lesions"][0]["ffr_low"] < document["lesions"][0]["ffr"] < document["lesions"][0]["ffr_high"]


def test_200_samples_know_the_interval_of_a_severe_lesion_to_a_few_hundredths(tmp_path: Path) -> None:
    """Two seeds differ by less than 0.06 at the ends, where the interval is 0.3 wide: more samples would change no decision."""
    lesions = [json.loads(stage(tmp_path / str(seed), interval_seed=seed))["lesions"][0] for seed in (1, 2, 3)]

    assert np.ptp([lesion["ffr_low"] for lesion in lesions]) < 0.06
    assert np.ptp([lesion["ffr_high"] for lesion in lesions]) < 0.03


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([0.9, 0.9, 0.78, 0.7], {"negative": 0.5, "grey": 0.25, "positive": 0.25}, id="quarters"),
        pytest.param([0.9, 0.78, 0.7], {"negative": 0.334, "grey": 0.333, "positive": 0.333}, id="thirds"),
        pytest.param([0.804, 0.754], {"negative": 0.0, "grey": 0.5, "positive": 0.5}, id="judged as shown"),
    ],
)
def test_the_probability_of_a_band_is_its_share_of_the_samples(values: list[float], expected: dict[str, float]) -> None:
    """Three equal thirds are 0.334, 0.333 and 0.333: rounded each for itself they would add up to 0.999."""
    assert ffr.band_probability(np.array(values)) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.3, 1.0), min_size=1, max_size=300))
def test_probabilities_add_up_to_one_and_to_a_hundred_per_cent(values: list[float]) -> None:
    """In thousandths in the file and in whole per cent in the report, whatever the samples are."""
    shares = ffr.band_probability(np.array(values))

    assert shares is not None
    assert round(sum(1000 * share for share in shares.values()), 6) == 1000
    assert sum(shared_out(list(shares.values()), 100)) == 100


def test_a_lesion_on_the_edge_is_as_likely_on_either_side() -> None:
    """A spread alike on both sides of 0.805 makes half of 400 samples negative, but for 2.5 %, of which three are allowed."""
    tree = coronary_tree(0.85)
    values = tuple(np.full(len(b.radius_mm), 0.805) for b in tree.branches)
    noise = 0.02 * np.random.default_rng(3).standard_normal((400, 1))
    samples = tuple(np.clip(v + noise, 0, 1) for v in values)

    lesion = ffr.answer(tree, values, samples)["lesions"][0]

    assert lesion["band_probability"]["negative"] == pytest.approx(0.5, abs=0.075)


def test_half_a_voxel_of_diameter_is_two_deviations_of_it() -> None:
    """Voxels of 0.5 x 0.4 x 0.32 mm are 0.4 mm in the mean: 0.2 mm of diameter, 0.1 mm of radius, 0.05 mm one deviation."""
    assert lumen_bias(0.0, (0.5, 0.4, 0.32)).sd == pytest.approx(0.05)
    assert lumen_bias(0.02, (0.5, 0.4, 0.32)).sd == 0.02


def test_the_truth_is_the_same_model_on_the_same_tree(tmp_path: Path) -> None:
    """A perfect segmentation must differ from the truth by nothing but the rounding of files."""
    tree = coronary_tree(0.85)
    given = conditions(tree)
    write_tree(tree, tmp_path / "tree.json")
    (tmp_path / "phantom.json").write_text(json.dumps({"lv_mass_g": 130.0}))

    written = json.loads(write_true_ffr(tmp_path).read_text())

    values = ffr.along(flow.solve(tree, given).pressure_mmhg, given["aortic_pressure_mmhg"])
    assert np.array(written["branches"][1]["ffr"]) == pytest.approx(
        values[1], abs=2e-4
    )  # radii in steps of 1e-4 mm, FFR of 1e-4
    assert written["lesions"][0]["ffr_low"] == written["lesions"][0]["ffr"]
    assert true_ffr(tree, 200.0)["lesions"][0]["ffr"] < written["lesions"][0]["ffr"]  # more muscle, more flow
