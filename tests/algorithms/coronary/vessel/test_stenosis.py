"""Reference radii and stenoses on radius profiles with known disease."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from algorithms.coronary.tree import Branch
from algorithms.coronary.vessel.reference_radius import reference_radius_mm
from algorithms.coronary.vessel.stenosis import doubt_of, is_certain, stenoses_of

STEP_MM = 0.5


def profile(length_mm: float, start_mm: float, end_mm: float, *lesions: tuple[float, float, float]) -> np.ndarray:
    """Return radii that taper evenly, narrowed by raised cosines (middle, length, severity)."""
    along = np.arange(0, length_mm, STEP_MM)
    radius = np.interp(along, [0, length_mm], [start_mm, end_mm])
    for middle, length, severity in lesions:
        phase = np.clip((along - middle) / (length / 2), -1, 1)
        radius = radius * (1 - severity * 0.5 * (1 + np.cos(np.pi * phase)))
    return radius


def reference(radius: np.ndarray) -> np.ndarray:
    return reference_radius_mm(radius, np.full(len(radius), 0.04), np.ones(len(radius), dtype=bool))


def branch(radius: np.ndarray, reference_mm: np.ndarray) -> Branch:
    points = np.zeros((len(radius), 3))
    points[:, 2] = STEP_MM * np.arange(len(radius))
    return Branch("LAD", None, None, points, radius, reference_mm, np.full(len(radius), 0.04), np.full(len(radius), 6))


def found(radius: np.ndarray, *, free: int = 0, tip: bool = True, least: float = 0.25):
    return stenoses_of(branch(radius, reference(radius)), 0, free=free, tip=tip, least=least)


@pytest.mark.parametrize(
    "lesions",
    [
        pytest.param((), id="healthy"),
        pytest.param(((40, 10, 0.7),), id="one severe"),
        pytest.param(((25, 12, 0.5), (60, 12, 0.6)), id="two"),
        pytest.param(((45, 30, 0.5),), id="a third of the vessel"),
        pytest.param(((6, 12, 0.7),), id="ostial"),
    ],
)
def test_disease_does_not_pull_the_reference_down(lesions):
    """The healthy taper is known; 4 % is what a lesion over a third of the vessel leaves of doubt."""
    healthy = profile(90, 1.8, 1.0)

    assert np.abs(reference(profile(90, 1.8, 1.0, *lesions)) / healthy - 1).max() < 0.04


def test_the_reference_never_widens_downstream():
    """Noise of 3 % on a vessel without taper."""
    radius = profile(90, 1.5, 1.5) * (1 + 0.03 * np.random.default_rng(2).standard_normal(180))

    assert (np.diff(reference(radius)) <= 1e-9).all()


@pytest.mark.parametrize("severity", [0.3, 0.5, 0.7, 0.85])
def test_a_planted_stenosis_is_found_where_it_is(severity):
    """Throat at 40 mm, diameter loss as planted to 3 points, length from shoulder to shoulder to 3 mm."""
    (lesion,) = found(profile(90, 1.8, 1.0, (40, 12, severity)))

    assert lesion.throat * STEP_MM == pytest.approx(40, abs=1)
    assert lesion.diameter_stenosis == pytest.approx(severity, abs=0.03)
    assert lesion.area_stenosis == pytest.approx(1 - (1 - lesion.diameter_stenosis) ** 2, abs=1e-3)  # stored to four digits
    assert lesion.length_mm == pytest.approx(12, abs=3)


def test_a_healthy_vessel_with_noise_has_no_stenosis():
    """5 % noise is half of what the reference calls disease."""
    radius = profile(90, 1.8, 1.0) * (1 + 0.05 * np.random.default_rng(3).standard_normal(180))

    assert found(radius) == []


def test_two_near_throats_are_one_lesion_and_two_far_ones_two():
    """Throats 6 mm apart with 1 mm between the narrowings, and 25 mm apart."""
    near = found(profile(90, 1.8, 1.0, (40, 6, 0.6), (46, 6, 0.7)))
    far = found(profile(90, 1.8, 1.0, (30, 8, 0.6), (55, 8, 0.7)))

    assert len(near) == 1
    assert near[0].diameter_stenosis == pytest.approx(0.7, abs=0.04)
    assert len(far) == 2


def test_no_lesion_starts_inside_the_parents_lumen():
    """The first 4 mm are the parent's: what is narrow there is the fit, not the vessel."""
    assert found(profile(60, 1.2, 0.9, (1, 5, 0.6)), free=8) == []


def test_a_fading_tip_is_no_lesion_but_a_narrow_end_before_a_fork_is():
    """The same profile: a vessel that ends in a tip fades, an LM that ends in a fork is diseased."""
    radius = profile(40, 1.5, 1.3, (38, 8, 0.6))

    assert found(radius, tip=True) == []
    assert len(found(radius, tip=False)) == 1


@pytest.mark.parametrize(("sd_mm", "certain"), [(0.1, True), (0.3, False)])
def test_a_narrowing_within_the_noise_is_a_doubt_and_no_stenosis(sd_mm, certain):
    """A throat of 0.7 mm in a vessel of 1.4 mm radius is a lesion where radii are known to a tenth."""
    radius = profile(90, 1.8, 1.0, (40, 12, 0.5))
    vessel = replace(branch(radius, reference(radius)), radius_sd_mm=np.full(len(radius), sd_mm))

    (lesion,) = stenoses_of(vessel, 0, free=0, tip=True, least=0.25)

    assert is_certain(vessel, lesion) is certain
    assert f"narrowed by {100 * lesion.diameter_stenosis:.0f} % 40 mm from its origin" in doubt_of(vessel, lesion)
