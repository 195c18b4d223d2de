"""Real runs of OpenFOAM, where it is installed (.ci/prepare does)."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from algorithms.contract.errors import DataError
from algorithms.coronary.lattice.conditions import Flow, Fluid, Pressure, Resistance
from algorithms.coronary.openfoam.case import Numerics
from algorithms.coronary.openfoam.program import PROGRAMS
from algorithms.coronary.openfoam.solve import section, solve
from tests.algorithms.coronary.lattice.shapes import vessel

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(shutil.which(name) is None for name in PROGRAMS), reason="OpenFOAM is not installed (apt-get install openfoam)"
    ),
]

BLOOD = Fluid(1060.0, 0.0035)
FLOW = 100 * np.pi * 3e-3 * BLOOD.kinematic_m2_s / 4
"""Of a Reynolds number of 100 in 3 mm."""
DROP_PA_MM = 8 * BLOOD.viscosity_pa_s * FLOW / (np.pi * 1.5e-3**4) * 1e-3


@pytest.mark.parametrize("processes", [1, 2])
def test_a_tube_oblique_to_the_grid_loses_poiseuilles_pressure(tmp_path, processes):
    """Through openings and sections alike passes what was given; the same on one process and on two."""
    lumen = vessel(1.5, 9.0, (1, 2, 3))
    z = lumen.rotation[:, 2]

    given = {"inlet": Flow(FLOW), "outlet": Pressure(12000.0)}
    found = solve(lumen, given, BLOOD, Numerics(0.25, processes=processes), tmp_path / "case")
    first, last = (section(found, at * z, z, 3.0) for at in (3, 6))

    assert [-1, 1] == pytest.approx(found.flow_m3_s / FLOW, abs=1e-5)
    assert first.flow_m3_s == pytest.approx(FLOW, rel=0.01)
    # Twelve cells across: a polygon of 0.7 % less volume, and one cell of a parabola's steepest part; measured 6.5 %.
    assert 3 * DROP_PA_MM == pytest.approx(first.pressure_pa - last.pressure_pa, rel=0.09)
    assert found.opening_pa[1] == pytest.approx(12000, abs=0.1 * 9 * DROP_PA_MM)


def test_a_bed_behind_the_outlet_settles_on_its_flow(tmp_path):
    """Q = P / (R + r), and r is a hundredth of R: a tenth of r's error is a thousandth of the flow."""
    bed = 100 * 9 * DROP_PA_MM / FLOW
    drive = 101 * 9 * DROP_PA_MM

    found = solve(
        vessel(1.5, 9.0, (1, 2, 3)),
        {"inlet": Pressure(500.0 + drive), "outlet": Resistance(bed, 500.0)},
        BLOOD,
        Numerics(0.25),
        tmp_path / "case",
    )

    assert found.flow_m3_s[1] == pytest.approx(FLOW, rel=4e-3)
    assert found.opening_pa[0] == pytest.approx(500 + drive, rel=2e-3)


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    """A case of somebody else is not written over."""
    (tmp_path / "mine").touch()

    with pytest.raises(DataError, match="not empty"):
        solve(vessel(1.5, 9.0), {"inlet": Flow(FLOW), "outlet": Pressure(0.0)}, BLOOD, Numerics(0.25), tmp_path)
