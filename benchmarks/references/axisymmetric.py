"""Steady laminar flow in a round vessel with a straight axis, by finite elements: a reference for the solvers in 3-D.

The axisymmetric Navier-Stokes equations on Taylor-Hood quadrilaterals (quadratic velocity, linear pressure), assembled by
scikit-fem and solved by Newton's method with continuation in viscosity.  Nothing here is shared with the solvers it judges.
Any consistent units; pressures are over density.  The mesh has x along the axis and y away from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse
import skfem

Radius = Callable[[np.ndarray], np.ndarray]

NEWTON_STEPS = 20
"""From a flow at twice the viscosity Newton's method takes four to six."""
NEWTON_DONE = 1e-7
"""Largest change of velocity in the last step, over the mean velocity; what is left is about its square."""
ON_THE_WAY = 1e-2
"""The same at the larger viscosities, whose flow is only where the next one starts."""


@dataclass(frozen=True, eq=False)
class AxisymmetricFlow:
    """A solved flow; ask it at any place."""

    mesh: skfem.MeshQuad
    velocity: np.ndarray
    """Degrees of freedom of ``ElementVector(ElementQuad2())``."""
    pressure: np.ndarray
    """Over density, at the mesh's corners."""
    kinematic_viscosity: float
    radius: Radius
    bases: tuple[skfem.Basis, skfem.Basis] = field(repr=False)

    def axial_velocity(self, z: float, r: np.ndarray) -> np.ndarray:
        """Return the velocity along the axis at the distances ``r`` (K,) from it."""
        inside = np.minimum(r, self._edge(z))
        values: np.ndarray = self.bases[0].probes(np.stack([np.full(len(r), z), inside])) @ self.velocity
        axial: np.ndarray = values.reshape(2, -1)[0]
        return axial

    def wall_pressure(self, z: np.ndarray) -> np.ndarray:
        """Return (K,) pressure over density at the wall."""
        wall, x = self._wall()
        values: np.ndarray = np.interp(z, x, self.pressure[wall])
        return values

    def mean_pressure(self, z: float) -> float:
        """Return pressure over density, averaged over the section's area."""
        node, weight = np.polynomial.legendre.leggauss(40)
        r = (node + 1) / 2 * self._edge(z)
        return float((self._pressure(z, r) * r * weight).sum() / (r * weight).sum())

    def flow(self, z: float) -> float:
        """Return the volume that passes in unit time."""
        node, weight = np.polynomial.legendre.leggauss(40)
        edge = self._edge(z)
        r = (node + 1) / 2 * edge
        return float(np.pi * edge * (self.axial_velocity(z, r) * r * weight).sum())

    def wall_shear(self, z: np.ndarray) -> np.ndarray:
        """Return (K,) shear stress over density at the wall, > 0 where the blood pulls the wall downstream."""
        facets = skfem.FacetBasis(self.mesh, self.bases[0].elem, facets=self.mesh.boundaries["wall"], intorder=3)
        normal, gradient = facets.normals, facets.interpolate(self.velocity).grad
        along = np.stack([normal[1], -normal[0]])
        stress = gradient + gradient.transpose(1, 0, 2, 3)
        shear = -self.kinematic_viscosity * np.einsum("iab,ijab,jab->ab", along, stress, normal)
        place = facets.global_coordinates()[0].ravel()
        order = np.argsort(place)
        values: np.ndarray = np.interp(z, place[order], shear.ravel()[order])
        return values

    def _edge(self, z: float) -> float:
        wall, x = self._wall()
        # The mesh's wall is a polygon.
        return float(np.interp(z, x, self.mesh.p[1, wall])) * (1 - 1e-9)

    def _wall(self) -> tuple[np.ndarray, np.ndarray]:
        wall = np.unique(self.mesh.facets[:, self.mesh.boundaries["wall"]])
        # At a step the edge before it comes first and the edge behind it last.
        wall = wall[np.lexsort(self.mesh.p[::-1, wall])]
        return wall, self.mesh.p[0, wall]

    def _pressure(self, z: float, r: np.ndarray) -> np.ndarray:
        values: np.ndarray = self.bases[1].probes(np.stack([np.full(len(r), z), r])) @ self.pressure
        return values


def stations(ends: tuple[float, float], fine_at: float, finest: float, coarsest: float, growth: float = 0.03) -> np.ndarray:
    """Return places along the axis whose spacing is ``finest`` at ``fine_at`` and grows by ``growth`` per length away."""
    z = np.linspace(*ends, 20001)
    spacing = np.minimum(finest + growth * np.abs(z - fine_at), coarsest)
    count = np.concatenate([[0], np.cumsum(0.5 * (1 / spacing[1:] + 1 / spacing[:-1]) * np.diff(z))])
    places: np.ndarray = np.interp(np.linspace(0, count[-1], int(np.ceil(count[-1])) + 1), count, z)
    return places


def towards_wall(across: int, grading: float = 0.6) -> np.ndarray:
    """Return (across + 1,) fractions of the radius, closer to each other by ``1 - grading`` at the wall."""
    s = np.linspace(0, 1, across + 1)
    fractions: np.ndarray = s + grading * s * (1 - s)
    return fractions


def vessel_mesh(radius: Radius, z: np.ndarray, fractions: np.ndarray) -> skfem.MeshQuad:
    """Return the mesh of a vessel whose radius is a continuous function of the place along its axis."""
    flat = skfem.MeshQuad.init_tensor(z, fractions)
    return _named(skfem.MeshQuad(np.stack([flat.p[0], flat.p[1] * radius(flat.p[0])]), flat.t), z[0], z[-1])


def expansion_mesh(radius: Radius, z: np.ndarray, fractions: np.ndarray, behind: np.ndarray) -> skfem.MeshQuad:
    """Return the mesh of a vessel that widens suddenly at 0, which is one of ``z``, and goes on straight.

    Parameters
    ----------
    radius
        Before the step, and at it.
    z, fractions
        As for ``vessel_mesh``; behind the step the fractions are those of the jet's core.
    behind
        (M,) distances from the axis behind the step, from the core's edge (the radius at 0) to the wall.
    """
    flat = skfem.MeshQuad.init_tensor(z, np.concatenate([fractions, 1 + np.arange(1, len(behind))]))
    middle = flat.p[:, flat.t].mean(axis=1)
    flat = flat.remove_elements(np.flatnonzero((middle[0] < 0) & (middle[1] > 1)))
    x, part = flat.p
    core = part * np.where(x < 0, radius(np.minimum(x, 0)), behind[0])
    y = np.where(part > 1, np.interp(part, 1 + np.arange(len(behind)), behind), core)
    return _named(skfem.MeshQuad(np.stack([x, y]), flat.t), z[0], z[-1])


def _named(mesh: skfem.MeshQuad, start: float, end: float) -> skfem.MeshQuad:
    small = 1e-9 * (end - start)
    named = mesh.with_boundaries(
        {
            "inlet": lambda x: np.abs(x[0] - start) < small,
            "outlet": lambda x: np.abs(x[0] - end) < small,
            "axis": lambda x: np.abs(x[1]) < small,
        }
    )
    known = np.concatenate([named.boundaries[name] for name in ("inlet", "outlet", "axis")])
    return named.with_boundaries({**named.boundaries, "wall": np.setdiff1d(named.boundary_facets(), known)})


def _jacobian(u: Any, v: Any, w: Any) -> Any:
    r = w.x[1]
    gradient = np.einsum("ijab,ijab->ab", u.grad, v.grad)
    carried = np.einsum("ijab,jab,iab->ab", u.grad, w.before, v) + np.einsum("ijab,jab,iab->ab", w.before.grad, u, v)
    return w.nu * (r * gradient + u[1] * v[1] / r) + r * carried


def _momentum(v: Any, w: Any) -> Any:
    r, u = w.x[1], w.before
    gradient = np.einsum("ijab,ijab->ab", u.grad, v.grad)
    return w.nu * (r * gradient + u[1] * v[1] / r) + r * np.einsum("ijab,jab,iab->ab", u.grad, u, v)


def _divergence(u: Any, q: Any, w: Any) -> Any:
    return -q * (w.x[1] * (u.grad[0, 0] + u.grad[1, 1]) + u[1])


def solve(
    mesh: skfem.MeshQuad, radius: Radius, mean_velocity: float, kinematic_viscosity: float, continuation: int = 4
) -> AxisymmetricFlow:
    """Return the steady flow with a parabola of ``mean_velocity`` at the inlet and no traction at the outlet.

    Parameters
    ----------
    mesh, radius
        Of ``vessel_mesh`` or ``expansion_mesh``, and the radius it was made of.
    mean_velocity
        At the inlet.
    kinematic_viscosity
        Over density; the Reynolds number is ``mean_velocity`` times the inlet's diameter over it.
    continuation
        How many times the viscosity is halved on the way.

    Raises
    ------
    ArithmeticError
        If Newton's method does not converge.
    """
    fine = skfem.Basis(mesh, skfem.ElementVector(skfem.ElementQuad2()), intorder=5)
    bases = fine, fine.with_element(skfem.ElementQuad1())
    divergence = skfem.BilinearForm(_divergence).assemble(bases[0], bases[1])
    sizes = bases[0].N, bases[1].N
    fixed = np.unique(
        np.concatenate([*(bases[0].get_dofs(n).all() for n in ("inlet", "wall")), bases[0].get_dofs("axis").all(["u^2"])])
    )
    velocity, pressure = np.zeros(sizes[0]), np.zeros(sizes[1])
    inlet = bases[0].get_dofs("inlet").all(["u^1"])
    edge = radius(np.array([mesh.p[0].min()]))[0]
    velocity[inlet] = 2 * mean_velocity * (1 - (bases[0].doflocs[1, inlet] / edge) ** 2)
    free = np.setdiff1d(np.arange(sum(sizes)), fixed)
    # In the order of the axis the matrix is a band as wide as three columns of nodes, which is solved far faster than
    # scipy's general sparse elimination orders it.
    free = free[np.argsort(np.concatenate([basis.doflocs[0] for basis in bases])[free], kind="stable")]
    for halving in range(continuation, -1, -1):
        viscosity, done = kinematic_viscosity * 2.0**halving, mean_velocity * (ON_THE_WAY if halving else NEWTON_DONE)
        velocity, pressure = _newton((fine, divergence, free), (velocity, pressure), viscosity, done)
    return AxisymmetricFlow(mesh, velocity, pressure, kinematic_viscosity, radius, bases)


def _newton(
    equations: tuple[skfem.Basis, Any, np.ndarray],
    start: tuple[np.ndarray, np.ndarray],
    viscosity: float,
    done: float,
) -> tuple[np.ndarray, np.ndarray]:
    basis, divergence, free = equations
    velocity, pressure = start
    size = basis.N
    for _ in range(NEWTON_STEPS):
        before = basis.interpolate(velocity)
        matrix = skfem.bmat(
            [[skfem.BilinearForm(_jacobian).assemble(basis, before=before, nu=viscosity), divergence.T], [divergence, None]],
            "csc",
        )
        left = np.concatenate(
            [
                skfem.LinearForm(_momentum).assemble(basis, before=before, nu=viscosity) + divergence.T @ pressure,
                divergence @ velocity,
            ]
        )
        change = np.zeros(len(left))
        change[free] = _solve_band(matrix[free][:, free].tocoo(), -left[free])
        velocity, pressure = velocity + change[:size], pressure + change[size:]
        if np.abs(change[:size]).max() < done:
            return velocity, pressure
    raise ArithmeticError(f"Newton's method did not converge in {NEWTON_STEPS} steps at a viscosity of {viscosity:g}")


def _solve_band(matrix: scipy.sparse.coo_matrix, right: np.ndarray) -> np.ndarray:
    offset = matrix.row - matrix.col
    below, above = int(offset.max()), int(-offset.min())
    band = np.zeros((below + above + 1, len(right)))
    band[above + offset, matrix.col] = matrix.data
    solved: np.ndarray = scipy.linalg.solve_banded((below, above), band, right, overwrite_ab=True, check_finite=False)
    return solved


def stenosis_drop(area_stenosis: float, reynolds: float, across: int = 10) -> float:
    """Return the drop over rho U^2 from 2 diameters before a cosine stenosis of 2 diameters' length to 6 behind it."""
    depth = (1 - np.sqrt(1 - area_stenosis)) / 2

    def radius(z: np.ndarray) -> np.ndarray:
        return 0.5 - np.where(np.abs(z) < 1, depth / 2 * (1 + np.cos(np.pi * z)), 0)

    mesh = vessel_mesh(radius, stations((-3, 16), 0, 0.5 / across, 0.25, growth=0.05), towards_wall(across))
    found = solve(mesh, radius, 1.0, 1 / reynolds)
    return found.mean_pressure(-2) - found.mean_pressure(6)
