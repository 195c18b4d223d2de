"""FFR of a phantom's true geometry, from the same boundary conditions and the same flow model as a case's.

What differs from a case's answer is then what image analysis did, and nothing else.  Run as
``python -m algorithms.coronary.truth TRUTH_FOLDER``; it reads ``tree.json`` and ``phantom.json`` and writes ``ffr.json``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.coronary import ffr
from algorithms.coronary.boundary import Quantity, boundary, pressure, quantities
from algorithms.coronary.flow import solve
from algorithms.coronary.haemodynamics import blood
from algorithms.coronary.tree import Tree, read_tree

DEFAULTS = {
    "venous_pressure_mmhg": blood.VENOUS_PRESSURE_MMHG,
    "hyperaemic_resistance_factor": blood.HYPERAEMIC_RESISTANCE_FACTOR,
    "flow_split_exponent": blood.FLOW_SPLIT_EXPONENT,
    "viscosity_pa_s": blood.VISCOSITY_PA_S,
    "density_kg_m3": blood.DENSITY_KG_M3,
}
"""The defaults of the boundary stage's parameters."""


def true_ffr(tree: Tree, lv_mass_g: float, systolic_mmhg: float = 0.0, diastolic_mmhg: float = 0.0) -> dict[str, Any]:
    """Return what ``ffr.json`` would hold if the image analysis were perfect; the truth has no interval."""
    mass = Quantity(lv_mass_g, "g", False, "the phantom's myocardium")
    given = boundary(tree, quantities(pressure(systolic_mmhg, diastolic_mmhg), mass, DEFAULTS))
    values = ffr.along(solve(tree, given).pressure_mmhg, given["aortic_pressure_mmhg"])
    return ffr.answer(tree, values, tuple(np.empty((0, len(v))) for v in values))


def write_true_ffr(folder: Path) -> Path:
    """Write ``ffr.json`` beside the ``tree.json`` and ``phantom.json`` of a phantom's truth, and return its path."""
    lv_mass_g = float(json.loads((folder / "phantom.json").read_text())["lv_mass_g"])
    path = folder / "ffr.json"
    path.write_text(json.dumps(true_ffr(read_tree(folder / "tree.json"), lv_mass_g), separators=(",", ":")) + "\n")
    return path


def main() -> None:
    """Write the true FFR of the folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="truth folder of a phantom, with tree.json and phantom.json")
    write_true_ffr(parser.parse_args().folder)


def compare(result: dict[str, Any], folder: Path) -> list[str]:
    """Return the lines of a table: each vessel with its tightest stenosis, its FFR, and the FFR of the true vessels.

    The flow in the true vessels is solved where ``folder`` has no ``ffr.json`` yet.
    """
    if not result["vessels"]:
        return []
    path = folder / "ffr.json"
    truth = json.loads((path if path.exists() else write_true_ffr(folder)).read_text())
    true_ffr = {vessel["vessel"]: vessel["ffr"] for vessel in truth["vessels"]}
    lines = ["", f"{'vessel':<8}{'stenosis':<18}{'FFR (95 % interval)':<24}{'band':<10}{'true FFR':>8}"]
    for vessel in result["vessels"]:
        found = [s for s in result["stenoses"] if s["vessel"] == vessel["vessel"]]
        worst = max(found, key=lambda s: float(s["diameter_stenosis"]), default=None)
        stenosis = "none" if worst is None else f"{100 * worst['diameter_stenosis']:.0f} % ({len(found)} in all)"
        true = true_ffr.get(vessel["vessel"])
        lines.append(
            f"{vessel['vessel']:<8}{stenosis:<18}{_ffr_text(vessel):<24}{vessel['band'] or '-':<10}"
            f"{'-' if true is None else f'{true:.2f}':>8}"
        )
    return lines


def _ffr_text(vessel: dict[str, Any]) -> str:
    if vessel["ffr"] is None:
        return "withheld"
    if vessel["ffr_low"] is None:
        return f"{vessel['ffr']:.2f}"
    return f"{vessel['ffr']:.2f} ({vessel['ffr_low']:.2f} to {vessel['ffr_high']:.2f})"


if __name__ == "__main__":
    main()
