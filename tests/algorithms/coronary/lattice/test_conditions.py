"""What may be said of openings, and how long a step is."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.contract.errors import DataError
from algorithms.coronary.lattice.checks import grid_convergence_index
from algorithms.coronary.lattice.conditions import Flow, Fluid, Pressure, Resistance, Share, ordered
from algorithms.coronary.lattice.scale import LARGEST_MACH, MACH, SMALLEST_TAU, scale
from algorithms.coronary.lattice.velocities import SOUND_SPEED
from tests.algorithms.coronary.lattice.shapes import vessel

BLOOD = Fluid(1060.0, 0.0035)
OPENINGS = vessel(1.5, 9).openings


def test_conditions_come_in_the_order_of_the_openings():
    """Named by the engineer in any order."""
    assert ordered(OPENINGS, {"outlet": Pressure(0), "inlet": Flow(1e-6)}) == (Flow(1e-6), Pressure(0))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"inlet": Flow(1e-6)}, "give one for each", id="none for the outlet"),
        pytest.param(
            {"inlet": Flow(1e-6), "outlet": Pressure(0), "other": Pressure(0)}, "give one for each", id="no such opening"
        ),
        pytest.param({"inlet": Flow(1e-6), "outlet": Share(0.5)}, "no opening holds the pressure", id="no level"),
        pytest.param({"inlet": Resistance(1e9), "outlet": Pressure(0)}, "inlet inlet has a resistance", id="inlet resistance"),
        pytest.param({"inlet": Flow(-1e-6), "outlet": Pressure(0)}, "must be above 0", id="backward flow"),
        pytest.param({"inlet": Flow(1e-6), "outlet": Resistance(-1.0)}, "must not be negative", id="negative resistance"),
        pytest.param({"inlet": Pressure(1e4), "outlet": Share(1.5)}, "between 0 and 1", id="more than all"),
    ],
)
def test_conditions_without_an_answer_are_refused(given, message):
    """Each says what to give instead."""
    with pytest.raises(DataError, match=message):
        ordered(OPENINGS, given)


def test_viscosity_and_speed_of_the_lattice_are_those_of_blood():
    """The viscosity is nu dt / h^2 from the relaxation time, and the Mach number asked for."""
    units = scale(0.1, BLOOD, 0.5)

    assert (units.tau - 0.5) / 3 * units.side_m**2 / units.step_s == pytest.approx(0.0035 / 1060)
    assert 0.5 / units.velocity_m_s / SOUND_SPEED == pytest.approx(MACH)
    assert units.pressure_pa / (1060 * 0.5**2) == pytest.approx(1 / MACH**2)  # p / rho u^2 = (c / u)^2


def test_cells_too_large_for_the_flow_are_refused():
    """The side that the message names is one that is taken."""
    with pytest.raises(DataError, match="needs cells of at most") as refused:
        scale(1.0, BLOOD, 2.0)
    wanted = float(str(refused.value).split("at most ")[1].split(" mm")[0])
    units = scale(wanted * 0.99, BLOOD, 2.0)

    assert units.tau >= SMALLEST_TAU
    assert 2.0 / units.velocity_m_s / SOUND_SPEED <= LARGEST_MACH


def test_two_grids_bound_the_error_of_a_second_order_value():
    """1 + c h^2 at h and 2 h: the difference over 3 is the error of the finer, and the index is 3 times it."""
    coarse, fine = 1 + 0.04 * 4, 1 + 0.04

    assert grid_convergence_index(coarse, fine, 2.0) == pytest.approx(3 * 0.04 / fine)
    assert np.isclose(grid_convergence_index(fine, fine, 1.5), 0)
