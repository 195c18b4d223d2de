"""One step of the lattice: what it conserves, and that both ways to compute it agree."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.coronary.lattice.cells import Cells, find_cells
from algorithms.coronary.lattice.compiled import Compiled
from algorithms.coronary.lattice.gates import (
    GIVEN_FLOW,
    GIVEN_HEAD,
    GIVEN_PRESSURE,
    GIVEN_RESISTANCE,
    GIVEN_SHARE,
    GateState,
    gates,
)
from algorithms.coronary.lattice.portable import Portable
from algorithms.coronary.lattice.state import State, moments, populations
from algorithms.coronary.lattice.walls import walls
from tests.algorithms.coronary.lattice.shapes import vessel

TAU = 0.51

KINDS = [
    pytest.param((GIVEN_FLOW, GIVEN_RESISTANCE), ((3.0, 0), (0, 1e-3)), id="flow-resistance"),
    pytest.param((GIVEN_HEAD, GIVEN_SHARE), ((0.01, 0), (0.5, 0.5)), id="head-share"),
    pytest.param((GIVEN_FLOW, GIVEN_PRESSURE), ((3.0, 0), (0, 0)), id="flow-pressure"),
]


@pytest.fixture(scope="module")
def cells() -> Cells:
    """Return a tube oblique to the grid, 8 cells across."""
    return find_cells(vessel(1.5, 6, (1, 2, 3), beyond_mm=3), 0.375)


def stirred(cells: Cells) -> State:
    """Return a state that is far from steady."""
    random = np.random.default_rng(1)
    f = populations(cells, 0.01 * random.standard_normal(len(cells)), 0.03 * random.standard_normal((3, len(cells))))
    openings = GateState(np.array([0.01, 0.0]), np.zeros(2), np.array([0.01, 0.0]), np.array([-3.0, 3.0]))
    return State(f, np.zeros(len(cells.walls), np.float32), openings)


@pytest.mark.parametrize(("kind", "law"), KINDS)
def test_torch_and_the_compiled_path_agree(cells, kind, law):
    """The same mathematics, summed in another order: 40 steps differ by rounding of float32, 1e-5 of the largest."""
    openings, wall, start = gates(cells, np.array(kind), np.array(law)), walls(cells, TAU), stirred(cells)
    ours, theirs = (path(cells, wall, openings, TAU, start=start) for path in (Compiled, Portable))
    ours.advance(40)
    theirs.advance(40)
    n = len(cells)

    assert np.abs(ours.state.f[:, :n] - theirs.state.f[:, :n]).max() < 1e-5 * np.abs(ours.state.f[:, :n]).max()
    assert ours.openings.flow == pytest.approx(theirs.openings.flow, rel=1e-4, abs=1e-4)
    assert np.abs(ours.state.f[:, :n] - start.f[:, :n]).max() > 1e-3  # something has happened


@pytest.mark.parametrize(("kind", "law"), KINDS)
def test_what_the_lumen_gains_came_through_its_openings(cells, kind, law):
    """Nothing passes the wall, which interpolation alone lets through: the sum over all cells to rounding."""
    lattice = Compiled(cells, walls(cells, TAU), gates(cells, np.array(kind), np.array(law)), TAU, start=stirred(cells))
    lattice.advance(16)
    before = lattice.state.f[:, : len(cells)].sum(dtype=float)
    lattice.advance(1)
    gained = lattice.state.f[:, : len(cells)].sum(dtype=float) - before

    assert gained == pytest.approx(-lattice.openings.flow.sum(), abs=2e-5)  # 40,000 float32 numbers of 1e-3
    assert abs(lattice.openings.flow).max() > 0.1


def test_blood_at_rest_stays_at_rest(cells):
    """The same density everywhere and no flow: walls at any fraction of a link add nothing."""
    n = len(cells)
    rest = State(
        populations(cells, np.full(n, 0.02), np.zeros((3, n))),
        np.zeros(len(cells.walls), np.float32),
        GateState(*(np.array(pair) for pair in ((0.02, 0.02), (0.0, 0.0), (0.02, 0.02), (0.0, 0.0)))),
    )
    openings = gates(cells, np.array([GIVEN_HEAD, GIVEN_PRESSURE]), np.array([[0.02, 0], [0.02, 0]]))
    lattice = Compiled(cells, walls(cells, TAU), openings, TAU, start=rest)
    lattice.advance(50)
    lattice.fill()
    found = moments(cells, lattice.state.f)

    assert np.abs(found.velocity).max() < 1e-6
    assert found.density == pytest.approx(0.02, abs=1e-6)


def test_moments_are_those_that_populations_were_made_of(cells):
    """Collision keeps density and momentum: an equilibrium that is the same everywhere streams into itself."""
    n = len(cells)
    velocity = np.repeat([[0.01], [-0.02], [0.03]], n, axis=1)
    f = populations(cells, np.full(n, 0.005), velocity)
    inner = (cells.source < n).all(axis=0)
    found = moments(cells, f)

    assert found.density[inner] == pytest.approx(0.005, abs=1e-7)
    assert found.velocity[:, inner] == pytest.approx(velocity[:, inner], abs=1e-7)
    assert np.abs(found.stress[:, inner]).max() < 1e-7
