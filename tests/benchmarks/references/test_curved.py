"""White's correlation, against the values of another program and its own limits."""

from __future__ import annotations

import pytest

from benchmarks.references.curved import dean_number, white_ratio


def test_white_is_what_the_package_fluids_computes():
    """Its documentation: 0.4063281817830202 at Re 250, d 0.02 and D 0.1, where a straight pipe has 64 / Re."""
    assert 0.4063281817830202 / (64 / 250) == pytest.approx(white_ratio(dean_number(250, 20, 100)), rel=1e-12)


def test_a_slow_flow_does_not_feel_the_bend():
    """Below 11.6 nothing changes, and nothing jumps there."""
    assert white_ratio(5) == 1
    assert white_ratio(11.6 * (1 + 1e-9)) == pytest.approx(1, abs=1e-6)


def test_a_fast_flow_loses_more_the_faster_it_is():
    """At Dean numbers of 100 to 200, where the lattice is held against it."""
    assert 1 < white_ratio(100) < white_ratio(200) < 2
