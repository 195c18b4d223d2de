"""How the fields and numbers of a prostate case are written for a reader."""

from __future__ import annotations

from algorithms.report.words import Vocabulary

VOCABULARY = Vocabulary(
    units=("_mm2", "_um", "_ng_ml", "_years"),
    abbreviations={"psa": "PSA", "nccn": "NCCN", "isup": "ISUP", "adt": "ADT", "mpp": "µm per pixel"},
)


def percent(fraction: float) -> str:
    """Return a fraction as per cent: one digit after the point below 10 %; number and sign stay on one line."""
    return f"{_digits(fraction)}\u00a0%"


def percent_range(low: float, high: float) -> str:
    """Return two fractions as a range of per cent."""
    return f"{_digits(low)} to {_digits(high)}\u00a0%"


def percent_interval(value: float, low: float, high: float) -> str:
    """Return a fraction with its interval for a table's cell."""
    return f"{percent(value)} ({_digits(low)}–{_digits(high)})"


def points(fraction: float) -> str:
    """Return a difference of two risks in percentage points, without the words."""
    return _digits(fraction)


def _digits(fraction: float) -> str:
    value = 100 * fraction
    text = f"{value:.1f}" if abs(value) < 9.95 else f"{value:.0f}"
    return text.replace("-", "−")


def listed(names: list[str], joined: str = "and") -> str:
    """Return names as a reader's list: ``a, b and c``."""
    return f" {joined} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
