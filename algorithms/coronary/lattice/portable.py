"""The lattice's step in plain torch: the same mathematics as ``compiled``, on whatever device torch has.

It is the oracle that the compiled path is tested against, and the path for a graphics card.  Sums are taken in another
order, so the two differ by rounding: by less than 1e-5 of the largest population after a hundred steps.
"""

from __future__ import annotations

import torch

from algorithms.coronary.lattice.cells import Cells
from algorithms.coronary.lattice.gates import GIVEN_HEAD, GIVEN_RESISTANCE, GIVEN_SHARE, HEAD_GAIN, Gates
from algorithms.coronary.lattice.state import Lattice, State
from algorithms.coronary.lattice.velocities import OPPOSITE, VELOCITIES, WEIGHTS
from algorithms.coronary.lattice.walls import BEND_RATE, Walls


class Portable(Lattice):
    """A lattice in torch: what the step needs, as tensors of one device."""

    def __init__(self, cells: Cells, wall: Walls, gates: Gates, tau: float, *, start: State, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.keep = 1 - 1 / tau
        self.width, self.count = cells.width, len(cells)
        self.source = self._integers(cells.source)
        self.wall_hit, self.wall_back, self.wall_behind, self.wall_slot = (
            self._integers(columns) for columns in (wall.hit, wall.back, wall.behind, wall.slot)
        )
        self.wall_cell, self.wall_before, self.wall_direction, self.wall_section = (
            self._integers(numbers) for numbers in (wall.cell, wall.before, wall.direction, wall.section)
        )
        self.wall_of_hit, self.wall_of_back, self.wall_of_behind = (
            self._reals(factors) for factors in (wall.of_hit, wall.of_back, wall.of_behind)
        )
        self.wall_of_bend, self.wall_share = self._reals(wall.of_bend), self._reals(wall.share)
        self.sections = len(wall.start) - 1
        self.gates = gates
        self.c = self._reals(VELOCITIES)
        self.w = self._reals(WEIGHTS)
        self.opposite = self._integers(OPPOSITE)
        self.gate_links = [slice(int(a), int(b)) for a, b in zip(gates.start[:-1], gates.start[1:], strict=True)]
        self.gate_cell, self.gate_direction = self._integers(gates.cell), self._integers(gates.direction)
        self.gate_slot = self.opposite[self.gate_direction] * self.width + self._integers(gates.slot)
        self.gate_unit, self.gate_speed = self._reals(gates.unit), self._reals(gates.speed)
        self.gate_normal = self._reals(gates.normal)
        self.q = self._quadratic()
        self.f, self.bend = self._reals(start.f).clone(), self._reals(start.bend).clone()
        self.openings, self.step = start.openings.copy(), start.step
        self.spare = torch.zeros_like(self.f)

    @property
    def state(self) -> State:
        """A copy of what changes."""
        return State(self.f.cpu().numpy(), self.bend.cpu().numpy(), self.openings, self.step)

    def _integers(self, values: object) -> torch.Tensor:
        return torch.as_tensor(values).to(self.device, torch.int64)

    def _reals(self, values: object) -> torch.Tensor:
        return torch.as_tensor(values).to(self.device, torch.float32)

    def _quadratic(self) -> torch.Tensor:
        """Return (27, 3, 3): the stress's part of each population over its weight (see ``compiled``)."""
        q = 4.5 * self.c[:, :, None] * self.c[:, None] - 1.5 * torch.eye(3, device=self.device)
        return q

    def curve(self) -> None:
        """Let the wall's correction follow the curvature of the velocity."""
        i = self.wall_direction
        target = self.wall_of_bend * (self._stressed(self.wall_cell, i) - self._stressed(self.wall_before, i))
        self.bend += BEND_RATE * (target - self.bend)

    def _stressed(self, x: torch.Tensor, i: torch.Tensor) -> torch.Tensor:
        """Return the two populations along ``i`` and against it in cells ``x``, less their equilibrium."""
        here = self.f[:, x]
        both = here.gather(0, i[None])[0] + here.gather(0, self.opposite[i][None])[0]
        return both - 2 * self.w[i] * (here.sum(0) + self._square(i, self.c.T @ here))

    def reflect(self) -> None:
        """Fill the slots of the wall."""
        flat = self.f.view(-1)
        gone, same, before = flat[self.wall_hit], flat[self.wall_back], flat[self.wall_behind]
        comes = self.wall_of_hit * gone + self.wall_of_back * same + self.wall_of_behind * before + self.bend
        leak = torch.zeros(self.sections, device=self.device, dtype=torch.float64)
        leak.index_add_(0, self.wall_section, (gone - comes).double())
        flat[self.wall_slot] = comes + self.wall_share * leak.float()[self.wall_section]

    def open_gates(self) -> None:
        """Fill the slots of the openings, and bring their state one step on."""
        flat, given, state = self.f.view(-1), self.gates, self.openings
        for gate, links in enumerate(self.gate_links):
            x, i = self.gate_cell[links], self.gate_direction[links]
            here = self.f[:, x]
            rho, j = here.sum(0), self.c.T @ here
            back, out = here.gather(0, self.opposite[i][None])[0], here.gather(0, i[None])[0]
            head = given.kind[gate] == GIVEN_HEAD
            if given.kind[gate] <= GIVEN_HEAD:
                into = float(-state.mean_flow[gate] if head else given.law[gate, 0])
                u = -self.gate_normal[gate][:, None] * self.gate_speed[links] * into
                linear = -3 * (self.c[i].T * (u - j)).sum(0)
                comes = back + self.w[i] * (linear + self._square(i, u) - self._square(i, j))
                seen = float(rho.double().mean())
                excess = seen - (given.law[gate, 0] if head else state.mean_density[gate])
                wanted = -into + given.admittance[gate] * excess
                if head:
                    state.mean_flow[gate] += HEAD_GAIN * given.memory * given.admittance[gate] * excess
                state.mean_density[gate] += (seen - state.mean_density[gate]) * given.memory
                state.density[gate] = seen
                comes = comes + self.gate_unit[links] * (float((out - comes).double().sum()) - wanted)
                state.flow[gate] = wanted
            else:
                outside = float(state.density[gate])
                leaves = self.gate_normal[gate] @ j >= 0
                comes = torch.where(leaves, back + self.w[i] * (outside - rho), self.w[i] * outside)
                state.flow[gate] = float((out - comes).double().sum())
            flat[self.gate_slot[links]] = comes
        self._laws()

    def _square(self, i: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.einsum("kab,ak,bk->k", self.q[i], u, u)

    def _laws(self) -> None:
        given, state = self.gates, self.openings
        follows = given.kind != GIVEN_HEAD
        state.mean_flow[follows] += ((state.flow - state.mean_flow) * given.memory)[follows]
        total = state.mean_flow.clip(0).sum()
        for gate, kind in enumerate(given.kind):
            if kind <= GIVEN_HEAD:
                continue
            if kind == GIVEN_RESISTANCE:
                state.mean_density[gate] = given.law[gate, 0] + given.law[gate, 1] * state.mean_flow[gate]
            elif kind == GIVEN_SHARE:
                excess = state.mean_flow[gate] - given.law[gate, 0] - given.law[gate, 1] * total
                state.mean_density[gate] += given.memory * excess / given.admittance[gate]
            wave = (state.flow[gate] - state.mean_flow[gate]) / given.admittance[gate]
            state.density[gate] = state.mean_density[gate] + wave

    def collide(self) -> None:
        """Stream and collide every cell."""
        g = self.f.gather(1, self.source)
        rho, j = g.sum(0), self.c.T @ g
        square = j[:, None] * j[None]
        stress = torch.einsum("ia,ib,ik->abk", self.c, self.c, g)
        stress = stress - square
        trace = (stress[0, 0] + stress[1, 1] + stress[2, 2]) / 3
        stress = stress - torch.eye(3, device=self.device)[:, :, None] * trace
        whole = self.keep * stress + square
        change = rho + 3 * (self.c @ j) + torch.einsum("iab,abk->ik", self.q, whole)
        self.spare[:, : self.count] = self.w[:, None] * change
        self.f, self.spare = self.spare, self.f
