"""What the size of a lumen must be to be believed: the guard against files in metres or micrometres."""

from __future__ import annotations

import numpy as np

from algorithms.contract.errors import DataError

RADIUS_RANGE_MM = (0.05, 20.0)
"""From a tenth of a CT voxel across to an aorta of 4 cm; a coronary artery in metres or in micrometres lies far outside."""

SMALLEST_STEP_MM = 1e-6
"""Points nearer to each other than this are one point."""


def require_plausible_radius_mm(radius_mm: np.ndarray, what: str) -> None:
    """Refuse radii that are not numbers, not positive, or not those of a vessel in mm.

    Raises
    ------
    DataError
        With the worst radius, the range that is wanted, and the factor that most likely mends it.
    """
    radius = np.atleast_1d(np.asarray(radius_mm, dtype=float))
    low, high = RADIUS_RANGE_MM
    wrong = radius[~((radius >= low) & (radius <= high))]
    if not wrong.size:
        return
    bad = wrong[~np.isfinite(wrong) | (wrong <= 0)]
    if bad.size:
        raise DataError(f"{what} has a radius of {bad[0]:g} mm, wanted a positive number; correct or cut the vessel there")
    # Half of all radii: one thin tip in a tree of sound vessels is not a matter of units.
    middle = float(np.median(radius))
    remedy = "correct it there"
    if middle < low:
        remedy = "if the file is in metres multiply its lengths by 1000"
    if middle > high:
        remedy = "if the file is in micrometres divide its lengths by 1000"
    raise DataError(f"{what} has a radius of {wrong[0]:.4g} mm, wanted {low:g} to {high:g} mm; {remedy}")
