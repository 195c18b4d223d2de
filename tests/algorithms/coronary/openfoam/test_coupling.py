"""Openings settle on what closed forms of resistances say, in few flows."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.coronary.geometry.shape import Opening
from algorithms.coronary.lattice.conditions import Condition, Flow, Fluid, Pressure, Resistance, Share
from algorithms.coronary.openfoam.coupling import ENOUGH, Ties, settled

BLOOD = Fluid(1060.0, 0.0035)
OWN = np.array([2e7, 5e7, 9e7])
"""Resistances of the inlet and of two outlets to the place where they meet, Pa s/m3."""


def openings(count: int) -> tuple[Opening, ...]:
    """Return an inlet and outlets; only their radii matter here."""
    names = ["inlet", "left", "right"][:count]
    return tuple(
        Opening(n, n == "inlet", np.zeros(3), np.array([0, 0, 1.0]), r) for n, r in zip(names, (1.5, 1.2, 1.0), strict=False)
    )


class Star:
    """A flow solver for vessels that meet in one place and lose pressure to friction and to the square of the flow."""

    def __init__(self, count: int, quadratic: float) -> None:
        self.count, self.quadratic, self.calls = count, quadratic, 0

    def flows(self, flow: dict[int, float], pressure: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
        """Return what a solver returns; one opening at the most may be held where the loss is quadratic."""
        self.calls += 1
        q, p = np.zeros(self.count), np.zeros(self.count)
        held = list(pressure)
        p[held] = list(pressure.values())
        conductance = 1 / OWN[: self.count]
        middle = (-sum(flow.values()) + (conductance * p)[held].sum()) / conductance[held].sum()
        q[held] = (conductance * (middle - p))[held]
        for i, value in flow.items():
            q[i], p[i] = value, middle - value * OWN[i] - self.quadratic * OWN[i] * value * abs(value)
        return q, p


def test_a_given_flow_and_pressure_take_one_flow():
    """Nothing is unknown; the level is the pressure that was given."""
    given: tuple[Condition, ...] = (Flow(2e-6), Pressure(9000.0))
    star = Star(2, 0)

    level = settled(Ties(openings(2), given), star.flows, BLOOD)

    assert star.calls == 1
    assert level == 9000


def test_a_pressure_and_a_resistance_settle_on_ohms_law():
    """Q = (P - b) / (R + r) of a tube between an aorta and a microvascular bed of 50 times its resistance."""
    bed = 3.5e9
    ties = Ties(openings(2), (Pressure(12000.0), Resistance(bed, 700.0)))
    star = Star(2, 0)

    level = settled(ties, star.flows, BLOOD)
    flow = (level - 700) / bed

    assert (12000 - 700) / (bed + OWN[:2].sum()) == pytest.approx(flow, rel=ENOUGH)
    assert star.calls <= 3


@pytest.mark.parametrize("quadratic", [0.0, 3e5])
def test_two_resistances_divide_the_flow(quadratic):
    """Whatever the vessels' own loss, at the end the aorta has its pressure and each bed the flow that its pressure drives."""
    beds = (Resistance(6e9, 700.0), Resistance(9e8, 1300.0))
    ties = Ties(openings(3), (Pressure(12000.0), *beds))
    star = Star(3, quadratic)
    last = {}

    def flows(flow, pressure):
        last["flow"], last["pressure"] = star.flows(flow, pressure)
        return last["flow"], last["pressure"]

    level = settled(ties, flows, BLOOD)
    pressure = level + last["pressure"]

    # Twice what is allowed: two conditions, each missed by so much of the larger of vessel's and bed's fall.
    assert pressure[0] == pytest.approx(12000, rel=2 * ENOUGH)
    for i, bed in enumerate(beds, start=1):
        assert pressure[i] - bed.behind_pa == pytest.approx(bed.pa_s_m3 * last["flow"][i], rel=2 * ENOUGH)
    assert last["flow"].sum() == pytest.approx(0, abs=1e-15)
    assert star.calls <= 6


def test_a_share_takes_its_part_of_the_flow():
    """A third of what comes in leaves to the left."""
    ties = Ties(openings(3), (Flow(3e-6), Share(1 / 3), Pressure(0.0)))
    star = Star(3, 0)

    settled(ties, star.flows, BLOOD)

    assert ties.imposed(np.zeros(0))[1] == pytest.approx(1e-6)


def test_conditions_that_nothing_meets_are_refused():
    """A solver whose pressure ignores the flow never gives the inlet its pressure."""
    ties = Ties(openings(2), (Pressure(100.0), Pressure(0.0)))

    with pytest.raises(ArithmeticError, match="after 12 flows"):
        settled(ties, lambda flow, _: (np.array([flow[0], -flow[0]]), np.array([1.0, 0.0])), BLOOD)
