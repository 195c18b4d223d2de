"""The finite-element reference against closed forms, against itself on finer meshes, and against values of another code."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.flow import REFERENCE
from benchmarks.references.axisymmetric import AxisymmetricFlow, solve, stations, stenosis_drop, towards_wall, vessel_mesh


def cosine(area_stenosis: float):
    """Return the radius of a stenosis from -1 to 1 in a vessel of diameter 1."""
    depth = (1 - np.sqrt(1 - area_stenosis)) / 2
    return lambda z: 0.5 - np.where(np.abs(z) < 1, depth / 2 * (1 + np.cos(np.pi * z)), 0)


def solved(area_stenosis: float, reynolds: float, across: int, finest: float, end: float = 10.0) -> AxisymmetricFlow:
    """Return the flow of mean velocity 1 upstream of the stenosis."""
    radius = cosine(area_stenosis)
    mesh = vessel_mesh(radius, stations((-3, end), 0, finest, 0.25, growth=0.05), towards_wall(across))
    return solve(mesh, radius, 1.0, 1 / reynolds)


def drop(flow: AxisymmetricFlow) -> float:
    """Return the pressure lost from -2 to +6 diameters."""
    return flow.mean_pressure(-2) - flow.mean_pressure(6)


def test_a_straight_tube_carries_poiseuilles_flow():
    """A parabola and a linear pressure lie in the elements' space: 32 nu U / D^2 per length, 2 U on the axis, 8 nu U / D."""
    flow = solved(0.0, 100, 4, 0.5, end=8.0)

    assert 32 / 100 * 8 == pytest.approx(drop(flow), rel=1e-6)
    assert 2 * (1 - (np.array([0, 0.2, 0.5]) / 0.5) ** 2) == pytest.approx(
        flow.axial_velocity(1.3, np.array([0, 0.2, 0.5])), abs=1e-6
    )
    assert 8 / 100 == pytest.approx(flow.wall_shear(np.array([0.7]))[0], rel=1e-6)
    assert flow.mean_pressure(3) == pytest.approx(flow.wall_pressure(np.array([3.0]))[0], rel=1e-6)


def test_a_stenosis_keeps_its_flow_and_meets_the_momentum_it_lost():
    """Between two sections of the tube, pressure and momentum that went away are what the wall took, by its own stresses."""
    flow = solved(0.5, 100, 10, 0.05)
    z = np.linspace(-2, 6, 4001)
    radius = flow.radius(z)
    slope = np.gradient(radius, z)
    pull = np.trapezoid(2 * np.pi * radius * flow.wall_shear(z), z)
    push = -np.trapezoid(2 * np.pi * radius * slope * flow.wall_pressure(z), z)
    carried = momentum(flow, -2) - momentum(flow, 6)

    # Mass is kept in the mean over elements, not on every line; the gradient at the wall is one order below the velocity.
    assert np.pi / 4 == pytest.approx(flow.flow(0), rel=1e-3)
    assert np.pi / 4 * drop(flow) + carried == pytest.approx(pull + push, rel=5e-3)


def momentum(flow: AxisymmetricFlow, z: float) -> float:
    """Return the momentum that passes a section of radius 0.5 in unit time."""
    r = np.linspace(0, 0.5, 401)
    return float(np.trapezoid(2 * np.pi * r * flow.axial_velocity(z, r) ** 2, r))


def test_the_answer_converges_with_the_mesh():
    """The drop changes by less each time the mesh is refined, and by less than 0.3 % at the last step."""
    coarse, middle, fine = (drop(solved(0.5, 100, across, 0.5 / across, end=7.0)) for across in (4, 6, 9))

    assert abs(fine - middle) < abs(middle - coarse)
    assert fine == pytest.approx(middle, rel=3e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("area_stenosis", "reynolds", "expected"), REFERENCE)
def test_cosine_stenoses_lose_what_another_code_found(area_stenosis, reynolds, expected):
    """An own Taylor-Hood code on triangles, before this one was written, 0.5 % sure."""
    assert expected == pytest.approx(stenosis_drop(area_stenosis, reynolds), rel=0.01)
