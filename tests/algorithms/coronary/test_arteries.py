"""Where a path that a network follows stops being an artery: shares of lumen and of other vessels along a line are given."""

import numpy as np
import pytest

from algorithms.coronary.arteries import Artery, first_venous
from algorithms.coronary.grid import Grid
from algorithms.coronary.lumen import Lumen

SPACING_MM = 0.5


def path_of(*parts: tuple[float, float, float]) -> tuple[Lumen, Artery]:
    """Return a field and a straight path through it, of parts of so many mm with these shares of lumen and of other vessels."""
    share, other = (np.concatenate([np.full(round(p[0] / SPACING_MM), p[k]) for p in parts]).astype(np.float32) for k in (1, 2))
    share, other = (np.broadcast_to(line[:, None, None], (len(line), 3, 3)) for line in (share, other))
    hu = Grid(400 * (share + other), (SPACING_MM,) * 3, (0.0, 0.0, 0.0))
    field = Lumen(hu, share, np.ones(share.shape, np.float32), share > 0, np.zeros(share.shape, bool), share, other)
    index = np.array([[z, 1, 1] for z in range(len(share))])
    return field, Artery(index, np.ones(len(index)), 0.0)


ARTERY, VEIN, THROAT = (0.9, 0.05), (0.1, 0.8), (0.05, 0.6)


@pytest.mark.parametrize(
    ("parts", "ends_mm"),
    [
        pytest.param([(40, *ARTERY)], 40, id="an artery"),
        pytest.param([(40, *ARTERY), (30, *VEIN)], 40, id="it runs into a vein"),
        pytest.param([(40, *ARTERY), (4, *VEIN), (30, *ARTERY)], 74, id="a vein crosses it"),
        pytest.param([(30, *ARTERY), (9, *THROAT), (40, *ARTERY)], 79, id="its throat lies beside a vein"),
        pytest.param([(30, *ARTERY), (25, *VEIN), (40, *ARTERY)], 30, id="too long for a throat"),
        pytest.param([(30, *ARTERY), (9, *VEIN), (5, *ARTERY), (30, *VEIN)], 30, id="a vein with a bright spot"),
        pytest.param([(9, *VEIN), (40, *ARTERY)], 0, id="it begins as a vein"),
    ],
)
def test_a_path_ends_where_another_vessel_goes_on(parts, ends_mm):
    """To the half of the window of 8 mm over which shares are compared."""
    field, path = path_of(*parts)

    assert SPACING_MM * first_venous(field, path) == pytest.approx(ends_mm, abs=4)
