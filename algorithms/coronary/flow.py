"""Steady flow and pressure in the whole tree at hyperaemia, reduced order.

Aorta -> edges (friction and expansion losses) -> one hyperaemic microvascular resistance an outlet -> venous pressure.
With the M outlet flows q as unknowns the edge flows are ``below @ q``, so mass is conserved whatever q is, and pressure
balance along every path from the aorta to a vein is the gradient of a strictly convex function of q: there is exactly
one solution, and Newton's matrix is symmetric and positive definite.

Pressures leave out the reversible (Bernoulli) part: they are aortic pressure minus what was lost so far, which is what
a wire reads wherever the flow has recovered, and more than it would read inside a throat.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.coronary.boundary import Boundary
from algorithms.coronary.haemodynamics.blood import LARGEST_WOMERSLEY_NUMBER, TURBULENT_REYNOLDS_NUMBER
from algorithms.coronary.haemodynamics.network import Losses, Network, edge_losses_mmhg, losses, network
from algorithms.coronary.tree import Tree

RESIDUAL_LIMIT = 1e-12
"""Largest imbalance of pressure along any path, as a fraction of the driving pressure, at which Newton stops."""

ROUNDING_MMHG = 1e-9
"""What adding up a tree's losses may cost in rounding; a check that fails by more has found a bug."""

ROUNDING_DIGITS = 14
"""Behind so many places a residual is what a processor rounds in its own order; written, it would make equal cases differ."""

MOST_ITERATIONS = 50
"""Newton needs a handful; more than this is a bug, not a hard case, for the problem is convex."""


@dataclass(frozen=True, eq=False)
class Flow:
    """Pressure, flow and cumulated losses at every point, one (N,) array a branch.

    The flow at a point is the flow that arrives there; at a branch's first point, the flow that enters it.
    """

    pressure_mmhg: tuple[np.ndarray, ...]
    flow_ml_s: tuple[np.ndarray, ...]
    viscous_mmhg: tuple[np.ndarray, ...]
    expansion_mmhg: tuple[np.ndarray, ...]
    outlet_flow_ml_s: np.ndarray
    iterations: int
    residual: float


def outlet_flows_ml_s(
    net: Network, linear: np.ndarray, quadratic: np.ndarray, resistance_mmhg_s_ml: np.ndarray, drive_mmhg: np.ndarray
) -> tuple[np.ndarray, int, float]:
    """Return the outlet flows (..., M), Newton's iterations and the largest relative residual.

    Parameters
    ----------
    net
        Edges and outlets; only ``below`` is used.
    linear, quadratic
        Loss coefficients of the edges, (..., E), mmHg s/ml and mmHg s2/ml2.
    resistance_mmhg_s_ml
        Microvascular resistance behind each outlet, (..., M), > 0.
    drive_mmhg
        Aortic minus venous pressure for each outlet, (..., M).

    Raises
    ------
    ArithmeticError
        If it does not converge: with finite, positive coefficients that is a bug.
    """
    below = net.below
    drive = np.broadcast_to(drive_mmhg, resistance_mmhg_s_ml.shape)
    scale = np.abs(drive).max(axis=-1, keepdims=True)
    diagonal = np.arange(below.shape[1])

    def imbalance(q: np.ndarray) -> np.ndarray:
        lost: np.ndarray = edge_losses_mmhg(linear, quadratic, q @ below.T) @ below + resistance_mmhg_s_ml * q - drive
        return lost

    q = np.zeros_like(drive)
    f = imbalance(q)
    for iteration in range(1, MOST_ITERATIONS + 1):
        slope = linear + 2 * quadratic * np.abs(q @ below.T)
        matrix = np.swapaxes(below * slope[..., :, None], -1, -2) @ below
        matrix[..., diagonal, diagonal] += resistance_mmhg_s_ml
        step = np.linalg.solve(matrix, f[..., None])[..., 0]
        length = np.ones_like(scale)
        trial = imbalance(q - step)
        # Halving where the full step overshoots: the residual of a convex problem falls along Newton's direction.
        while (worse := np.abs(trial).max(axis=-1, keepdims=True) > np.abs(f).max(axis=-1, keepdims=True)).any():
            length = np.where(worse, length / 2, length)
            if length.min() < 1e-6:
                break
            trial = imbalance(q - length * step)
        q, f = q - length * step, trial
        residual = float((np.abs(f) / scale).max())
        if residual <= RESIDUAL_LIMIT:
            return q, iteration, residual
    raise ArithmeticError(f"tree flow did not converge in {MOST_ITERATIONS} iterations, residual {residual:.1e}")


def along_branches(
    tree: Tree, net: Network, lost: Losses, edge_flow: np.ndarray
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Return the viscous and the expansion loss from the aorta to every point, one (..., N) mmHg array a branch each."""
    viscous: list[np.ndarray] = []
    expansion: list[np.ndarray] = []
    for index, branch in enumerate(tree.branches):
        flow = edge_flow[..., net.interval_edge(index)]
        for total, per_interval in (
            (viscous, lost.viscous[index] * flow),
            (expansion, lost.expansion[index] * flow * np.abs(flow)),
        ):
            start = 0.0 if branch.parent is None else total[branch.parent][..., branch.parent_point]
            first = np.broadcast_to(start, per_interval.shape[:-1])[..., None]
            total.append(np.concatenate([first, first + np.cumsum(per_interval, axis=-1)], axis=-1))
    return tuple(viscous), tuple(expansion)


def solve(tree: Tree, given: Boundary, ratio: tuple[np.ndarray, ...] | None = None) -> Flow:
    """Return the hyperaemic flow in ``tree`` under the boundary conditions ``given``, which were made for it.

    ``ratio`` multiplies the loss of every interval, one (N - 1,) array > 0 a branch.
    """
    net = network(tree)
    if net.places != given.places:
        raise ValueError("these boundary conditions belong to another tree")
    lost = losses(tree, tuple(b.radius_mm for b in tree.branches), given["viscosity_pa_s"], given["density_kg_m3"])
    if ratio is not None:
        scaled = [tuple(a * b for a, b in zip(part, ratio, strict=True)) for part in (lost.viscous, lost.expansion)]
        lost = Losses(scaled[0], scaled[1])
    linear, quadratic = lost.per_edge(net)
    aortic = given["aortic_pressure_mmhg"]
    drive = np.full(len(net.outlets), aortic - given["venous_pressure_mmhg"])
    q, iterations, residual = outlet_flows_ml_s(net, linear, quadratic, given.resistance_hyperaemic_mmhg_s_ml, drive)
    edge_flow = net.below @ q
    viscous, expansion = along_branches(tree, net, lost, edge_flow)
    flows = tuple(edge_flow[net.interval_edge(i)[[0, *range(len(b.radius_mm) - 1)]]] for i, b in enumerate(tree.branches))
    pressures = tuple(aortic - v - e for v, e in zip(viscous, expansion, strict=True))
    return Flow(pressures, flows, viscous, expansion, q, iterations, residual)


def reynolds_number(flow_ml_s: np.ndarray, radius_mm: np.ndarray, viscosity_pa_s: float, density_kg_m3: float) -> np.ndarray:
    """Return the Reynolds number of the mean velocity and the diameter, 2 rho Q / (pi mu r)."""
    number: np.ndarray = 2 * density_kg_m3 * flow_ml_s * 1e-6 / (np.pi * viscosity_pa_s * radius_mm * 1e-3)
    return number


def checks(tree: Tree, given: Boundary, solved: Flow) -> list[dict[str, Any]]:
    """Return what was checked of the solution, as the report shows it."""
    net = network(tree)
    pressures = np.concatenate(solved.pressure_mmhg)
    rise = max(float(np.diff(p).max()) for p in solved.pressure_mmhg)
    behind = np.array([solved.pressure_mmhg[o.branch][o.point] for o in net.places]) - given["venous_pressure_mmhg"]
    aortic, venous = given["aortic_pressure_mmhg"], given["venous_pressure_mmhg"]
    ohm = float(np.abs(behind - given.resistance_hyperaemic_mmhg_s_ml * solved.outlet_flow_ml_s).max() / (aortic - venous))
    reynolds = max(
        float(reynolds_number(q, b.radius_mm, given["viscosity_pa_s"], given["density_kg_m3"]).max())
        for q, b in zip(solved.flow_ml_s, tree.branches, strict=True)
    )
    above, under = float(pressures.max()) - aortic, venous - float(pressures.min())
    found = [
        _check(
            "mass balance",
            mass_imbalance(tree, net, solved),
            "1",
            1e-9,
            "flow lost at the worst bifurcation, over the total flow",
        ),
        _check("residual", solved.residual, "1", RESIDUAL_LIMIT, "imbalance along the worst path, over the driving pressure"),
        _check("microvascular law", ohm, "1", 1e-9, "outlet pressure against resistance times flow, over the driving pressure"),
        _check("pressure rise", max(rise, 0.0), "mmHg", ROUNDING_MMHG, "losses never give pressure back downstream"),
        _check("pressure above aortic", max(above, 0.0), "mmHg", ROUNDING_MMHG, "no point lies above aortic pressure"),
        _check("pressure below venous", max(under, 0.0), "mmHg", ROUNDING_MMHG, "no point lies below venous pressure"),
        _check(
            "reynolds number",
            reynolds,
            "1",
            TURBULENT_REYNOLDS_NUMBER,
            "highest in the tree; above, flow is turbulent; the loss model is proven to 730",
        ),
    ]
    if "heart_rate_per_min" in given.values:
        help_text = "of the widest vessel at the heart rate; above, inertia rules the pulse, which a steady flow leaves out"
        found.append(_check("womersley number", womersley_number(tree, given), "1", LARGEST_WOMERSLEY_NUMBER, help_text))
    return found


def womersley_number(tree: Tree, given: Boundary) -> float:
    """Return the Womersley number of the widest vessel, ``R sqrt(2 pi f rho / mu)``.

    References
    ----------
    Womersley, *Method for the calculation of velocity, rate of flow and viscous drag in arteries when the pressure gradient
    is known*, J Physiol 127:553 (1955).
    """
    pulse = 2 * np.pi * given["heart_rate_per_min"] / 60
    widest_m = 1e-3 * max(float(b.radius_mm.max()) for b in tree.branches)
    return float(widest_m * np.sqrt(pulse * given["density_kg_m3"] / given["viscosity_pa_s"]))


def mass_imbalance(tree: Tree, net: Network, solved: Flow) -> float:
    """Return the flow that is lost at the worst bifurcation, outlet or between the ostia, over the total flow."""
    edge_flow = np.array([solved.flow_ml_s[branch][stop] for branch, stop in zip(net.branch, net.stop, strict=True)])
    leaving = np.zeros(len(edge_flow) + 1)
    np.add.at(leaving, net.upstream, edge_flow)  # upstream -1, an ostium, is the last entry: what the aorta gives
    leaving[net.outlets] += solved.outlet_flow_ml_s
    total = float(solved.outlet_flow_ml_s.sum())
    imbalance = np.append(edge_flow, total) - leaving
    return float(np.abs(imbalance).max() / total)


def _check(name: str, value: float, unit: str, limit: float, help_text: str) -> dict[str, Any]:
    passed = bool(value <= limit)
    return {
        "name": name,
        "value": round(float(f"{value:.4g}"), ROUNDING_DIGITS),
        "unit": unit,
        "limit": f"<= {limit:g}",
        "passed": passed,
        "help": help_text,
    }


def expansion_share(solved: Flow) -> float:
    """Return the expansion part of all pressure lost on the way to the tip that lost most, 0 to 1."""
    tips = [(v[-1], e[-1]) for v, e in zip(solved.viscous_mmhg, solved.expansion_mmhg, strict=True)]
    viscous, expansion = max(tips, key=sum)
    return float(expansion / (viscous + expansion)) if expansion > 0 else 0.0


def write_flow(
    tree: Tree, solved: Flow, found: list[dict[str, Any]], path: Path, three: Mapping[str, Any] | None = None
) -> None:
    """Write ``solved``, the checks ``found`` and what was solved in 3-D as JSON; numbers are rounded to 1e-6 mmHg and ml/s."""
    names = ("pressure_mmhg", "flow_ml_s", "viscous_mmhg", "expansion_mmhg")
    branches = [
        {name: np.round(getattr(solved, name)[i], 6).tolist() for name in names} for i in range(len(solved.pressure_mmhg))
    ]
    outlets = [
        {
            "branch": place.branch,
            "point": place.point,
            "pressure_mmhg": round(float(solved.pressure_mmhg[place.branch][place.point]), 6),
            "flow_ml_s": round(float(q), 6),
        }
        for place, q in zip(network(tree).places, solved.outlet_flow_ml_s, strict=True)
    ]
    document = {"branches": branches, "outlets": outlets, "iterations": solved.iterations, "checks": found}
    document["three_dimensional"] = dict(three) if three else None
    path.write_text(json.dumps(document, separators=(",", ":")) + "\n")


def read_pressures(path: Path) -> tuple[np.ndarray, ...]:
    """Return the pressure at every point from ``flow.json``, one (N,) mmHg array a branch."""
    return tuple(np.asarray(branch["pressure_mmhg"]) for branch in json.loads(path.read_text())["branches"])


def read_three_dimensional(path: Path) -> dict[str, Any] | None:
    """Return what ``flow.json`` says of solutions in three dimensions; None where the reduced model alone was run."""
    found: dict[str, Any] | None = json.loads(path.read_text()).get("three_dimensional")
    return found


if __name__ == "__main__":
    import sys

    from algorithms.coronary.flow_command import main

    sys.exit(main())
