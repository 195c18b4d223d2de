"""The valve below sinuses whose place is known."""

import numpy as np
import pytest

from algorithms.coronary.aorta import RAYS, Aorta
from algorithms.coronary.aortic_valve import VALVE_BELOW_SINUS, cut_at_valve, widest_sinus

ALONG_MM = np.arange(0.0, 100.0)


def profile(ventricle_mm: float) -> np.ndarray:
    """Return mean radii from below: ventricle, outflow tract, ring, sinuses widest at 50 mm, junction, a wider aorta."""
    places, radii = [0, 20, 38, 50, 62, 99], [ventricle_mm, 12.5, 11, 16, 13, 15]
    return np.interp(ALONG_MM, places, radii)


@pytest.mark.parametrize(
    "ventricle_mm", [pytest.param(28.0, id="trace-enters-the-ventricle"), pytest.param(13.0, id="it-does-not")]
)
def test_the_sinuses_are_the_first_widening_above_the_outflow_tract(ventricle_mm):
    """Neither a ventricle below them nor an aorta above them that is nearly as wide is taken."""
    assert 50 == widest_sinus(profile(ventricle_mm), ALONG_MM)


def test_a_small_ventricle_is_told_from_the_outflow_tract_though_it_is_hardly_wider():
    """As in a small phantom (seed 717), whose trace goes down for 60 mm in a ventricle 1.35 times as wide as its outflow."""
    radius = np.interp(ALONG_MM, [0, 15, 40, 60, 75, 82, 99], [3, 10, 15, 11.1, 14, 13.6, 14.9])

    assert 75 == widest_sinus(radius, ALONG_MM)


def test_the_aorta_begins_a_share_of_the_sinuses_width_below_them():
    """Straight sections a millimetre apart, so the first one left is the next at or above the place reckoned."""
    normals = np.tile([0.0, 0.0, 1.0], (len(ALONG_MM), 1))
    aorta = Aorta(normals * ALONG_MM[:, None], normals, np.tile(profile(28.0)[:, None], (1, RAYS)), 400.0)

    cut = cut_at_valve(aorta)

    assert cut.centres_mm[0, 2] == pytest.approx(
        50 - VALVE_BELOW_SINUS * 16, abs=1.5
    )  # a section, and what smoothing rounds off
    assert len(cut.centres_mm) == len(cut.normals) == len(cut.radii_mm)
