"""Where the compiled lattice keeps its populations: every place once, however the vessel lies, for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.coronary.lattice.cells import Cells, find_cells
from algorithms.coronary.lattice.gates import GIVEN_FLOW, GIVEN_PRESSURE, Gates, gates
from algorithms.coronary.lattice.lanes import LANES
from algorithms.coronary.lattice.layout import Layout, layout
from algorithms.coronary.lattice.velocities import DIRECTIONS
from algorithms.coronary.lattice.walls import Walls, walls
from tests.algorithms.coronary.lattice.shapes import bend, fork, turned, vessel

SHAPES = {
    "along a row": vessel(1.5, 12.0, (0, 0, 1), beyond_mm=2),
    "across the rows": vessel(1.5, 12.0, (1, 2, 3), beyond_mm=2),
    "a bend whose ends share rows": bend(1.0, 4.0, 3.0, turned((1, 2, 3)), beyond_mm=1),
    "a fork": fork(1.5, (1.2, 1.0), 6.0, turned((3, 1, 1), 2.0)),
}


@pytest.fixture(params=list(SHAPES))
def made(request) -> tuple[Cells, Walls, Gates]:
    cells = find_cells(SHAPES[request.param], 0.3)
    kind = np.array([GIVEN_FLOW] + [GIVEN_PRESSURE] * (len(cells.openings) - 1))
    return cells, walls(cells, 0.52), gates(cells, kind, np.zeros((len(kind), 2)))


def every_place(found: Layout) -> np.ndarray:
    cells = np.concatenate([found.first.astype(int) + i * found.stride.astype(int) for i in range(DIRECTIONS)])
    return np.concatenate([cells, found.wall, found.gate])


def test_no_two_populations_share_a_place(made):
    """A slot lies where a cell would be and is none: 27 populations a cell and one a link, each with a place of its own."""
    cells, wall, opening = made

    places = every_place(layout(*made, threads=2))

    assert DIRECTIONS * len(cells) + len(wall.slot) + len(opening.slot) == len(places) == len(np.unique(places))


def test_what_is_packed_is_unpacked(made):
    cells, wall, _ = made
    found = layout(*made, threads=2)
    f = np.zeros((DIRECTIONS, cells.width), np.float32)
    f[:, : len(cells)] = np.random.default_rng(1).normal(size=(DIRECTIONS, len(cells)))
    f.reshape(-1)[wall.slot] = 7

    assert np.array_equal(f, found.unpacked(found.packed(f)))


def test_runs_read_what_the_cells_columns_say(made):
    """Number every population by its column: the 27 places of a run, and those behind them, hold the columns of its cells."""
    cells, _, _ = made
    found = layout(*made, threads=2)
    numbers = np.arange(DIRECTIONS * cells.width).reshape(DIRECTIONS, -1)
    flat = np.zeros(found.size, int)
    flat[every_place(found)] = np.concatenate([numbers[:, : len(cells)].reshape(-1), found.slots])
    at = np.full(found.size, -1)
    at[found.first] = np.arange(len(cells))
    runs = found.runs

    seen = 0
    for source, target, length in zip(runs.source.astype(int), runs.target.astype(int), runs.length, strict=True):
        run = at[target : target + length]
        assert (run >= 0).all()
        for direction in range(DIRECTIONS):
            wanted = numbers[direction, cells.source[direction, run]]
            assert np.array_equal(wanted, flat[source[direction] : source[direction] + length])
        seen += length
    assert len(cells) == seen


@pytest.mark.parametrize("threads", [1, 2, 3, 64])
def test_threads_share_the_runs_and_no_row(made, threads):
    """What a run's last vector writes beyond its end meets no cell of another thread, nor one that was written before."""
    found = layout(*made, threads=threads)
    runs = found.runs
    of_thread = np.repeat(np.arange(threads), np.diff(runs.parts))
    owner, written = np.full(found.size, -1), np.full(found.size, -1)

    for run, (thread, target, stride, length) in enumerate(zip(of_thread, runs.target, runs.stride, runs.length, strict=True)):
        for direction in range(DIRECTIONS):
            start = int(target) + direction * int(stride)
            assert (written[start : start + length] <= run).all()
            written[start : start + length] = run
            owner[start : start + -(-length // LANES) * LANES] = thread

    assert [0, len(runs.length)] == [runs.parts[0], runs.parts[-1]]
    cells = every_place(found)[: DIRECTIONS * len(found.first)]
    assert (written[cells] >= 0).all()
    for thread, target, stride, length in zip(of_thread, runs.target, runs.stride, runs.length, strict=True):
        for direction in range(DIRECTIONS):
            start = int(target) + direction * int(stride)
            assert (owner[start : start + length] == thread).all()
