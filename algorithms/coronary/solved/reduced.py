"""The reduced model in a tree whose openings have an engineer's conditions: a flow or a pressure in, anything out.

The network is that of ``haemodynamics.network``; it counts in mmHg and ml/s.  Blood leaves at the tips only: what the
pipeline adds for branches too small for CT is no opening of the geometry.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import brentq

from algorithms.contract.errors import DataError
from algorithms.coronary.conditions import Conditions
from algorithms.coronary.flow import along_branches, outlet_flows_ml_s, reynolds_number
from algorithms.coronary.geometry.shape import Opening
from algorithms.coronary.haemodynamics.blood import PA_PER_MMHG
from algorithms.coronary.haemodynamics.branching import end_children
from algorithms.coronary.haemodynamics.network import Losses, Network, losses, network
from algorithms.coronary.lattice.checks import MASS_BALANCE, TRANSITIONAL_REYNOLDS, Check, at_most
from algorithms.coronary.solved.answer import Answer, AtOpening, Means
from algorithms.coronary.tree import Tree

RESIDUAL = 1e-9
"""Imbalance along the worst path over the driving pressure: far below what a file shows of it."""

M3_S = 1e-6
"""A ml/s in m3/s."""


def tips_only(tree: Tree) -> Tree:
    """Return the tree without what lies behind its last divisions, and with calibres that hide no unseen branch."""
    branches = []
    for index, branch in enumerate(tree.branches):
        last = len(branch.radius_mm) - 1
        if end_children(tree, index):
            last = max(1, *(int(tree.branches[child].parent_point or 0) for child in tree.children(index)))
        kept = slice(0, last + 1)
        arrays = {name: getattr(branch, name)[kept] for name in ("points_mm", "radius_mm", "radius_sd_mm", "segment")}
        # A reference radius that tapers means branches that were not found, and outlets for them.
        even = np.full(last + 1, branch.reference_radius_mm[-1])
        branches.append(replace(branch, reference_radius_mm=even, **arrays))
    return Tree(tuple(branches), (), tree.doubts)


def reduced_answer(tree: Tree, openings: tuple[Opening, ...], given: Conditions) -> Answer:
    """Return the flow in ``tree``, whose roots and tips are the ``openings``.

    Raises
    ------
    DataError
        If the lumen is closed somewhere, or blood would flow in through an outlet.
    """
    tree = tips_only(tree)
    net = network(tree)
    lost = losses(tree, tuple(b.radius_mm for b in tree.branches), given.viscosity_pa_s, given.density_kg_m3)
    root = _roots(tree)
    names = {index: _inlet_at(tree.branches[index].points_mm[0], openings).name for index in sorted(set(root))}
    pressure, flow, residual = _flows(net, lost, given, (tree, root, names))
    for place, q in zip(net.places, flow, strict=True):
        if q <= 0:
            raise DataError(
                f"blood would flow in through the outlet {tree.branches[place.branch].name}, whose pressure is higher than "
                "what reaches it; lower the pressure there or make it an inlet"
            )
    means = means_of(tree, flow * M3_S, {index: p * PA_PER_MMHG for index, p in pressure.items()}, given)
    entering = {names[index]: (pressure[index] * PA_PER_MMHG, float(means.flow_m3_s[index][0])) for index in names}
    leaving = {
        tree.branches[place.branch].name: (float(means.pressure_pa[place.branch][place.point]), float(q) * M3_S)
        for place, q in zip(net.places, flow, strict=True)
    }
    at = tuple(AtOpening(o, *(entering if o.inlet else leaving)[o.name]) for o in openings)
    return Answer("reduced", tree, at, means, _checks(tree, at, means, (given, residual)), tree.doubts)


def means_of(tree: Tree, outlet_m3_s: np.ndarray, inlet_pa: dict[int, float], given: Conditions) -> Means:
    """Return pressure and losses along ``tree`` for flows (M,) through its outlets and pressures at its roots, by branch."""
    net = network(tree)
    lost = losses(tree, tuple(b.radius_mm for b in tree.branches), given.viscosity_pa_s, given.density_kg_m3)
    edge_flow = net.below @ (outlet_m3_s / M3_S)
    terms = along_branches(tree, net, lost, edge_flow)
    viscous, expansion = (tuple(part * PA_PER_MMHG for part in term) for term in terms)
    flows = tuple(
        M3_S * edge_flow[net.interval_edge(i)[[0, *range(len(b.radius_mm) - 1)]]] for i, b in enumerate(tree.branches)
    )
    root = _roots(tree)
    pressures = tuple(inlet_pa[root[i]] - v - e for i, (v, e) in enumerate(zip(viscous, expansion, strict=True)))
    return Means(flows, pressures, viscous, expansion)


def _inlet_at(place_mm: np.ndarray, openings: tuple[Opening, ...]) -> Opening:
    return min((o for o in openings if o.inlet), key=lambda o: float(np.linalg.norm(o.centre_mm - place_mm)))


def _roots(tree: Tree) -> list[int]:
    """Return the root from which each branch is fed."""
    root: list[int] = []
    for index, branch in enumerate(tree.branches):
        root.append(index if branch.parent is None else root[branch.parent])
    return root


def _flows(
    net: Network, lost: Losses, given: Conditions, where: tuple[Tree, list[int], dict[int, str]]
) -> tuple[dict[int, float], np.ndarray, float]:
    """Return pressures (mmHg) at the roots by branch, flows (M,) ml/s through the outlets, and the residual."""
    tree, root, names = where
    linear, quadratic = lost.per_edge(net)
    outlets = [given.outlets[tree.branches[place.branch].name] for place in net.places]
    fed = np.array([root[place.branch] for place in net.places])
    inlets = {index: given.inlets[name] for index, name in names.items()}
    if all(outlet.flow_fraction is not None for outlet in outlets):
        if len(inlets) > 1:
            raise DataError("flow fractions do not say how much of which inlet they are of; give pressures or resistances")
        (index, inlet) = next(iter(inlets.items()))
        shares = np.array([outlet.flow_fraction or 0.0 for outlet in outlets])
        total = (inlet.flow_m3_s or 0.0) / M3_S
        return {index: (inlet.pressure_pa or 0.0) / PA_PER_MMHG}, total * shares / shares.sum(), 0.0
    # Pa s/m3 is 1e-6 Pa s/ml.
    behind = np.array([(o.resistance_pa_s_m3 or 0.0) * M3_S / PA_PER_MMHG for o in outlets])
    back = np.array([(given.distal_pressure_pa if o.pressure_pa is None else o.pressure_pa) / PA_PER_MMHG for o in outlets])
    pressure = {index: (inlet.pressure_pa or 0.0) / PA_PER_MMHG for index, inlet in inlets.items()}

    def solved() -> tuple[np.ndarray, int, float]:
        return outlet_flows_ml_s(net, linear, quadratic, behind, np.array([pressure[index] for index in fed]) - back)

    for index, inlet in inlets.items():
        if inlet.flow_m3_s is None:
            continue
        wanted = inlet.flow_m3_s / M3_S
        own = fed == index

        def excess(trial: float, index: int = index, own: np.ndarray = own, wanted: float = wanted) -> float:
            pressure[index] = trial
            return float(solved()[0][own].sum() - wanted)

        low, high = float(back[own].min()) + 1e-6, float(back[own].max()) + 1.0
        while excess(high) < 0:
            high = low + 4 * (high - low)
        # More pressure, more flow: there is one answer.
        pressure[index] = float(brentq(excess, low, high, xtol=1e-9, rtol=1e-14))
    flow, _, residual = solved()
    return pressure, flow, residual


def _checks(tree: Tree, at: tuple[AtOpening, ...], means: Means, how: tuple[Conditions, float]) -> tuple[Check, ...]:
    given, residual = how
    inflow = sum(o.flow_m3_s for o in at if o.opening.inlet)
    balance = abs(inflow - sum(o.flow_m3_s for o in at if not o.opening.inlet)) / inflow
    reynolds = highest_reynolds(tree, means, given)
    return (
        at_most("mass balance", balance, MASS_BALANCE, "flow in less flow out, over flow in"),
        at_most("residual", residual, RESIDUAL, "imbalance along the worst path, over the driving pressure"),
        at_most("reynolds number", reynolds, TRANSITIONAL_REYNOLDS, "highest in a section; above, flow is transitional"),
    )


def highest_reynolds(tree: Tree, means: Means, given: Conditions) -> float:
    """Return the highest Reynolds number of mean speed and diameter of a section."""
    return max(
        float(reynolds_number(q / M3_S, b.radius_mm, given.viscosity_pa_s, given.density_kg_m3).max())
        for q, b in zip(means.flow_m3_s, tree.branches, strict=True)
    )
