"""The tables of the flow: the reduced model, the lattice, and what they cost."""

from __future__ import annotations

from typing import Any

from benchmarks.evidence import RESULTS
from benchmarks.markdown import measured, table


def flow_agreement() -> str:
    """Return how far the tree flow is from closed forms, the Navier-Stokes reference and svzerod."""
    results = measured("flow")["results"]
    rows: list[list[Any]] = [
        [r["name"], f"{r['exact']:.6g}", f"{r['relative_difference']:.0e}"] for r in results["closed_forms"]
    ]
    for r in results["smooth_stenoses"]:
        name = f"cosine stenosis, {100 * r['area_stenosis']:.0f} % of area, Re {r['reynolds']}: drop / (rho U^2)"
        rows.append([name, r["reference"], f"{r['difference_percent'] / 100:+.3f}"])
    for r in results["svzerod"]:
        name = f"{r['tree']}, {r['outlets']} outlets: pressures and flows"
        rows.append([name, f"svzerod {results['svzerod_version']}", f"{r['largest_relative_difference']:.0e}"])
    return table(["case", "expected", "relative difference"], rows)


def flow_cost() -> str:
    """Return the CPU time of the tree flow beside svzerod's, and of the interval."""
    results = measured("flow")["results"]
    rows: list[list[Any]] = [
        [r["tree"], *(f"{1000 * r[f'cpu_seconds_{part}']:.1f}" for part in ("network", "tree_to_pressures", "svzerod"))]
        for r in results["svzerod"]
    ]
    spread = results["interval"]
    rows.append([f"{spread['samples']} perturbed coronary trees", "", f"{1000 * spread['cpu_seconds']:.0f}", ""])
    return table(["tree", "network solution (ms)", "tree to pressures (ms)", "svzerod (ms)"], rows)


def lattice_accuracy() -> str:
    """Return how far the flow in three dimensions is from closed forms, correlations and the axisymmetric reference."""
    parts = {name: measured(f"lattice_{name}")["results"] for name in ("tubes", "taper", "forks", "bends", "stenoses")}
    rows: list[list[Any]] = []
    for across, wanted in ((12, "2.5 %"), (24, "1 %")):
        own = [row for row in parts["tubes"] if row["cells_across"] == across]
        name = f"straight tube, three angles, {across} cells across"
        for what, limit in (("drop", wanted), ("profile", "1.5 %"), ("shear", "5 %")):
            rows.append([f"{name}: {SAID[what]}", _largest(own, f"{what}_error_percent"), limit])
    rows.append(["taper 1.5 to 0.75 mm over 40 mm: pressure drop", f"{parts['taper']['error_percent']:+.1f} %", "2 %"])
    rows += [
        [f"{row['fork']} fork, turned and mirrored: a daughter", f"{row['worst_percent']:.1f} %", "1 %"]
        for row in parts["forks"]
    ]
    for row in parts["bends"]:
        name = f"bent tube, Dean {row['dean']:.0f}: White's correlation"
        rows.append([name, f"{row['error_percent']:+.1f} %", "5 %"])
    rows += _nozzle()
    for row in parts["stenoses"]:
        name = f"stenosis of {100 * row['area_stenosis']:.0f} % of area, Re {row['reynolds']}, {row['angle']}"
        wanted = "3 %" if row["cells_across_throat"] >= 16 else "5 %"
        rows.append([f"{name}, {row['cells_across_throat']} cells across the throat", f"{row['error_percent']:+.1f} %", wanted])
    return table(["case", "error", "wanted"], rows)


def _nozzle() -> list[list[Any]]:
    if not (RESULTS / "lattice_nozzle.json").exists():
        return []
    found = measured("lattice_nozzle")["results"]
    across = f"{found['cells_across_throat']:.0f} cells across"
    name = f"FDA nozzle, Re 500, {across}: velocity on the axis, against finite elements"
    return [
        [name, f"{found['worst_error_percent']:.1f} %", f"{found['laboratories_percent']:.0f} %, the laboratories' scatter"]
    ]


SAID = {"drop": "pressure drop", "profile": "profile", "shear": "wall shear"}


def _largest(rows: list[dict[str, Any]], key: str) -> str:
    return f"{max(abs(float(row[key])) for row in rows):.1f} %"


def lattice_cost() -> str:
    """Return the speed of the lattice beside the copy limit, and its cost beside OpenFOAM's."""
    speed, foam = measured("lattice_speed")["results"], measured("openfoam")["results"]
    rows: list[list[Any]] = [
        ["million cell updates/s", speed["million_updates_per_s"], "25"],
        ["share of what copying memory allows", f"{100 * speed['share_of_copy_limit']:.0f} %", "40 %"],
    ]
    for angle in foam["angles"]:
        for row in angle["at_equal_error"]:
            if row["ratio"] is not None:
                name = f"CPU time over OpenFOAM's, {angle['angle']}, both {row['error_percent']:.0f} % off"
                rows.append([name, row["ratio"], "0.5"])
        cheapest = " / ".join(_cheapest(angle[program]) for program in ("lattice", "openfoam"))
        rows.append([f"CPU seconds of the cheapest run within 1 %, lattice / OpenFOAM, {angle['angle']}", cheapest, ""])
    return table(["what", "measured", "wanted"], rows)


def _cheapest(runs: list[dict[str, Any]]) -> str:
    seconds = [float(run["cpu_seconds"]) for run in runs if abs(float(run["error_percent"])) <= 1]
    return f"{min(seconds):.0f}" if seconds else "none"


def lesions_solved() -> str:
    """Return what the lesions of a CT study took and lost in three dimensions."""
    found = measured("lesions")["results"]
    rows: list[list[Any]] = []
    for part in found["parts"]:
        values = part["values"]
        if part["state"] != "solved":
            rows.append([part["name"], part["state"], "", f"{values.get('minutes', float('nan')):.0f}", "", "", ""])
            continue
        rows.append(
            [
                part["name"],
                f"{values['cells'] / 1e3:.0f} thousand",
                f"{values['cells_across_throat']:.1f}",
                f"{values['minutes']:.0f}",
                f"{values['reynolds_number']:.0f}",
                f"{values['loss_mmhg']:.1f}",
                f"{values['reduced_loss_mmhg']:.1f}",
            ]
        )
    head = ["part", "cells", "across the throat", "minutes reckoned", "Reynolds", "loss (mmHg)", "reduced (mmHg)"]
    text = table(head, rows)
    return f"{text}\nThe stage took {found['seconds'] / 60:.0f} minutes and {found['peak_memory_mib'] / 1024:.1f} GiB.\n"
