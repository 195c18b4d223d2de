"""What happens at the openings: a given flow, a pressure, a resistance or a share of the flow, and no wave comes back.

Every opening is a piece of electrical network seen from the lumen.  Fast changes see the vessel's own wave impedance, so
that sound leaves; slow ones, those slower than ``memory``, see what was asked for: a source of flow, of pressure, a
resistor, or a capacitor that is charged until the flow is the share wanted.  All of these are passive, so nothing that
they are joined to can grow.  Where blood comes back through an outlet, in the eddies beside a jet, it comes from rest: with
the velocity that it has inside it would bring energy with it, and a jet that left 7 diameters behind a throat blew up.
Units are the lattice's: cells, steps, a density of 1; flows are out of the lumen.

References
----------
Ladd, J Fluid Mech 271:285 (1994): a population that comes back from a moving boundary.
Ginzburg, Verhaeghe and d'Humieres, Commun Comput Phys 3:427 (2008): anti-bounce-back, a given pressure.
Westerhof, Lankhaar and Westerhof, Med Biol Eng Comput 47:131 (2009): impedance, resistance and compliance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from algorithms.coronary.lattice.cells import Cells, Links
from algorithms.coronary.lattice.profile import Profile
from algorithms.coronary.lattice.velocities import SOUND_SPEED, VELOCITIES, WEIGHTS

GIVEN_FLOW, GIVEN_HEAD, GIVEN_PRESSURE, GIVEN_RESISTANCE, GIVEN_SHARE = range(5)
"""Kinds of opening: see ``Gates.law``.  The first two let blood in with a profile of velocity, the others let it out.

A head is a pressure at the inlet: the flow in follows until the pressure is there.  Blood that came in with whatever
velocity it has already (as it goes out) blew up within 200 steps.
"""

HEAD_GAIN = 4.0
"""How much faster than ``memory`` the flow in follows the pressure at the inlet."""

MEMORY_TRANSITS = 3.0
"""What is slower than this many times the sound's way through the lumen counts as slow."""


@dataclass(frozen=True, eq=False)
class Gates:
    """G openings with M links, opening by opening."""

    cell: np.ndarray
    direction: np.ndarray
    slot: np.ndarray
    unit: np.ndarray
    """What each link adds to a population that comes in, per unit of flow in: the opening's profile of velocity."""
    speed: np.ndarray
    """Velocity that is wanted behind each link, into the lumen, per unit of flow."""
    normal: np.ndarray
    """(G, 3) out of the lumen."""
    start: np.ndarray
    """(G + 1,) first link of each opening."""
    kind: np.ndarray
    """(G,)"""
    admittance: np.ndarray
    """(G,) flow over density of a sound wave in the vessel there: its area times the speed of sound."""
    memory: float
    """Part of a mean that is forgotten in a step."""
    law: np.ndarray
    """(G, 2): flow in; density; density; density without flow and its rise with flow; flow out and share."""


@dataclass(frozen=True, eq=False)
class GateState:
    """What changes at the openings from step to step, (G,) each."""

    density: np.ndarray
    """At the opening now, as a difference from 1."""
    flow: np.ndarray
    """Out of the lumen now."""
    mean_density: np.ndarray
    mean_flow: np.ndarray

    def copy(self) -> GateState:
        """Return one that does not change with this one."""
        return replace(self, **{name: getattr(self, name).copy() for name in ("density", "flow", "mean_density", "mean_flow")})


def gates(cells: Cells, kind: np.ndarray, law: np.ndarray, plug: bool = False) -> Gates:
    """Return the openings of ``cells``; flow comes in with a parabolic profile, or the same everywhere where ``plug``."""
    links = [_sorted(each) for each in cells.gates]
    speed = [_speed(cells, each, cells.profiles[i], plug) for i, each in enumerate(links)]
    normal = np.array([opening.normal for opening in cells.openings])
    unit = [
        WEIGHTS[each.direction] * (VELOCITIES[each.direction] @ n) * s for each, n, s in zip(links, normal, speed, strict=True)
    ]
    return Gates(
        cell=np.concatenate([each.cell for each in links]),
        direction=np.concatenate([each.direction for each in links]),
        slot=np.concatenate([each.slot for each in links]),
        unit=np.concatenate([each / each.sum() for each in unit]),
        speed=np.concatenate(speed),
        normal=normal,
        start=np.concatenate([[0], np.cumsum([len(each) for each in links])]).astype(np.int64),
        kind=np.asarray(kind, np.int64),
        admittance=np.array([each.area_mm2 / cells.side_mm**2 for each in cells.profiles]) * SOUND_SPEED,
        memory=float(SOUND_SPEED / (MEMORY_TRANSITS * (int(cells.level.max()) + 1))),
        law=np.asarray(law, float).reshape(len(links), 2),
    )


def _speed(cells: Cells, links: Links, profile: Profile, plug: bool) -> np.ndarray:
    """Return (M,) the velocity at the far end of each link per unit of flow through the opening, in cells."""
    if plug:
        return np.full(len(links), cells.side_mm**2 / profile.area_mm2)
    far = cells.points_mm[links.cell] + cells.side_mm * VELOCITIES[links.direction]
    return cells.side_mm**2 * profile.at(far)


def _sorted(links: Links) -> Links:
    order = np.lexsort((links.direction, links.cell))
    return Links(*(getattr(links, name)[order] for name in ("cell", "direction", "slot", "fraction")))
