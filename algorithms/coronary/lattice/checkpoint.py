"""The state of runs in a folder, so that a killed run goes on where it was."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from algorithms.coronary.lattice.cells import Cells
from algorithms.coronary.lattice.conditions import Condition
from algorithms.coronary.lattice.gates import GateState
from algorithms.coronary.lattice.scale import Scale
from algorithms.coronary.lattice.state import State


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A run so far."""

    state: State
    inflow: float
    """At its beginning, in lattice units: the length of its stretches follows from it."""
    seen: np.ndarray
    """(W, G + S) flows and section pressures after each stretch of the run, relative."""


def run_key(cells: Cells, given: tuple[Condition, ...], scale: Scale) -> str:
    """Return the sha256 of all that decides a run: a checkpoint of another one is not taken."""
    digest = hashlib.sha256(repr((given, scale, cells.side_mm)).encode())
    for array in (cells.index, cells.source, cells.walls.fraction):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def write_checkpoint(folder: Path, key: str, run: Checkpoint) -> None:
    """Write ``run`` in one piece: whoever is killed here leaves the checkpoint before."""
    openings = run.state.openings
    path = _place(folder, key)
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez(
            file, f=run.state.f, bend=run.state.bend, step=run.state.step, inflow=run.inflow, seen=run.seen,
            density=openings.density, flow=openings.flow, mean_density=openings.mean_density, mean_flow=openings.mean_flow,
        )  # fmt: skip
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def read_checkpoint(folder: Path, key: str) -> Checkpoint | None:
    """Return the run of this key in ``folder``, or None where there is none."""
    path = _place(folder, key)
    if not path.exists():
        return None
    with np.load(path) as kept:
        openings = GateState(*(kept[name] for name in ("density", "flow", "mean_density", "mean_flow")))
        state = State(kept["f"], kept["bend"], openings, int(kept["step"]))
        return Checkpoint(state, float(kept["inflow"]), kept["seen"])


def _place(folder: Path, key: str) -> Path:
    return folder / f"{key[:16]}.npz"
