"""The FDA's benchmark nozzle in its sudden-expansion orientation, laminar: throat Reynolds number 500.

Inlet of 12 mm, a cone of 20 degrees, a throat of 4 mm and 40 mm long, and at z = 0 a sudden expansion to 12 mm.

References
----------
Hariharan et al., *Multilaboratory particle image velocimetry analysis of the FDA benchmark nozzle model to support validation
of computational fluid dynamics simulations*, J Biomech Eng 133:041002 (2011), abstract: at Reynolds 500 the velocities of three
laboratories "were similar with an interlaboratory uncertainty of 10 % at most of the locations".
Stewart et al., Cardiovasc Eng Technol 3:139 (2012), to which the FDA's page of the benchmark refers for geometry and flow; read
here in the sources of two programs that solve it and agree with each other.
The measured velocities (doi:10.17917/C78G69, github.com/OSEL-DAM/CFD-and-Blood-Damage-Benchmarks) lie in an archive that could
not be had here: the values below are our own finite elements', to be judged within the laboratories' scatter.
"""

from __future__ import annotations

import numpy as np

from benchmarks.references.axisymmetric import AxisymmetricFlow, expansion_mesh, solve, stations, towards_wall

INLET_MM, THROAT_MM, THROAT_LENGTH_MM = 12.0, 4.0, 40.0
"""Diameters and length."""

CONE_LENGTH_MM = (INLET_MM - THROAT_MM) / 2 / np.tan(np.radians(10))
"""22.685 mm."""

DENSITY_KG_M3, VISCOSITY_PA_S, FLOW_M3_S = 1056.0, 0.0035, 5.20624e-6
"""Of the laminar case."""

LABORATORIES = 0.10
"""Relative scatter of the velocities measured by three laboratories at Reynolds 500 (Hariharan et al. 2011, abstract)."""


AXIS_VELOCITY = (
    (-88.0, 0.2222), (-64.0, 0.2244), (-48.0, 0.4544), (-42.0, 0.8938), (-40.0, 1.1522), (-20.0, 1.6310), (-8.0, 1.7545),
    (-0.8, 1.8058), (8.0, 1.7699), (16.0, 1.7233), (24.0, 1.6680), (32.0, 1.6064), (60.0, 1.3758), (80.0, 1.2188),
)  # fmt: skip
"""Place in mm and velocity on the axis over the throat's mean velocity (0.4143 m/s), at the laboratories' stations.

``computed(11, 0.06)``; with 7 elements across no value is more than 0.13 % off.  A developed flow would have 2 in the throat.
"""

PRESSURE_FALL = 1.712
"""From -64 mm to -0.4 mm, section means, in rho U^2 of the throat's mean velocity; 0.01 % less on the coarser mesh."""


def wall_mm() -> np.ndarray:
    """Return (K, 2) place along the axis and radius of the corners of the wall."""
    throat, cone = -THROAT_LENGTH_MM, -THROAT_LENGTH_MM - CONE_LENGTH_MM
    wide, narrow = INLET_MM / 2, THROAT_MM / 2
    return np.array([[-120, wide], [cone, wide], [throat, narrow], [0, narrow], [0, wide], [200, wide]])


def radius_mm(z_mm: np.ndarray) -> np.ndarray:
    """Return the radius at places along the axis; at 0 that of the throat."""
    before = np.interp(z_mm, [-THROAT_LENGTH_MM - CONE_LENGTH_MM, -THROAT_LENGTH_MM], [INLET_MM / 2, THROAT_MM / 2])
    return np.where(z_mm > 0, INLET_MM / 2, before)


def computed(across: int, finest: float, ends: tuple[float, float] = (-22.0, 90.0)) -> AxisymmetricFlow:
    """Return our own flow in throat diameters, mean throat velocities and unit density.

    Parameters
    ----------
    across
        Elements across the throat's radius, and as many behind the step between jet and wall.
    finest
        Length of the elements at the throat's ends.
    ends
        Where the domain begins, with a parabola, and ends, behind the eddy of 52 diameters: blood may not come in there.
    """
    throat = -THROAT_LENGTH_MM / THROAT_MM
    halves = stations((ends[0], throat / 2), throat, finest, 1.0, 0.1), stations((throat / 2, 0), 0, finest, 1.0, 0.1)
    z = np.concatenate([halves[0], halves[1][1:], stations((0, ends[1]), 0, finest, 2.0, 0.05)[1:]])

    def radius(places: np.ndarray) -> np.ndarray:
        return radius_mm(THROAT_MM * np.minimum(places, 0)) / THROAT_MM

    shear_layer = 0.5 + (INLET_MM / THROAT_MM - 1) / 2 * np.linspace(0, 1, across + 1) ** 1.5
    mesh = expansion_mesh(radius, z, towards_wall(across), shear_layer)
    return solve(mesh, radius, (THROAT_MM / INLET_MM) ** 2, 1 / 500)
