"""Coronary accuracy and cost on synthetic studies that were not used while tuning: ``python -m benchmarks.coronary``.

Each study goes through ``python -m algorithms coronary`` with no truth as input.  What is compared with the truth:

- every planted stenosis of 40-80 % in LM, LAD, LCx or RCA: was a stenosis found whose extent, widened by 5 mm, holds the
  true throat, and by how many points does its % diameter stenosis differ;
- lumen and tree against the true ones (`benchmarks/anatomy.py`), and the seconds from volume to tree;
- FFR of each main vessel at the point where the true geometry's FFR is read (the nearest point of the measured tree),
  against the FFR that the same flow model gives on the true geometry with the true LV mass;
- whether the case was answered or held for review;
- seconds and peak memory of every stage.

``--wide`` takes studies of the phantom's whole range instead: the hard cases by name, and seeds that draw everything.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.coronary.grid import Grid, read_grid
from algorithms.coronary.tree import Tree, read_tree
from benchmarks.anatomy import lumen_agreement, tree_agreement
from benchmarks.anatomy_pictures import draw_trees
from benchmarks.evidence import RESULTS, commit, keep

log = logging.getLogger("benchmarks.coronary")

MAIN = ("LM", "LAD", "LCx", "RCA")
PLANTED = (0.40, 0.80)
"""Diameter stenoses that must be found, as fractions."""

FALSE_FROM = 0.50
"""A stenosis of this diameter and more where none is planted is a false one, as a fraction."""

THRESHOLD = 0.80
"""FFR at or below which a vessel is ischaemic."""

WIDE = (
    ("usual", 401), ("left-dominant", 402), ("low-contrast", 403), ("motion", 404), ("stair-steps", 405), ("occlusion", 406),
    ("high-ostium", 407), ("anisotropic-sharp", 408), ("lead", 409), ("stent", 410), ("graft", 411),
    *(("wide", seed) for seed in range(421, 429)),
)  # fmt: skip
"""Difficulty and seed of the studies of ``--wide``: every hard case that the phantom has a name for, and eight drawn ones."""

SETTINGS = dict.fromkeys(("anisotropic-sharp", "wide"), ("--set", "thickest_slice_mm=2"))
"""What a site that has nothing better than such thick slices must set: by default more than 1 mm is refused."""

REFUSED = ("stent", "graft")
"""Devices of a phantom for which it must be refused; hard cases have them by name, drawn ones now and then."""

MATCH_MM = 5.0
"""A found stenosis answers for a planted one when its extent, widened by this, holds the true throat."""


def main() -> None:
    """Measure and keep the evidence."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    parser = argparse.ArgumentParser(
        "python -m benchmarks.coronary", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", help="phantom seeds (default 1-6, or all of --wide)")
    parser.add_argument("--wide", action="store_true", help="the whole range instead of --seeds and --difficulty")
    parser.add_argument("--size", default="full", help="small, medium or full (default full)")
    parser.add_argument("--difficulty", default="easy", help="easy, moderate or hard (default easy)")
    parser.add_argument(
        "--add", action="store_true", help="keep the other seeds that were measured before, each with its commit"
    )
    parser.add_argument("--alone", action="store_true", help="nothing else runs meanwhile: the seconds by the clock count")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="draw each study's tree beside the true one here")
    options = parser.parse_args()
    name = "coronary_wide" if options.wide else f"coronary_{options.difficulty}"
    studies = WIDE if options.wide else tuple((options.difficulty, seed) for seed in options.seeds or range(1, 7))
    studies = tuple(study for study in studies if not options.seeds or study[1] in options.seeds)
    cases = _kept(name, {seed for _, seed in studies}) if options.add else []
    for difficulty, seed in studies:
        with tempfile.TemporaryDirectory() as folder:
            case = measure(seed, options.size, difficulty, Path(folder), options.pictures)
        case |= {"commit": commit(), "alone": options.alone}
        cases = sorted([*cases, case], key=lambda measured: int(measured["seed"]))
        log.info("seed %d: %s", seed, json.dumps({k: v for k, v in case.items() if k != "stages"}))
        path = keep(name, {"size": options.size, "summary": summary(cases), "cases": cases})
    log.info("%s", json.dumps(summary(cases), indent=1))
    log.info("kept in %s", path)


def _kept(benchmark: str, again: set[int]) -> list[dict[str, Any]]:
    document = _json(RESULTS / f"{benchmark}.json")
    cases: list[dict[str, Any]] = document["results"]["cases"]
    return [{"commit": document["commit"]} | case for case in cases if case["seed"] not in again]


def measure(seed: int, size: str, difficulty: str, folder: Path, pictures: Path | None = None) -> dict[str, Any]:
    """Return what one study showed, and draw its tree into ``pictures``."""
    truth = folder / "phantom" / "truth"
    _python("algorithms.phantom", "coronary", folder / "phantom", "--seed", seed, "--size", size, "--difficulty", difficulty)
    _python("algorithms.coronary.truth", truth, check=False)  # no flow can be solved through a true occlusion
    started = time.perf_counter()
    # The flow of the true geometry is the reduced model's, and what differs is to be image analysis alone.
    given = ("--home", folder / "home", "--input", folder / "phantom" / "study", "--set", "flow_model=reduced")
    done = _python("algorithms", "coronary", *given, *SETTINGS.get(difficulty, ()), check=False)
    wall_s = time.perf_counter() - started
    answer = json.loads(done.stdout)
    case = Path(answer["case"])
    measured: dict[str, Any] = {
        "seed": seed,
        "difficulty": difficulty,
        "to_refuse": [device for device in REFUSED if _json(truth / "phantom.json").get("variety", {}).get(device)],
        "verdict": answer.get("verdict", "failed"),
        "wall_s": round(wall_s, 1),
    }
    result = json.loads(Path(answer["result"]).read_text())
    measured["reasons"] = [reason["message"] for reason in result["reasons"]]
    measured["stages"] = {m["stage"]: _cost(m) for m in map(_json, sorted(case.glob("*/*/manifest.json")))}
    measured["peak_memory_mib"] = max(cost["peak_memory_mib"] for cost in measured["stages"].values())
    measured["volume_to_tree_s"] = round(sum(measured["stages"].get(s, {"seconds": 0})["seconds"] for s in TO_TREE), 1)
    ffr = next(iter(case.glob("ffr/*/ffr.json")), None)
    tree = next(iter(case.glob("centreline/*/tree.json")), None)
    # A case without a tree has missed what was planted, and one without FFR says nothing of its vessels.
    found = Case(read_tree(tree) if tree else Tree(()), _json(ffr) if ffr else {"branches": []})
    solved = truth / "ffr.json"
    true = Case(read_tree(truth / "tree.json"), _json(solved) if solved.exists() else {"vessels": []})
    if tree:
        measured["lumen"] = _lumen(read_grid(next(iter(case.glob("segment/*/lumen.nii.gz")))), truth / "lumen_fraction.nii.gz")
        measured["tree"] = tree_agreement(found.tree, true.tree)
        if pictures:
            pictures.mkdir(parents=True, exist_ok=True)
            draw_trees(found.tree, true.tree, pictures / f"{difficulty}-{seed}.png")
    return measured | compare(true, found)


def _lumen(found: Grid, path: Path) -> dict[str, float]:
    """Return the agreement of a found lumen with the voxels of which half or more is lumen."""
    true = read_grid(path)
    whole = np.zeros(true.values.shape, bool)
    start = np.rint(true.index(np.asarray(found.origin_mm))).astype(int)
    whole[tuple(slice(a, a + n) for a, n in zip(start, found.values.shape, strict=True))] = found.values > 0
    return lumen_agreement(whole, true.values >= 32, true.spacing_mm)


TO_TREE = ("anatomy", "segment", "centreline")
"""The stages from the volume to the tree."""


@dataclass(frozen=True)
class Case:
    """A tree and the FFR along it."""

    tree: Tree
    ffr: dict[str, Any]

    def nearest(self, point_mm: np.ndarray) -> tuple[float, float]:
        """Return the distance to the nearest point of the tree, mm, and the FFR there."""
        best = (np.inf, np.nan)
        for branch, values in zip(self.tree.branches, self.ffr["branches"], strict=True):
            distance_mm = np.linalg.norm(branch.points_mm - point_mm, axis=1)
            i = int(np.argmin(distance_mm))
            best = min(best, (float(distance_mm[i]), float(values["ffr"][i])))
        return best


def compare(true: Case, found: Case) -> dict[str, Any]:
    """Return stenoses and FFR beside the truth."""
    return {
        "stenoses": _stenoses(true, found),
        "false_stenoses_over_50": _false_stenoses(true, found),
        "vessels": _vessels(true, found),
    }


def _stenoses(true: Case, found: Case) -> list[dict[str, Any]]:
    rows = []
    for planted in true.tree.stenoses:
        vessel = true.tree.branches[planted.branch]
        if vessel.name not in MAIN or not PLANTED[0] <= planted.diameter_stenosis <= PLANTED[1]:
            continue
        throat_mm = vessel.points_mm[planted.throat]
        answers = [s for s in found.tree.stenoses if _distance_mm(found.tree, s, throat_mm) <= MATCH_MM]
        best = max((s.diameter_stenosis for s in answers), default=None)
        rows.append(
            {
                "vessel": vessel.name,
                "true": round(planted.diameter_stenosis, 3),
                "found": None if best is None else round(best, 3),
                "error_points": None if best is None else round(100 * (best - planted.diameter_stenosis), 1),
            }
        )
    return rows


def _false_stenoses(true: Case, found: Case) -> int:
    return sum(
        found.tree.branches[s.branch].name in MAIN
        and s.diameter_stenosis >= FALSE_FROM
        and all(
            _distance_mm(true.tree, t, found.tree.branches[s.branch].points_mm[s.throat]) > MATCH_MM for t in true.tree.stenoses
        )
        for s in found.tree.stenoses
    )


def _distance_mm(tree: Tree, stenosis: Any, point_mm: np.ndarray) -> float:
    points_mm = tree.branches[stenosis.branch].points_mm[stenosis.start : stenosis.end + 1]
    return float(np.linalg.norm(points_mm - point_mm, axis=1).min())


def _vessels(true: Case, found: Case) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if not found.ffr["branches"]:
        return rows
    for vessel in true.ffr["vessels"]:
        if vessel["vessel"] not in MAIN:
            continue
        point_mm = true.tree.branches[vessel["branch"]].points_mm[vessel["point"]]
        distance_mm, ffr = found.nearest(point_mm)
        rows.append(
            {
                "vessel": vessel["vessel"],
                "true_ffr": round(vessel["ffr"], 3),
                "ffr": round(ffr, 3),
                "error": round(ffr - vessel["ffr"], 3),
                "distance_mm": round(distance_mm, 2),
            }
        )
    return rows


def summary(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures that the README quotes."""
    # What must be refused has neither found nor missed a lesion.
    stenoses = [row for case in cases if not case.get("to_refuse") for row in case.get("stenoses", [])]
    errors = [abs(row["error_points"]) for row in stenoses if row["found"] is not None]
    vessels = [row for case in cases for row in case.get("vessels", [])]
    ffr_errors = [abs(row["error"]) for row in vessels]
    differences = [row["error"] for row in vessels]
    sides = [(row["ffr"] <= THRESHOLD) == (row["true_ffr"] <= THRESHOLD) for row in vessels]
    trees = [case["tree"] for case in cases if "tree" in case]
    lumens = [case["lumen"] for case in cases if "lumen" in case]
    return {
        "studies": len(cases),
        "verdicts": {v: sum(case["verdict"] == v for case in cases) for v in sorted({case["verdict"] for case in cases})},
        "stenoses_planted": len(stenoses),
        "stenoses_found": len(errors),
        "diameter_error_points_median": _figure(np.median, errors),
        "diameter_error_points_max": _figure(np.max, errors),
        "false_stenoses_over_50": sum(case.get("false_stenoses_over_50", 0) for case in cases),
        "vessels": len(vessels),
        "ffr_error_median": _figure(np.median, ffr_errors),
        "ffr_error_max": _figure(np.max, ffr_errors),
        "diameter_error_points_p90": _figure(lambda values: np.percentile(values, 90), errors),
        "ffr_bias": _figure(np.mean, differences),
        "ffr_limits": _figure(lambda values: 1.96 * np.std(values, ddof=1), differences),
        "ffr_side_right": _figure(np.mean, [float(s) for s in sides]),
        "lumen_dice": _figure(np.mean, [one["dice"] for one in lumens]),
        "lumen_hd95_mm": _figure(np.median, [one["hd95_mm"] for one in lumens]),
        "overlap": _figure(np.mean, [one["overlap"] for one in trees]),
        "distance_mm": _figure(np.mean, [one["distance_mm"] for one in trees if one["distance_mm"] is not None]),
        "false_branches": _figure(np.mean, [one["false_branches"] for one in trees]),
        "named_right": _figure(np.mean, [one["named_right"] for one in trees]),
        "volume_to_tree_s_median": _figure(np.median, [case["volume_to_tree_s"] for case in cases if "tree" in case]),
        "refused_rightly": sum(c["verdict"] == "rejected" for c in cases if c.get("to_refuse")),
        "refused_wrongly": sum(c["verdict"] == "rejected" for c in cases if not c.get("to_refuse")),
        "wall_s_median": _figure(np.median, [case["wall_s"] for case in cases]),
        "peak_memory_mib_max": _figure(np.max, [case["peak_memory_mib"] for case in cases]),
    }


def _figure(statistic: Any, values: list[float]) -> float | None:
    return round(float(statistic(values)), 3) if values else None


def _cost(manifest: dict[str, Any]) -> dict[str, float]:
    return {name: manifest[name] for name in ("seconds", "cpu_seconds", "peak_memory_mib")}


def _json(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def _python(module: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True, check=check)


if __name__ == "__main__":
    main()
