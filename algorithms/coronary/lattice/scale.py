"""From SI to the lattice's units and back: how long a step is, and whether the cells are fine enough for the flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.coronary.lattice.conditions import Fluid
from algorithms.coronary.lattice.velocities import SOUND_SPEED

MACH = 0.13
"""Mach number of the fastest blood when the step is chosen; errors of the equilibrium go with its square."""

LARGEST_MACH = 0.15
"""Taken where ``MACH`` would need a relaxation time below ``SMALLEST_TAU``; a result above it fails its check."""

SMALLEST_TAU = 0.5025
"""Relaxation time, in steps, down to which walls, openings and jets held in every run."""

LARGEST_TAU = 0.6
"""Above it the slowest flows would be solved with long steps whose walls are less exact."""


@dataclass(frozen=True)
class Scale:
    """What one unit of the lattice is."""

    side_m: float
    step_s: float
    fluid: Fluid

    @property
    def velocity_m_s(self) -> float:
        """A cell per step."""
        return self.side_m / self.step_s

    @property
    def flow_m3_s(self) -> float:
        """A cell's volume per step."""
        return self.side_m**3 / self.step_s

    @property
    def stress_pa(self) -> float:
        """Density times velocity squared."""
        return self.fluid.density_kg_m3 * self.velocity_m_s**2

    @property
    def pressure_pa(self) -> float:
        """A density of 1: the square of the speed of sound."""
        return self.stress_pa * float(SOUND_SPEED) ** 2

    @property
    def viscosity(self) -> float:
        """Kinematic, in cells squared per step."""
        return self.fluid.kinematic_m2_s * self.step_s / self.side_m**2

    @property
    def tau(self) -> float:
        """Relaxation time of the stress, in steps."""
        return 0.5 + 3 * self.viscosity


def scale(side_mm: float, fluid: Fluid, fastest_m_s: float) -> Scale:
    """Return the scale at which blood of ``fastest_m_s`` has the wanted Mach number.

    Raises
    ------
    DataError
        If the cells are too large for so fast a flow.
    """
    side = side_mm * 1e-3
    longest = (LARGEST_TAU - 0.5) / 3 * side**2 / fluid.kinematic_m2_s
    shortest = (SMALLEST_TAU - 0.5) / 3 * side**2 / fluid.kinematic_m2_s
    step = MACH * SOUND_SPEED * side / max(fastest_m_s, 1e-9)
    most = LARGEST_MACH * SOUND_SPEED * side / max(fastest_m_s, 1e-9)
    if most < shortest:
        wanted = 3 * LARGEST_MACH * SOUND_SPEED * fluid.kinematic_m2_s / ((SMALLEST_TAU - 0.5) * fastest_m_s) * 1e3
        raise DataError(
            f"blood of {fastest_m_s:.2f} m/s needs cells of at most {wanted:.3f} mm, these have {side_mm:.3f} mm; "
            "use smaller cells, or the reduced model"
        )
    return Scale(side, float(np.clip(step, shortest, longest)), fluid)
