"""The artefacts of an invented coronary case, for the tests of pictures and report: nothing in it is from a person.

The vessels lie on an ellipsoid of a heart's size; FFR falls along them by a plain rule, steeper inside a lesion, so
that pictures and tables have something to show.  No number here claims to be what the flow solver would give.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.coronary.fields.streamlines import seeds, streamlines, write_streamlines
from algorithms.coronary.fields.wall import wall_map, write_wall
from algorithms.coronary.grid import Grid, write_grid
from algorithms.coronary.tree import Branch, Stenosis, Tree, write_tree
from tests.algorithms.coronary.fields.known_flow import throat

CENTRE_MM = np.array([10.0, -20.0, 140.0])
AXES_MM = np.array([46.0, 40.0, 52.0])
"""Centre and half axes of the ellipsoid, LPS mm."""


def build(
    folder: Path, spacing_mm: float = 0.8, doubts: tuple[str, ...] = (), check_passes: bool = True, part: str = ""
) -> dict[str, Path]:
    """Write every artefact that render and report read below ``folder``; return them by name, without the pictures.

    ``part`` is the state of a solution in three dimensions at the first lesion, "" for none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tree = invented_tree(doubts)
    paths = {name: folder / f"{name}.json" for name in DOCUMENTS}
    write_tree(tree, paths["tree"])
    ffr = [_ffr(tree, index) for index in range(len(tree.branches))]
    documents = {
        "selection": _selection(),
        "privacy": _privacy(),
        "quality": _quality(spacing_mm),
        "anatomy": _anatomy(tree),
        "boundary": _boundary(tree),
        "flow": _flow(tree, ffr, check_passes),
        "ffr": _ffr_document(tree, ffr),
    }
    for name, document in documents.items():
        paths[name].write_text(json.dumps(document))
    three = invented_part(part, folder / "fields")
    paths["flow"].write_text(json.dumps(documents["flow"] | {"three_dimensional": three}))
    paths["fields"] = folder / "fields"
    paths["volume"] = folder / "volume.nii"
    write_grid(invented_volume(tree, spacing_mm), paths["volume"])
    paths["heart"] = folder / "heart.nii.gz"
    write_grid(invented_heart(), paths["heart"])
    return paths


def invented_part(state: str, fields: Path) -> dict[str, Any] | None:
    """Return what flow.json says of a part in three dimensions in ``state``, and write the files of one that is solved."""
    fields.mkdir(exist_ok=True)
    if not state:
        return None
    values = {
        "flow_ml_s": 2.41, "loss_mmhg": 14.2, "reduced_loss_mmhg": 13.5, "difference_ffr": 0.0075, "ratio": 1.05,
        "cells": 184213.0, "cell_mm": 0.056, "cells_across_throat": 16.4, "steps": 61000.0, "grid_convergence_index": 0.04,
        "reynolds_number": 412.0, "transitional": 0.0,
    }  # fmt: skip
    passed = state != "failed"
    checks = [
        _check("mass balance", 2e-5 if passed else 0.004, "1", "<= 0.001", passed=passed, help="flow in less flow out"),
        _check("grid convergence", 0.028, "1", "<= 0.1", passed=True, help="of the loss, from two grids"),
    ]
    part: dict[str, Any] = {"name": "LAD L1", "stenoses": [0], "state": state, "reason": "", "folder": None, "openings": []}
    part |= {"values": values, "checks": checks}
    if state == "failed":
        part["reason"] = "mass balance is 0.004, wanted <= 0.001"
    if state == "not solved":
        part |= {"reason": "its solution would take about 41 minutes and 15 are allowed", "values": {}, "checks": []}
    if state == "solved":
        lumen, cells, points = throat(0.25)
        (fields / "LAD-L1").mkdir()
        write_wall(wall_map(lumen, cells, points), fields / "LAD-L1" / "wall.vtp")
        lines = streamlines(cells, seeds(lumen.openings[0], 60, 0.3), 60)
        write_streamlines(lines, 12000.0, fields / "LAD-L1" / "streamlines.vtp")
        openings = [
            {"name": o.name, "inlet": o.inlet, "centre_mm": o.centre_mm.tolist(), "normal": o.normal.tolist(), "radius_mm": 1.5}
            for o in lumen.openings
        ]
        part |= {"folder": "LAD-L1", "openings": openings}
    used = "lesion3d" if state == "solved" else "reduced"
    where = "Solved in three dimensions at LAD L1, by the reduced-order model elsewhere."
    summary = (
        where
        if state == "solved"
        else "The reduced-order model stands everywhere: no lesion could be solved in three dimensions."
    )
    return {"asked": "lesion3d", "used": used, "summary": summary, "parts": [part]}


DOCUMENTS = ("selection", "privacy", "quality", "anatomy", "tree", "boundary", "flow", "ffr")


def invented_tree(doubts: tuple[str, ...] = ()) -> Tree:
    """Return eight branches with a 68 % stenosis of the mid LAD, 45 % of the mid RCA and 38 % of the proximal LCx."""
    lm = _branch("LM", None, None, [(62, 38), (70, 30)], (2.3, 2.2), (5,))
    lad = _branch(
        "LAD", 0, len(lm.points_mm) - 1, [(70, 30), (80, 5), (92, -25), (100, -55), (105, -78)], (1.9, 0.8), (6, 7, 8)
    )
    lcx = _branch("LCx", 0, len(lm.points_mm) - 1, [(70, 30), (40, 22), (0, 12), (-25, -12)], (1.7, 0.9), (11, 13))
    rca = _branch("RCA", None, None, [(118, 34), (150, 18), (195, 0), (235, -25), (262, -38)], (1.95, 1.3), (1, 2, 3))
    d1 = _branch("D1", 1, 52, [(0, 0), (52, -12), (48, -40)], (1.2, 0.6), (9,), start=lad)
    om1 = _branch("OM1", 2, 60, [(0, 0), (28, -15), (32, -48)], (1.3, 0.6), (12,), start=lcx)
    pda = _branch("R-PDA", 3, len(rca.points_mm) - 1, [(262, -38), (200, -75), (140, -84)], (1.1, 0.6), (4,))
    s1 = _branch("S1", 1, 70, [(0, 0), (100, -22), (112, -42)], (0.8, 0.5), (6,), start=lad)
    narrowings = [(1, 0.44, 0.68, 7, 14.0), (3, 0.40, 0.45, 2, 9.0), (2, 0.18, 0.38, 11, 7.0)]
    branches = [lm, lad, lcx, rca, d1, om1, pda, s1]
    stenoses = []
    for branch, at, severity, segment, length_mm in narrowings:
        branches[branch], stenosis = _narrowed(branches[branch], branch, at, severity, segment=segment, length_mm=length_mm)
        stenoses.append(stenosis)
    return Tree(tuple(branches), tuple(stenoses), doubts)


def _branch(name, parent, parent_point, angles, radii, segments, *, start=None) -> Branch:  # noqa: PLR0917
    nodes = np.array([_on_heart(azimuth, elevation) for azimuth, elevation in angles])
    if start is not None:
        nodes[0] = start.points_mm[parent_point]
    dense = _smooth(nodes)
    steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(dense, axis=0), axis=1))])
    at = np.linspace(0, steps[-1], max(int(steps[-1] / 0.5), 4))
    points = np.stack([np.interp(at, steps, dense[:, i]) for i in range(3)], axis=1)
    radius = np.linspace(*radii, len(points))
    segment = np.repeat(segments, -(-len(points) // len(segments)))[: len(points)]
    return Branch(name, parent, parent_point, points, radius, radius.copy(), 0.08 + 0.05 * radius, segment)


def _on_heart(azimuth: float, elevation: float) -> np.ndarray:
    """Return the point of the ellipsoid at ``azimuth`` (0 left, 90 anterior) and ``elevation``, degrees."""
    a, e = np.radians([azimuth, elevation])
    return CENTRE_MM + AXES_MM * np.array([np.cos(e) * np.cos(a), -np.cos(e) * np.sin(a), np.sin(e)])


def _smooth(nodes: np.ndarray) -> np.ndarray:
    from scipy.interpolate import make_interp_spline

    order = min(3, len(nodes) - 1)
    return make_interp_spline(np.arange(len(nodes)), nodes, k=order)(np.linspace(0, len(nodes) - 1, 600))


def _narrowed(branch: Branch, index: int, at: float, severity: float, *, segment: int, length_mm: float):
    throat = int(at * len(branch.points_mm))
    distance = branch.distance_mm - branch.distance_mm[throat]
    inside = np.abs(distance) < length_mm / 2
    narrowing = np.where(inside, severity * 0.5 * (1 + np.cos(2 * np.pi * distance / length_mm)), 0.0)
    radius = branch.reference_radius_mm * (1 - narrowing)
    where = np.flatnonzero(inside)
    reference_mm = float(2 * branch.reference_radius_mm[throat])
    narrowed = Branch(
        branch.name, branch.parent, branch.parent_point, branch.points_mm, radius,
        branch.reference_radius_mm, branch.radius_sd_mm, branch.segment,
    )  # fmt: skip
    stenosis = Stenosis(
        branch=index, start=int(where[0]), throat=throat, end=int(where[-1]), diameter_stenosis=severity,
        area_stenosis=1 - (1 - severity) ** 2, minimal_lumen_diameter_mm=reference_mm * (1 - severity),
        reference_diameter_mm=reference_mm, length_mm=length_mm, segment=segment,
    )  # fmt: skip
    return narrowed, stenosis


def _ffr(tree: Tree, index: int) -> np.ndarray:
    branch = tree.branches[index]
    start = 1.0 if branch.parent is None else float(_ffr(tree, branch.parent)[branch.parent_point])
    loss = 0.0006 * branch.distance_mm
    for stenosis in tree.stenoses:
        if stenosis.branch == index:
            rise = np.clip((np.arange(len(loss)) - stenosis.start) / (stenosis.end - stenosis.start), 0, 1)
            loss = loss + 0.62 * stenosis.diameter_stenosis**3.2 * rise
    return start - loss


def _probability(value: float, wide: float) -> dict[str, float]:
    """Return shares of a uniform spread about the value, in thousandths."""
    low, high = (float(np.clip((edge - value + wide) / (2 * wide), 0, 1)) for edge in (0.755, 0.805))
    positive, grey = round(low, 3), round(high - low, 3)
    return {"negative": round(1 - positive - grey, 3), "grey": grey, "positive": positive}


def _band(value: float) -> str:
    return "negative" if value > 0.80 else "grey" if value > 0.75 else "positive"


def _ffr_document(tree: Tree, ffr: list[np.ndarray]) -> dict[str, Any]:
    spread = [0.25 * (1 - values) + 0.004 for values in ffr]
    lesions = []
    for number, stenosis in enumerate(tree.stenoses):
        distance = tree.branches[stenosis.branch].distance_mm
        point = min(int(np.searchsorted(distance, distance[stenosis.end] + 15)), len(distance) - 1)
        values, wide = ffr[stenosis.branch], spread[stenosis.branch]
        lesions.append(
            {
                "stenosis": number,
                "vessel": tree.branches[stenosis.branch].name,
                "segment": stenosis.segment,
                "ffr": values[point],
                "ffr_low": values[point] - wide[point],
                "ffr_high": min(values[point] + wide[point], 1.0),
                "branch": stenosis.branch,
                "point": point,
                "distal_mm": distance[point] - distance[stenosis.end],
                "delta_ffr": values[stenosis.start] - values[point],
                "band": _band(values[point]),
                "band_probability": _probability(values[point], wide[point]),
            }
        )
    vessels = []
    for index in (0, 1, 2, 3):
        own = [n for n, lesion in enumerate(lesions) if lesion["branch"] == index]
        point = lesions[own[0]]["point"] if own else len(ffr[index]) - 1
        value, wide = ffr[index][point], spread[index][point]
        vessels.append(
            {
                "vessel": tree.branches[index].name,
                "ffr": value,
                "ffr_low": value - wide,
                "ffr_high": min(value + wide, 1.0),
                "band": _band(value),
                "band_probability": _probability(value, wide),
                "branch": index,
                "point": point,
                "tip_ffr": ffr[index][-1],
                "lesions": own,
            }
        )
    branches = [
        {"name": b.name, "ffr": v.tolist(), "ffr_low": (v - w).tolist(), "ffr_high": np.minimum(v + w, 1).tolist()}
        for b, v, w in zip(tree.branches, ffr, spread, strict=True)
    ]
    sources = [
        {"name": "lumen radius", "sd": 0.14, "unit": "mm", "source": "the centreline stage's radius_sd_mm"},
        {"name": "resting flow", "sd": 0.2, "unit": "1", "source": "invented for the test"},
    ]
    return {
        "branches": branches, "lesions": lesions, "vessels": vessels,
        "interval": {"level": 0.95, "samples": 200, "sources": sources},
    }  # fmt: skip


def _check(name: str, value: float, unit: str, limit: str, *, passed: bool, help: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "limit": limit, "passed": passed, "help": help}


def _flow(tree: Tree, ffr: list[np.ndarray], check_passes: bool) -> dict[str, Any]:
    branches = [
        {
            "pressure_mmhg": (90 * values).tolist(), "flow_ml_s": [1.0] * len(values),
            "viscous_mmhg": (60 * (1 - values)).tolist(), "expansion_mmhg": (30 * (1 - values)).tolist(),
        }
        for values in ffr
    ]  # fmt: skip
    outlets = [{"branch": i, "pressure_mmhg": 90 * float(v[-1]), "flow_ml_s": 0.5} for i, v in enumerate(ffr)]
    balance = 2.4e-12 if check_passes else 0.031
    checks = [
        _check("mass balance", balance, "1", "<= 1e-06", passed=check_passes, help="flow in minus flow out, over flow in"),
        _check("residual", 7.1e-11, "mmHg", "<= 1e-06", passed=True, help="largest pressure residual of the last iteration"),
    ]
    return {"branches": branches, "outlets": outlets, "iterations": 7, "checks": checks}


def _value(value: float, unit: str, assumed: bool, source: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "assumed": assumed, "source": source}


def _boundary(tree: Tree) -> dict[str, Any]:
    values = {
        "aortic_pressure_mmhg": _value(93.0, "mmHg", True, "Invented A, A pressure, J Test 1:1 (2020)"),
        "resting_flow_ml_s": _value(3.4, "ml/s", False, "Invented B, A law of allometry, J Test 2:2 (2021)"),
        "venous_pressure_mmhg": _value(5.0, "mmHg", True, "Invented A, A pressure, J Test 1:1 (2020)"),
        "hyperaemic_resistance_factor": _value(0.24, "1", True, "Invented C, On adenosine, J Test 3:3 (1995)"),
        "viscosity_pa_s": _value(0.0035, "Pa s", True, "Invented D, Blood, J Test 4:4 (2000)"),
        "lv_mass_g": _value(128.0, "g", False, "measured by the anatomy stage"),
    }
    outlet = {
        "flow_fraction": 0.125, "resting_flow_ml_s": 0.42,
        "resistance_rest_mmhg_s_ml": 210.0, "resistance_hyperaemic_mmhg_s_ml": 50.4,
    }  # fmt: skip
    return {"values": values, "outlets": [{"branch": i} | outlet for i in range(len(tree.branches))]}


def _anatomy(tree: Tree) -> dict[str, Any]:
    left, right = (tree.branches[i].points_mm[0].tolist() for i in (0, 3))
    return {
        "aorta": {"mean_hu": 412.0, "root_centre_mm": [15.0, -50.0, 170.0]},
        "ostia": {"left": {"point_mm": left, "confidence": 0.97}, "right": {"point_mm": right, "confidence": 0.91}},
        "heart_box": {"start_zyx": [0, 0, 0], "stop_zyx": [10, 10, 10]}, "lv_mass_g": 128.0, "doubts": [],
        "checks": [_check("aortic contrast", 412.0, "HU", ">= 250", passed=True, help="mean in the ascending aorta")],
    }  # fmt: skip


def _quality(spacing_mm: float) -> dict[str, Any]:
    facts = {
        "spacing_mm": [spacing_mm] * 3, "shape": [150, 140, 150], "PatientSex": "F", "PatientAge": "061Y", "KVP": 100,
        "Manufacturer": "Invented", "ConvolutionKernel": "Bv40",
    }  # fmt: skip
    checks = [
        _check("noise", 24.0, "HU", "<= 60", passed=True, help="standard deviation in the aorta"),
        _check("slice spacing", spacing_mm, "mm", "<= 1.0", passed=True, help="distance between slices"),
    ]
    return {"facts": facts, "aorta_hu_estimate": 405.0, "noise_hu": 24.0, "checks": checks}


def _privacy() -> dict[str, Any]:
    scan = {"files": 260, "bytes": 1000, "values_searched": 1121, "values_found": 0}
    return {"profile": "DICOM PS3.15 Annex E", "edition": "2024e", "policy": "allow-list", "files": 260, "scan": scan}


def _selection() -> dict[str, Any]:
    series = [
        {"chosen": True, "instances": 260, "reason": "thinnest slices with a medium kernel", "facts": {"kernel": "Bv40"}},
        {"chosen": False, "instances": 1, "reason": "a localiser: 1 slice, wanted 100 or more", "facts": {"modality": "CT"}},
    ]  # fmt: skip
    return {"instances": [f"{i:06d}" for i in range(1, 261)], "series": series}


def invented_volume(tree: Tree, spacing_mm: float) -> Grid:
    """Return bright vessels in a grey heart in dark lung, with seeded noise, int16 Hounsfield units."""
    lower, upper = CENTRE_MM - AXES_MM - 14, CENTRE_MM + AXES_MM + 14
    shape = tuple(int(n) for n in np.ceil((upper - lower) / spacing_mm)[::-1])
    z, y, x = (lower[2 - i] + spacing_mm * np.arange(n) for i, n in enumerate(shape))
    inside = (
        ((x - CENTRE_MM[0]) / (AXES_MM[0] + 2))[None, None] ** 2
        + ((y - CENTRE_MM[1]) / (AXES_MM[1] + 2))[None, :, None] ** 2
        + ((z - CENTRE_MM[2]) / (AXES_MM[2] + 2))[:, None, None] ** 2
    )
    rng = np.random.default_rng(7)
    hu = np.where(inside < 0.5, 320.0, np.where(inside < 0.8, 110.0, np.where(inside < 1.15, -80.0, -820.0)))
    for branch in tree.branches:
        for point, radius in zip(branch.points_mm, branch.radius_mm, strict=True):
            low = np.maximum(((point - lower - 4) / spacing_mm).astype(int), 0)
            box = tuple(slice(low[2 - i], low[2 - i] + int(8 / spacing_mm) + 1) for i in range(3))
            gap = [axis[part] - point[2 - i] for i, (axis, part) in enumerate(zip((z, y, x), box, strict=True))]
            away = np.sqrt(gap[0][:, None, None] ** 2 + gap[1][None, :, None] ** 2 + gap[2][None, None] ** 2)
            share = np.clip((radius - away) / spacing_mm + 0.5, 0, 1)
            hu[box] = np.maximum(hu[box], np.where(share > 0, -80 + 500 * share, -1000))
    values = (hu + rng.normal(0, 24, shape)).astype(np.int16)
    return Grid(values, (spacing_mm, spacing_mm, spacing_mm), (float(lower[0]), float(lower[1]), float(lower[2])))


def invented_heart() -> Grid:
    """Return the labels of a ventricle inside the vessels and of an aorta above it, 3 mm voxels."""
    lower = CENTRE_MM - AXES_MM - 14
    z, y, x = np.meshgrid(*(lower[2 - i] + 3.0 * np.arange(n) for i, n in enumerate((45, 36, 40))), indexing="ij")
    inside = sum(((v - c) / (0.9 * a)) ** 2 for v, c, a in zip((x, y, z), CENTRE_MM, AXES_MM, strict=True))
    labels = np.where(inside < 0.6, 3, np.where(inside < 1, 2, 0))
    aorta = (np.hypot(x - CENTRE_MM[0] + 8, y - CENTRE_MM[1]) < 14) & (z > CENTRE_MM[2] + 30)
    return Grid(
        np.where(aorta, 1, labels).astype(np.uint8), (3.0, 3.0, 3.0), (float(lower[0]), float(lower[1]), float(lower[2]))
    )


def record(failed: str | None = None, kind: str = "data", message: str = "") -> dict[str, Any]:
    """Return the pipeline's record of a run in which ``failed`` failed (or nothing did)."""
    from algorithms.coronary.pipeline import PIPELINE

    stages, state = [], "done"
    for stage in PIPELINE.stages[: PIPELINE.stages.index(PIPELINE.stage("report"))]:
        here = "failed" if stage.name == failed else state
        done = here == "done"
        stages.append(
            {
                "name": stage.name,
                "help": stage.help,
                "source": stage.source,
                "state": here,
                "version": stage.version,
                "key": f"{len(stages):02d}" + "ab" * 31 if here != "not run" else None,
                "parameters": {p.name: p.default for p in stage.parameters},
                "measurements": {"seen": 1} if done else {},
                "outputs": {o.name: f"{len(stages):02d}" + "cd" * 31 for o in stage.outputs} if done else {},
                "inputs": dict.fromkeys(stage.inputs, "ef" * 32) if here != "not run" else {},
                "failure": {"kind": kind, "message": message} if here == "failed" else None,
            }
        )
        if here == "failed":
            state = "not run"
    return {
        "case_id": "demo-0001", "pipeline": PIPELINE.name, "title": PIPELINE.title, "heartwood": "0.1.0", "stages": stages,
    }  # fmt: skip
