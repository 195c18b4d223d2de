"""The same network for SimVascular's 0-D solver: an independent program that solves what the flow stage solves."""

from __future__ import annotations

from typing import Any

import numpy as np
import svzerod

from algorithms.coronary.boundary import Boundary
from algorithms.coronary.haemodynamics.blood import DENSITY_KG_M3, VISCOSITY_PA_S
from algorithms.coronary.haemodynamics.network import Network, losses
from algorithms.coronary.tree import Tree


def edge_coefficients(tree: Tree, net: Network) -> tuple[np.ndarray, np.ndarray]:
    """Return the linear and quadratic coefficients of the edges of a tree with the default blood."""
    return losses(tree, tuple(b.radius_mm for b in tree.branches), VISCOSITY_PA_S, DENSITY_KG_M3).per_edge(net)


def svzerod_answer(document: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Return outlet pressure and flow of each vessel by name."""
    frame = svzerod.simulate(document)
    last = frame[frame["time"] == frame["time"].max()].set_index("name")
    return {str(name): (float(row["pressure_out"]), float(row["flow_out"])) for name, row in last.iterrows()}


def svzerod_network(net: Network, linear: np.ndarray, quadratic: np.ndarray, given: Boundary) -> dict[str, Any]:
    """Return the network in svzerod's input format, in mmHg and ml/s.

    A vessel there ends either in an outlet or in a junction, so a side outlet is a vessel of its own without losses.
    """
    aorta = {"t": [0.0, 1.0], "P": [given["aortic_pressure_mmhg"]] * 2}
    ostia = np.flatnonzero(net.upstream < 0)
    ends = [{"bc_name": f"AORTA{edge}", "bc_type": "PRESSURE", "bc_values": aorta} for edge in ostia]
    at: dict[int, dict[str, str]] = {int(edge): {"inlet": f"AORTA{edge}"} for edge in ostia}
    fed = {edge: [int(e) for e in np.flatnonzero(net.upstream == edge)] for edge in range(len(net.branch))}
    elements = [(f"edge{edge}", float(linear[edge]), float(quadratic[edge])) for edge in fed]
    for m, edge in enumerate(int(e) for e in net.outlets):
        values = {"R": float(given.resistance_hyperaemic_mmhg_s_ml[m]), "Pd": given["venous_pressure_mmhg"]}
        ends.append({"bc_name": f"OUT{m}", "bc_type": "RESISTANCE", "bc_values": values})
        vessel = edge
        if fed[edge]:
            vessel = len(elements)
            fed[edge].append(vessel)
            elements.append((f"side{m}", 0.0, 0.0))
        at.setdefault(vessel, {})["outlet"] = f"OUT{m}"
    vessels = [
        {"vessel_id": i, "vessel_name": name, "vessel_length": 1.0, "zero_d_element_type": "BloodVessel"}
        | {"zero_d_element_values": {"R_poiseuille": resistance, "stenosis_coefficient": coefficient}}
        | ({"boundary_conditions": at[i]} if i in at else {})
        for i, (name, resistance, coefficient) in enumerate(elements)
    ]
    junctions = [
        {"junction_name": f"J{edge}", "junction_type": "NORMAL_JUNCTION", "inlet_vessels": [edge], "outlet_vessels": onward}
        for edge, onward in fed.items()
        if onward
    ]
    parameters = {"number_of_cardiac_cycles": 1, "number_of_time_pts_per_cardiac_cycle": 5, "absolute_tolerance": 1e-10}
    return {"boundary_conditions": ends, "junctions": junctions, "vessels": vessels, "simulation_parameters": parameters}
