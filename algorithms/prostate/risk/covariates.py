"""Clinical variables as numbers: a fixed order, a scale from the training men, and a mark for each that is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

NAMES = ("age_years", "psa_ng_ml", "gleason_primary", "gleason_secondary", "t_stage", "percent_positive_cores")
"""The variables, in the order in which the model reads them."""

T_STAGES: dict[str, float] = {
    "T1a": 0.0,
    "T1b": 0.0,
    "T1c": 0.0,
    "T1": 0.0,
    "T2a": 1.0,
    "T2b": 2.0,
    "T2": 2.0,
    "T2c": 3.0,
    "T3a": 4.0,
    "T3": 4.5,
    "T3b": 5.0,
    "T4": 6.0,
}
"""Rank of each clinical stage; one without its letter lies in the middle of its letters, T1a and T1b count as T1c."""


def measured(values: Mapping[str, float | int | str | None]) -> np.ndarray:
    """Return the variables as numbers, (6,) in the order of ``NAMES``: PSA as its logarithm, NaN where missing."""
    numbers = [math.nan] * len(NAMES)
    for i, name in enumerate(NAMES):
        value = values.get(name)
        if value is None:
            continue
        if name == "t_stage":
            numbers[i] = T_STAGES[str(value)]
        elif name == "psa_ng_ml":
            numbers[i] = math.log(float(value))
        else:
            numbers[i] = float(value)
    return np.array(numbers)


@dataclass(frozen=True, eq=False)
class Scale:
    """Mean, standard deviation and range of each variable among the training men, (6,) each, as :func:`measured` gives it."""

    mean: np.ndarray
    deviation: np.ndarray
    least: np.ndarray
    most: np.ndarray

    def covariates(self, numbers: np.ndarray) -> np.ndarray:
        """Return standardised values, then marks of what is missing, (N, 12) float32; a missing value becomes the mean."""
        missing = np.isnan(numbers)
        standard = (np.where(missing, self.mean, numbers) - self.mean) / self.deviation
        return np.concatenate([standard, missing], axis=1).astype(np.float32)

    def outside(self, numbers: np.ndarray) -> list[str]:
        """Return the names of the variables of one man, (6,), that lie outside what the training men had."""
        return [
            name
            for name, value, least, most in zip(NAMES, numbers, self.least, self.most, strict=True)
            if not math.isnan(value) and not least <= value <= most
        ]


def scale_of(numbers: np.ndarray) -> Scale:
    """Return the scale of training men, (N, 6)."""
    least, most = np.nanmin(numbers, axis=0), np.nanmax(numbers, axis=0)
    return Scale(np.nanmean(numbers, axis=0), np.nanstd(numbers, axis=0), least, most)
