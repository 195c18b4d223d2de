"""Doubts about a tree that need no tree."""

import pytest

from algorithms.coronary.vessel.tree_doubts import smeared_doubts


@pytest.mark.parametrize(("fwhm_mm", "smeared"), [(0.5, False), (0.9, False), (1.14, True)], ids=["sharp", "soft", "moved"])
def test_edges_that_are_smeared_are_a_doubt(fwhm_mm, smeared):
    """6 mm of motion make 1.14 mm of 0.8 mm, which no kernel of a coronary scan does."""
    doubts = smeared_doubts(fwhm_mm / 2.355)

    assert smeared == any(f"blurred over {fwhm_mm:.2f} mm" in doubt for doubt in doubts)
