"""How exact the tree flow is, and how fast: closed forms, a Navier-Stokes reference, and svzerod in the same run.

``python -m benchmarks.flow``; with HEARTWOOD_REAL_DATA set, SimVascular's published steady cases too.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import svzerod

from algorithms.coronary import ffr, flow
from algorithms.coronary.boundary import Boundary, Quantity, boundary, pressure, quantities
from algorithms.coronary.haemodynamics.blood import DENSITY_KG_M3, PA_PER_MMHG, VISCOSITY_PA_S
from algorithms.coronary.haemodynamics.interval import lumen_bias
from algorithms.coronary.haemodynamics.network import network, viscous_mmhg_s_ml
from algorithms.coronary.tree import Tree
from algorithms.coronary.truth import DEFAULTS
from benchmarks.evidence import keep
from benchmarks.references.axisymmetric import stenosis_drop
from tests.algorithms.coronary.svzerod_network import edge_coefficients, svzerod_answer, svzerod_network
from tests.algorithms.coronary.tubes import coronary_tree, cosine_stenosis, tube

REFERENCE = (
    (0.5, 100, 3.744), (0.5, 200, 2.101), (0.5, 400, 1.3135), (0.6, 300, 2.3885), (0.7, 200, 5.1435), (0.7, 400, 4.443),
)  # fmt: skip
"""Area stenosis, Reynolds number, pressure drop in rho U^2 from -2 to +6 diameters: axisymmetric Taylor-Hood, 0.5 % sure."""

BIAS = lumen_bias(0.0, (0.4, 0.4, 0.4))
"""As a usual coronary CT has it."""

REPEATS = 15
"""Timings are medians of this many runs, the two programs taking turns."""


def closed_forms() -> list[dict[str, Any]]:
    """Return computed against exact values of Poiseuille tubes, a cone and a sudden expansion."""
    rows = []
    friction = 8 * VISCOSITY_PA_S / np.pi * 1e3 / PA_PER_MMHG
    for stenosis in (0.0, 0.5, 0.7):
        radii = np.array([1.5, 1.5, 1.5 * (1 - stenosis), 1.5 * (1 - stenosis)])
        lost = 1.5 * viscous_mmhg_s_ml(np.array([0, 30, 30 + 1e-9, 40]), radii, VISCOSITY_PA_S).sum()
        exact = 1 - 1.5 * friction * (30 / 1.5**4 + 10 / radii[-1] ** 4) / 90
        rows.append(_row(f"Poiseuille FFR, {100 * stenosis:.0f} % narrowed", 1 - lost / 90, exact))
    cone = viscous_mmhg_s_ml(np.array([0.0, 7.0]), np.array([1.6, 0.7]), VISCOSITY_PA_S)[0]
    rows.append(_row("cone, mmHg s/ml", cone, friction * 7 * (1.6**-3 - 0.7**-3) / (3 * (0.7 - 1.6))))
    straight = viscous_mmhg_s_ml(np.arange(0, 30.1, 0.5), np.full(61, 1.5), VISCOSITY_PA_S).sum()
    rows.append(_row("straight tube, mmHg s/ml", straight, friction * 30 / 1.5**4))
    taper = Tree((tube("LAD", 40, lambda d: 1.5 - 0.75 * d / 40, reference_mm=lambda d: 1.5 - 0.75 * d / 40),))
    exact = friction * 40 * (1.5**2 + 1.5 * 0.75 + 0.75**2) / (3 * (1.5 * 0.75) ** 3)
    rows.append(_row("taper 1.5 to 0.75 mm over 40 mm, mmHg s/ml", edge_coefficients(taper, network(taper))[0].sum(), exact))
    rows += [row for radii in ((1.2, 1.2), (0.8, 1.27)) for row in _fork(radii)]
    step = Tree((tube("LAD", 40, lambda d: np.where(d < 20, 1.0, 2.0), reference_mm=2.0),))
    quadratic = edge_coefficients(step, network(step))[1].sum()
    carnot = 0.5 * DENSITY_KG_M3 / PA_PER_MMHG * (1 / np.pi - 1 / (4 * np.pi)) ** 2
    rows.append(_row("sudden expansion, mmHg s2/ml2", quadratic, carnot))
    return rows


def _fork(radii_mm: tuple[float, float]) -> list[dict[str, Any]]:
    """Return the flow into a Y and the share of its first daughter: resistances of Poiseuille, in series and side by side.

    Drawn as it is, turned, and mirrored; the row holds the worst of the three.
    """
    friction = 8 * VISCOSITY_PA_S / np.pi * 1e3 / PA_PER_MMHG
    rows = []
    for trunk, ways in (
        ((0, 0, 1), ((-1, 0, 2), (1, 0, 2))), ((1, 2, 3), ((2, 2, 3), (1, 2, 1))), ((0, 0, 1), ((1, 0, 2), (-1, 0, 2))),
    ):  # fmt: skip
        end = tuple(10 * np.array(trunk) / np.linalg.norm(trunk))
        daughters = [
            tube(name, 10, radius, parent=0, parent_point=20, origin_mm=end, direction=way)
            for name, radius, way in zip(("LAD", "LCx"), radii_mm, ways, strict=True)
        ]
        tree = Tree((tube("LM", 10, 1.5, direction=trunk), *daughters))
        given, net = conditions(tree), network(tree)
        solved = flow.solve(tree, given)
        beds = given.resistance_hyperaemic_mmhg_s_ml + friction * 10 / np.array(radii_mm) ** 4
        drive = given["aortic_pressure_mmhg"] - given["venous_pressure_mmhg"]
        total = drive / (friction * 10 / 1.5**4 + 1 / (1 / beds).sum())
        share = (1 / beds[0]) / (1 / beds).sum()
        assert len(net.outlets) == 2
        name = f"Y of {radii_mm[0]:g} and {radii_mm[1]:g} mm"
        rows.append(_row(f"{name}: flow, ml/s", solved.outlet_flow_ml_s.sum(), total))
        rows.append(_row(f"{name}: share of the first", solved.outlet_flow_ml_s[0] / solved.outlet_flow_ml_s.sum(), share))
    return [max(same, key=lambda row: float(row["relative_difference"])) for same in (rows[::2], rows[1::2])]


def _row(name: str, computed: float, exact: float) -> dict[str, Any]:
    return {
        "name": name,
        "computed": float(computed),
        "exact": float(exact),
        "relative_difference": abs(float(computed / exact - 1)),
    }


def smooth_stenoses() -> list[dict[str, Any]]:
    """Return the pressure drop of cosine stenoses against the reference, and what our own finite elements say of that."""
    rows = []
    for area_stenosis, reynolds, drop in REFERENCE:
        shape = cosine_stenosis(6.0, 6.0, 1.5, area_stenosis)
        tree = Tree((tube("LAD", 24, shape, reference_mm=1.5, step_mm=0.1),))
        linear, quadratic = (c.sum() for c in edge_coefficients(tree, network(tree)))
        q = reynolds * np.pi * 3e-3 * VISCOSITY_PA_S / (4 * DENSITY_KG_M3) * 1e6
        dynamic_mmhg = DENSITY_KG_M3 * (q * 1e-6 / (np.pi * 1.5e-3**2)) ** 2 / PA_PER_MMHG
        model = float((linear * q + quadratic * q**2) / dynamic_mmhg)
        row = {"area_stenosis": area_stenosis, "reynolds": reynolds, "reference": drop, "model": round(model, 4)}
        row |= {"difference_percent": round(100 * (model / drop - 1), 2)}
        own = stenosis_drop(area_stenosis, reynolds)
        rows.append(row | {"own_reference": round(own, 4), "own_less_reference_percent": round(100 * (own / drop - 1), 2)})
    return rows


def binary_tree(tips: int = 100, ratio: float = 0.82, narrowed: float = 0.7) -> Tree:
    """Return a tree of 2 tips - 1 vessels, each dividing into two, every third one with a stenosis."""
    branches = []
    for i in range(2 * tips - 1):
        radius = 2.2 * ratio ** int(np.log2(i + 1))
        shape = cosine_stenosis(5, 6, radius, narrowed if i % 3 == 0 else 0.0)
        parent = None if i == 0 else (i - 1) // 2
        branches.append(tube(f"B{i}", 10, shape, parent=parent, parent_point=None if i == 0 else 20, reference_mm=radius))
    return Tree(tuple(branches))


def conditions(tree: Tree) -> Boundary:
    """Return the boundary conditions of a case with nothing measured and an LV mass of 130 g."""
    return boundary(tree, quantities(pressure(0, 0), Quantity(130.0, "g", False, "benchmark"), DEFAULTS))


def against_svzerod() -> list[dict[str, Any]]:
    """Return the largest relative difference of pressures and flows, and the CPU seconds of both programs."""
    trees = {f"coronary tree, LAD {100 * a:.0f} % of area": coronary_tree(a) for a in (0.0, 0.75, 0.93)}
    rows = []
    trees["Murray tree of 63 vessels"] = binary_tree(32, 2 ** (-1 / 3), 0.0)
    for name, tree in (trees | {"binary tree of 199 vessels": binary_tree()}).items():
        given, net = conditions(tree), network(tree)
        solved = flow.solve(tree, given)
        linear, quadratic = edge_coefficients(tree, net)
        document = svzerod_network(net, linear, quadratic, given)
        answer = svzerod_answer(document)
        worst = 0.0
        for edge in range(len(net.branch)):
            index, point = net.branch[edge], net.stop[edge]
            ours = np.array([solved.pressure_mmhg[index][point], solved.flow_ml_s[index][point]])
            worst = max(worst, float(np.abs(ours / answer[f"edge{edge}"] - 1).max()))
        drive = np.full(len(net.outlets), given["aortic_pressure_mmhg"] - given["venous_pressure_mmhg"])
        resistance = given.resistance_hyperaemic_mmhg_s_ml

        def network_only(a: Any = (net, linear, quadratic, resistance, drive)) -> Any:
            return flow.outlet_flows_ml_s(*a)

        def peer(d: Any = document) -> Any:
            return svzerod.simulate(d)

        def whole(a: Any = (tree, given)) -> Any:
            return flow.solve(*a)

        seconds = in_turns([network_only, whole, peer])
        names = ("cpu_seconds_network", "cpu_seconds_tree_to_pressures", "cpu_seconds_svzerod")
        row = {"tree": name, "edges": len(net.branch), "outlets": len(net.outlets), "largest_relative_difference": worst}
        rows.append(row | {"iterations": solved.iterations} | dict(zip(names, seconds, strict=True)))
    return rows


def in_turns(programs: list[Callable[[], Any]]) -> list[float]:
    """Return the median CPU seconds of each program (one thread: set OMP_NUM_THREADS=1)."""
    times: list[list[float]] = [[] for _ in programs]
    for _ in range(REPEATS):
        for program, taken in zip(programs, times, strict=True):
            start = time.process_time()
            program()
            taken.append(time.process_time() - start)
    return [round(float(np.median(taken)), 6) for taken in times]


def interval() -> dict[str, Any]:
    """Return what 200 perturbed trees cost, and how the interval depends on the radius error at a 68 % stenosis."""
    rows = []
    for sd_mm in (0.0, 0.05, 0.1):
        tree = coronary_tree(0.9, sd_mm=sd_mm)
        given = conditions(tree)
        value = ffr.along(flow.solve(tree, given).pressure_mmhg, given["aortic_pressure_mmhg"])
        lesion = ffr.answer(tree, value, *ffr.perturbed(tree, given, 200, 1, BIAS))["lesions"][0]
        rows.append({"radius_sd_mm": sd_mm, "ffr": lesion["ffr"], "low": lesion["ffr_low"], "high": lesion["ffr_high"]})
    return {"samples": 200, "cpu_seconds": in_turns([lambda: ffr.perturbed(tree, given, 200, 1, BIAS)])[0], "lesion": rows}


def main() -> None:
    """Measure and keep."""
    results = {
        "closed_forms": closed_forms(),
        "smooth_stenoses": smooth_stenoses(),
        "svzerod_version": importlib.metadata.version("svzerod"),
        "svzerod": against_svzerod(),
        "interval": interval(),
    }
    keep("flow", results)


if __name__ == "__main__":
    main()
