"""The stage flow: the reduced model, in which lesions or the whole tree may be solved in three dimensions."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.coronary import flow
from algorithms.coronary.boundary import Boundary, read_boundary
from algorithms.coronary.coupled.couple import Lesion, couple
from algorithms.coronary.coupled.domain import Domain, domains, through
from algorithms.coronary.coupled.files import write_fields, write_part
from algorithms.coronary.coupled.measured import Solved, lattice_solver
from algorithms.coronary.coupled.plan import chosen
from algorithms.coronary.coupled.told import Told, document, of_solved, summary, too_long
from algorithms.coronary.coupled.whole import Part, parts, solve_part, tip_resistances_mmhg_s_ml, whole_flow
from algorithms.coronary.lattice.conditions import Fluid
from algorithms.coronary.lattice.solution import Solution
from algorithms.coronary.lattice.solve import How
from algorithms.coronary.tree import Tree, read_tree

log = logging.getLogger(__name__)


def run(
    inputs: Mapping[str, Path],
    out: Path,
    *,
    flow_model: str,
    flow_3d_minutes: float,
    flow_3d_stenosis: float,
    flow_device: str,
) -> dict[str, float | int | str]:
    """Read ``tree`` and ``boundary``, write ``flow.json`` and the folder ``fields``, return the totals."""
    tree, given = read_tree(inputs["tree"]), read_boundary(inputs["boundary"])
    folder, checkpoints = out / "fields", out / "checkpoints"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed while it wrote them
    folder.mkdir(parents=True)
    how = How(device=None if flow_device == "cpu" else flow_device, checkpoints=checkpoints)
    told: list[Told] = []
    if flow_model == "lesion3d":
        solved, told = with_lesions(tree, given, (flow_3d_stenosis, flow_3d_minutes, how), folder)
    elif flow_model == "tree3d":
        solved, told = whole(tree, given, (flow_3d_minutes, how), folder)
    else:
        solved = flow.solve(tree, given)
    three = document(flow_model, told, summary(flow_model, told, flow_3d_stenosis))
    # A whole tree in three dimensions has checks of its own; those of the reduced model hold of every other answer.
    found = flow.checks(tree, given, solved if three["used"] != "tree3d" else flow.solve(tree, given))
    flow.write_flow(tree, solved, found, out / "flow.json", three)
    write_fields(tree, solved, given["aortic_pressure_mmhg"], folder)
    shutil.rmtree(checkpoints, ignore_errors=True)
    failed = [check["name"] for check in found if not check["passed"]]
    log.info(
        "%d outlets, %.2f ml/s, %d iterations, failed checks: %s; %s",
        len(solved.outlet_flow_ml_s), solved.outlet_flow_ml_s.sum(), solved.iterations, failed, three["summary"],
    )  # fmt: skip
    return {
        "hyperaemic_flow_ml_s": round(float(solved.outlet_flow_ml_s.sum()), 4),
        "lowest_pressure_mmhg": round(min(float(p.min()) for p in solved.pressure_mmhg), 3),
        "highest_reynolds_number": next(c["value"] for c in found if c["name"] == "reynolds number"),
        "expansion_share": round(flow.expansion_share(solved), 4),
        "iterations": solved.iterations,
        "failed_checks": len(failed),
        "model_used": three["used"],
        "parts_solved_in_3d": sum(each.state == "solved" for each in told),
        "parts_failed_in_3d": sum(each.state == "failed" for each in told),
    }


def with_lesions(tree: Tree, given: Boundary, asked: tuple[float, float, How], folder: Path) -> tuple[flow.Flow, list[Told]]:
    """Return the flow with its lesions solved in three dimensions, and what is told of each.

    ``asked`` is the least diameter stenosis of a lesion that is solved, the minutes for all of them, and how they are solved.
    """
    least, minutes, how = asked
    fluid = Fluid(given["density_kg_m3"], given["viscosity_pa_s"])
    reduced = flow.solve(tree, given)
    told: list[Told] = []
    found: list[Domain] = []
    try:
        found = domains(tree, least)
    except DataError as error:
        told.append(Told("lesions", (), "not solved", str(error)))
    # The tightest lesions have the first claim on the time.
    claim = sorted(range(len(found)), key=lambda i: -max(tree.stenoses[s].diameter_stenosis for s in found[i].lesions))
    shapes = [(found[i].crop.tree, through(tree, found[i], reduced).inflow_ml_s) for i in claim]
    grids, least_minutes = chosen(shapes, fluid, minutes, how.device or "cpu")
    lesions: dict[int, Lesion] = {}
    for i, grid, needed in zip(claim, grids, least_minutes, strict=True):
        if grid is None:
            told.append(too_long(found[i].name, found[i].lesions, needed, minutes))
        else:
            log.info("%s: %d cells of %.3f mm, about %.1f minutes", found[i].name, grid.cells, grid.sides_mm[1], grid.minutes)
            lesions[i] = Lesion(found[i], grid)
    ordered = [lesions[i] for i in sorted(lesions)]
    solved, _ = couple(tree, given, ordered, lattice_solver(fluid, given["aortic_pressure_mmhg"], how))
    return solved, [*(_lesion_told(tree, given, lesion, (solved, folder)) for lesion in ordered), *told]


def _lesion_told(tree: Tree, given: Boundary, lesion: Lesion, result: tuple[flow.Flow, Path]) -> Told:
    solved, folder = result
    last = lesion.solved
    assert last is not None
    aortic = given["aortic_pressure_mmhg"]
    values = {
        "flow_ml_s": through(tree, lesion.domain, solved).inflow_ml_s, "loss_mmhg": last.loss_mmhg,
        "reduced_loss_mmhg": lesion.reduced_mmhg, "difference_ffr": (last.loss_mmhg - lesion.reduced_mmhg) / aortic,
        "ratio": lesion.ratio, "solutions": float(lesion.solutions), "minutes": lesion.grid.minutes,
    }  # fmt: skip
    values = {name: value for name, value in values.items() if np.isfinite(value)}
    told = of_solved(lesion.domain.name, lesion.domain.lesions, last, lesion.checks, values)
    return _with_files(told, last, aortic, folder)


def whole(tree: Tree, given: Boundary, asked: tuple[float, How], folder: Path) -> tuple[flow.Flow, list[Told]]:
    """Return the flow of the whole tree in three dimensions, or the reduced one where that cannot be, and what is told.

    ``asked`` is the minutes for all of it and how it is solved.
    """
    minutes, how = asked
    fluid = Fluid(given["density_kg_m3"], given["viscosity_pa_s"])
    reduced = flow.solve(tree, given)
    every = parts(tree)
    shapes = [(part.tree, float(reduced.flow_ml_s[part.number[0]][0])) for part in every]
    grids, least = chosen(shapes, fluid, minutes, how.device or "cpu")
    names = [part.tree.branches[0].name + " and all behind it" for part in every]
    lesions = [tuple(i for i, s in enumerate(tree.stenoses) if s.branch in part.number) for part in every]
    if any(grid is None for grid in grids):
        return reduced, [too_long(n, s, sum(least), minutes) for n, s in zip(names, lesions, strict=True)]
    resistance = tip_resistances_mmhg_s_ml(tree, given)
    told: list[Told] = []
    solutions: list[tuple[Part, Solution]] = []
    for part, grid, name, own in zip(every, grids, names, lesions, strict=True):
        assert grid is not None
        try:
            solved, found = solve_part(part, given, resistance, grid, how)
        except DataError as error:
            told.append(Told(name, own, "not solved", str(error)))
            continue
        except ArithmeticError as error:
            told.append(Told(name, own, "failed", str(error)))
            continue
        values = {"flow_ml_s": solved.through.inflow_ml_s, "loss_mmhg": solved.loss_mmhg, "minutes": grid.minutes}
        told.append(
            _with_files(of_solved(name, own, solved, solved.checks, values), solved, given["aortic_pressure_mmhg"], folder)
        )
        solutions.append((part, found))
    if all(each.state == "solved" for each in told):
        return whole_flow(tree, given, solutions), told
    # One part alone would mix two models in one tree: none is used.
    unused = "another part of the tree was not solved"
    return reduced, [replace(each, state="not solved", reason=unused) if each.state == "solved" else each for each in told]


def _with_files(told: Told, solved: Solved, aortic_mmhg: float, folder: Path) -> Told:
    """Write the files of a solution, believed or not, and return ``told`` with their folder."""
    if solved.solution is None:
        return told
    name = "-".join(told.name.replace("+", " ").split())
    write_part(solved, aortic_mmhg, folder / name)
    openings = tuple(
        {
            "name": o.name,
            "inlet": o.inlet,
            "radius_mm": round(o.radius_mm, 4),
            "centre_mm": np.round(o.centre_mm, 4).tolist(),
            "normal": np.round(o.normal, 6).tolist(),
        }
        for o in solved.solution.cells.openings
    )
    return replace(told, folder=name, openings=openings)
