"""Cheapest paths through a volume, from seeds to every voxel within a budget.

Arrays are (Z, Y, X) on a grid of equal spacing in mm; voxels are also named by their flat index.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def _push(keys: np.ndarray, nodes: np.ndarray, size: int, key: float, node: int) -> None:
    i = size
    while i > 0:
        up = (i - 1) >> 1
        if keys[up] <= key:
            break
        keys[i], nodes[i] = keys[up], nodes[up]
        i = up
    keys[i], nodes[i] = key, node


@numba.njit(cache=True)
def _sift(keys: np.ndarray, nodes: np.ndarray, size: int) -> None:
    """Put the last of ``size`` entries in the place of the first one and restore the heap of ``size - 1``."""
    key, node = keys[size - 1], nodes[size - 1]
    last = size - 1
    i = 0
    while True:
        down = 2 * i + 1
        if down >= last:
            break
        if down + 1 < last and keys[down + 1] < keys[down]:
            down += 1
        if keys[down] >= key:
            break
        keys[i], nodes[i] = keys[down], nodes[down]
        i = down
    keys[i], nodes[i] = key, node


@numba.njit(cache=True)
def march(cost: np.ndarray, spacing_mm: float, seeds: np.ndarray, budget: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the cost of the cheapest path from ``seeds`` (flat indices) to each voxel, and the voxel before it on that path.

    ``cost`` (Z, Y, X) is per mm, infinite where no path may go.  Beyond ``budget`` nothing is reached: infinity and -1.
    A path runs through the 26 neighbours of a voxel.

    References
    ----------
    Dijkstra, *A note on two problems in connexion with graphs*, Numer Math 1:269 (1959).
    """
    nz, ny, nx = cost.shape
    flat = cost.ravel()
    arrival = np.full(flat.size, np.inf, np.float32)
    before = np.full(flat.size, -1, np.int32)
    done = np.zeros(flat.size, np.bool_)
    keys = np.empty(1 << 16, np.float32)
    nodes = np.empty(1 << 16, np.int32)
    size = 0
    for s in seeds:
        if arrival[s] > 0:
            arrival[s] = 0
            if size == keys.size:
                keys, nodes = np.concatenate((keys, keys)), np.concatenate((nodes, nodes))
            _push(keys, nodes, size, 0.0, s)
            size += 1
    while size:
        node = nodes[0]
        _sift(keys, nodes, size)
        size -= 1
        if done[node]:
            continue
        done[node] = True
        z, rest = divmod(node, ny * nx)
        y, x = divmod(rest, nx)
        for dz in range(-1, 2):
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    a, b, c = z + dz, y + dy, x + dx
                    if a < 0 or b < 0 or c < 0 or a >= nz or b >= ny or c >= nx:
                        continue
                    to = (a * ny + b) * nx + c
                    if done[to] or flat[to] == np.inf:
                        continue
                    start = flat[node] if flat[node] < np.inf else flat[to]  # seeds may lie where no path goes on
                    way = np.sqrt(dz * dz + dy * dy + dx * dx) * spacing_mm * 0.5 * (start + flat[to])
                    key = arrival[node] + way
                    if key < arrival[to] and key <= budget:
                        arrival[to] = key
                        before[to] = node
                        if size == keys.size:
                            keys, nodes = np.concatenate((keys, keys)), np.concatenate((nodes, nodes))
                        _push(keys, nodes, size, key, to)
                        size += 1
    return arrival.reshape(cost.shape), before


def path_to(before: np.ndarray, node: int) -> np.ndarray:
    """Return the flat indices of the path from its seed to ``node``."""
    path = [int(node)]
    while before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    return np.array(path[::-1])
