"""Numbers are written as a reader of a printed page expects them."""

from __future__ import annotations

import pytest

from algorithms.report.words import limit, sentence, shown, with_unit


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(1.385e-16, "1.4 × 10⁻¹⁶", id="tiny"),
        pytest.param(-90, "−90", id="minus sign"),
        pytest.param(2.3333333, "2.333", id="four digits"),
        pytest.param(0.0, "0", id="zero"),
        pytest.param([0.5, 0.499], "0.5 × 0.499", id="list"),
    ],
)
def test_a_number_is_written_for_a_reader(value, text):
    """Four digits at most, and powers of ten as they are printed."""
    assert shown(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        pytest.param(0.125, "relative", "12.5 %", id="relative"),
        pytest.param(3, "1", "3", id="pure number"),
        pytest.param(41.5, "mm2", "41.5 mm²", id="area"),
    ],
)
def test_a_unit_stands_behind_its_value(value, unit, text):
    """A share is said in per cent, a pure number alone, and exponents are raised."""
    assert with_unit(value, unit) == text


def test_limits_and_messages_are_set_in_type():
    """What programs write as ``<= 1e-09`` and ``lower case`` is printed with the signs and capitals of a page."""
    assert limit("<= 1e-09") == "≤ 10⁻⁹"
    assert sentence("found 2 mm2 at 0.5 um") == "Found 2 mm² at 0.5 µm."
