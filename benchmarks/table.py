"""Write the evidence tables of README and docs anew from ``benchmarks/results``: ``python -m benchmarks.table``.

A table stands between ``<!-- evidence NAME -->`` and ``<!-- end -->``;
tests/test_evidence.py fails when it is not what is measured.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.evidence import RESULTS
from benchmarks.markdown import measured, table
from benchmarks.table_anatomy import coronary_wide, coronary_wide_marks, readme_anatomy, segmentation
from benchmarks.table_flow import flow_agreement, flow_cost, lattice_accuracy, lattice_cost, lesions_solved
from benchmarks.table_phantom import phantom_statistics
from benchmarks.table_privacy import burned_in, deidentification
from benchmarks.table_training import training

PROJECT = Path(__file__).parents[1]
DOCUMENTS = (
    "README.md", "docs/coronary.md", "docs/edge.md", "docs/operations.md", "docs/privacy-hard-set.md", "docs/privacy.md",
    "docs/prostate.md", "docs/training.md",
)  # fmt: skip
MARK = re.compile(r"(<!-- evidence (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Bring every document up to date."""
    for name in DOCUMENTS:
        path = PROJECT / name
        path.write_text(filled(path.read_text()))


def filled(text: str) -> str:
    """Return ``text`` with every evidence table as measured."""
    return MARK.sub(lambda mark: mark[1] + TABLES[mark[2]]() + mark[3], text)


def readme() -> str:
    """Return what the README claims, a line each, with the limit or peer it is measured against."""
    coronary, flow, airflow = (measured(name)["results"] for name in ("coronary_easy", "flow", "airflow"))
    s = coronary["summary"]
    agreement = max(r["largest_relative_difference"] for r in flow["svzerod"])
    answered = s["verdicts"].get("answered", 0)
    rows: list[list[Any]] = [
        ["planted stenoses of 40-80 % found in LM, LAD, LCx, RCA", f"{s['stenoses_found']} of {s['stenoses_planted']}", "all"],
        ["% diameter stenosis against the truth, largest error", f"{s['diameter_error_points_max']} points", "15 points"],
        ["FFR against that of the true geometry, median vessel", s["ffr_error_median"], "0.06"],
        ["studies answered without review", f"{answered} of {s['studies']}", "the others are held or refused with a reason"],
        [f"DICOM to report, {coronary['size']} size, 2 cores", f"{s['wall_s_median']:.0f} s", "360 s"],
        ["peak memory of a stage", f"{s['peak_memory_mib_max'] / 1024:.1f} GiB", "6 GB"],
        ["tree flow against SimVascular's svzerod", f"{agreement:.0e} relative", "1e-6"],
        *readme_anatomy(),
        *_readme_lattice(),
        *_readme_privacy(),
        ["Airflow's own share of a case", f"{airflow['airflow']['own_s']:.0f} s", "30 s"],
        *_readme_prostate(),
    ]
    return table(["claim", "measured", "wanted"], rows)


def _readme_lattice() -> list[list[Any]]:
    speed, stenoses = measured("lattice_speed")["results"], measured("lattice_stenoses")["results"]
    worst = max(abs(row["error_percent"]) for row in stenoses if row["cells_across_throat"] >= 16)
    return [
        ["3-D flow, pressure lost in six stenoses of 50-70 % of area, 16 cells across", f"{worst:.1f} % at most", "3 %"],
        ["3-D flow, two cores", f"{speed['million_updates_per_s']:.0f} million cell updates/s", "25 million"],
    ]


def _readme_privacy() -> list[list[Any]]:
    found = measured("deidentification")["results"]
    nearest = min(found["peers"], key=lambda peer: float(peer["times_ours"]))
    return [
        ["de-identification of a CT image, proof included, CPU", f"{found['ours']['cpu_ms_per_image']:.2f} ms", "1 ms"],
        [f"the same beside {nearest['name']}, the fastest of three", f"{nearest['times_ours']:.1f} x", "5 x"],
    ]


def _readme_prostate() -> list[list[Any]]:
    slides, risk = measured("slides")["results"], measured("survival")["results"]["summary"]
    bounded = ("deidentify", "tissue", "tiles", "encode")
    peak = max(slides["memory"][slide][stage] for slide in ("one_slide_mib", "three_slides_mib") for stage in bounded)
    native, windows = slides["reader"]["native"], slides["reader"]["windows"]
    found = risk["distant_metastasis"]
    return [
        ["slide reader against openslide-python, equal pixels", f"{windows['ours_times_openslide']:.1f} x", "3.5 x"],
        ["slide reader, whole native tiles, against pure JPEG decoding", f"{native['ours_of_pure_decode']:.2f}", "0.8"],
        ["tile loader against openslide, PIL and ToTensor", f"{slides['loader']['ours_times_usual']:.1f} x", "5 x"],
        ["peak memory up to the features, a slide of 61,440 pixels a side", f"{peak / 1024:.1f} GiB", "1.5 GB"],
        [
            "C-index of metastasis above that of the clinical variables, least of three seeds",
            f"{found['lead_least']:.3f}",
            "0.05",
        ],
        ["share of the true hazard's excess C-index reached, least of three seeds", f"{found['share_least']:.2f}", "0.85"],
    ]


def coronary_accuracy() -> str:
    """Return how near the truth the whole chain comes, per difficulty."""
    rows: list[list[Any]] = []
    for difficulty in ("easy", "moderate"):
        if not (RESULTS / f"coronary_{difficulty}.json").exists():
            continue
        results = measured(f"coronary_{difficulty}")["results"]
        s = results["summary"]
        rows.append(
            [
                f"{difficulty}, {results['size']}",
                s["studies"],
                ", ".join(f"{n} {verdict}" for verdict, n in s["verdicts"].items()),
                f"{s['stenoses_found']} of {s['stenoses_planted']}",
                f"{s['diameter_error_points_median']} / {s['diameter_error_points_max']}",
                s["false_stenoses_over_50"],
                f"{s['ffr_error_median']} / {s['ffr_error_max']}",
            ]
        )
    head = [
        "noise, size",
        "studies",
        "verdicts",
        "stenoses found",
        "% diameter error, median / max (points)",
        "false stenoses > 50 %",
    ]
    return table([*head, "FFR error, median / max"], rows)


def coronary_cases() -> str:
    """Return every planted stenosis and every vessel beside the truth."""
    rows: list[list[Any]] = []
    for case in measured("coronary_easy")["results"]["cases"]:
        stenoses = [f"{r['vessel']} {_percent(r['true'])} -> {_percent(r['found'])}" for r in case.get("stenoses", [])]
        vessels = [f"{r['vessel']} {r['true_ffr']:.2f} -> {r['ffr']:.2f}" for r in case.get("vessels", [])]
        rows.append([case["seed"], case["verdict"], "; ".join(stenoses) or "none", "; ".join(vessels)])
    return table(["seed", "verdict", "% diameter stenosis, true -> found", "FFR, true geometry -> found"], rows)


def coronary_stages() -> str:
    """Return what each stage costs on a full-size study, the median over the studies."""
    cases = [case for case in measured("coronary_easy")["results"]["cases"] if len(case["stages"]) > 2]
    names = [
        "receive",
        "deidentify",
        "volume",
        "anatomy",
        "segment",
        "centreline",
        "boundary",
        "flow",
        "ffr",
        "render",
        "report",
    ]
    rows: list[list[Any]] = []
    for name in names:
        costs = [case["stages"][name] for case in cases if name in case["stages"]]
        if costs:
            rows.append([name, *(f"{_median([c[field] for c in costs]):.{digits}f}" for field, digits in COSTS)])
    walls = [case["wall_s"] for case in cases]
    peak = max(case["peak_memory_mib"] for case in cases)
    rows.append(["**whole case, wall**", f"{_median(walls):.0f}", "", f"{peak:.0f}"])
    return table(["stage", "seconds", "CPU seconds", "peak memory (MiB)"], rows)


def survival_ranking() -> str:
    """Return how the risk model ranks men who took no part, beside its rivals and the truth."""
    results = measured("survival")["results"]
    names = ("clinical", "image", "fused", "oracle", "cox_head", "discrete_time_head", "share_of_oracle")
    rows: list[list[Any]] = []
    for fold in results["folds"]:
        for endpoint, found in fold["c_index"].items():
            rows.append([fold["seed"], endpoint.replace("_", " "), *(f"{found[name]:.3f}" for name in names)])
    head = [
        "seed",
        "endpoint",
        "clinical only",
        "tiles only",
        "fused",
        "true hazard",
        "fused, Cox head",
        "fused, discrete-time head",
    ]
    return table([*head, "share of the truth's excess over 0.5"], rows)


def survival_honesty() -> str:
    """Return how often intervals hold the true risk, calibration, and what is known of the benefit of ADT."""
    rows: list[list[Any]] = []
    for fold in measured("survival")["results"]["folds"]:
        judged = fold["judged"]
        for entry in fold["calibration"]:
            name = entry["endpoint"]
            held = " / ".join(_percent(judged[f"{name}_{years}_years_coverage"]) for years in (5, 10))
            alone = _percent(judged["members_alone"][name])
            rows.append(
                [fold["seed"], name.replace("_", " "), held, alone, f"{entry['intercept']:+.2f}", f"{entry['slope']:.2f}"]
            )
        correlations = f"{judged['benefit_correlation']:.2f} / {judged['log_hazard_ratio_correlation']:.2f}"
        rows[-2] += [correlations, _percent(judged["benefit_coverage"])]
        rows[-1] += ["", ""]
    head = ["seed", "endpoint", "intervals that hold the true risk, 5 / 10 years", "members' spread alone, 10 years"]
    head += ["calibration intercept", "slope", "ADT: correlation of benefit / log hazard ratio with the truth"]
    return table([*head, "ADT intervals that hold the true benefit"], rows)


def slides_reading() -> str:
    """Return how fast tiles are read, beside the limit and the peers."""
    results = measured("slides")["results"]
    native, windows, loader = results["reader"]["native"], results["reader"]["windows"], results["loader"]
    rows: list[list[Any]] = [
        ["native tiles of 256 px, of the pure libjpeg-turbo decode rate", f"{native['ours_of_pure_decode']:.2f}", "0.8"],
        ["windows of 224 px across them, of that rate", f"{windows['ours_of_pure_decode']:.2f}", ""],
        ["native tiles, times openslide-python with equal pixels", f"{native['ours_times_openslide']:.1f}", "3.5"],
        ["windows of 224 px, times openslide-python with equal pixels", f"{windows['ours_times_openslide']:.1f}", "3.5"],
        ["loader, times openslide, PIL, ToTensor, normalise (CLAM, Trident)", f"{loader['ours_times_usual']:.1f}", "5"],
    ]
    if "tiatoolbox" in loader:
        name = f"loader, times TIAToolbox {loader['tiatoolbox']}"
        rows.append([name, f"{loader['ours_times_tiatoolbox']:.1f}", "5"])
    return table(["CPU seconds, side by side in one run", "measured", "wanted"], rows)


def slides_memory() -> str:
    """Return the peak memory of the stages on slides of more than 60,000 pixels a side."""
    memory = measured("slides")["results"]["memory"]
    names = list(memory["one_slide_mib"])
    rows: list[list[Any]] = [[name, memory["one_slide_mib"][name], memory["three_slides_mib"].get(name, "")] for name in names]
    head = f"stage, slides of {memory['side_px']} x {memory['side_px']} pixels"
    return table([head, "one slide, peak MiB", "three such slides"], rows)


def slides_damage() -> str:
    """Return how much silent damage is found, by how much of the tile is wrong, over all slides and filters."""
    results = measured("slide_damage")["results"]
    shares = [f"{100 * low:g} to {100 * high:g} %" for low, high in itertools.pairwise(results["shares"])]
    witnesses = sorted({r["witness"] for r in results["slides"]}, key=lambda name: int(name.split()[0]))
    rows: list[list[Any]] = []
    for i, share in reversed(list(enumerate(shares))):
        row: list[Any] = [share]
        for name in witnesses:
            ones = [r for r in results["slides"] if r["witness"] == name]
            found, silent = sum(r["found"][i] for r in ones), sum(r["silent"][i] for r in ones)
            row.append(f"{100 * found / silent:.1f} % ({found} of {silent})" if silent else "none")
        rows.append(row)
    whole = ["whole tiles doubted"]
    for name in witnesses:
        ones = [r for r in results["slides"] if r["witness"] == name]
        whole.append(f"{sum(r['whole_tiles_doubted'] for r in ones)} of {sum(r['whole_tiles'] for r in ones)}")
    return table(["wrong part of the tile", *(f"found by a level {name}" for name in witnesses)], [*rows, whole])


def store_transfer() -> str:
    """Return what a large file costs on its way to the object store and back, beside boto3's own transfer."""
    results = measured("store")["results"]
    rows: list[list[Any]] = []
    for action, text in (("put", "up"), ("get", "down")):
        ours, peer = results["ours"][action], results["boto3"][action]
        row = [f"{results['size_mib']} MiB {text}", f"{ours['growth_mib']:.0f}", "200", f"{peer['growth_mib']:.0f}"]
        rows.append([*row, f"{ours['cpu_seconds']:.1f}", f"{peer['cpu_seconds']:.1f}"])
    head = ["file", "memory above that of a small one (MiB)", "wanted, at most", "boto3's own", "CPU seconds", "boto3's own"]
    return table(head, rows)


def edge() -> str:
    """Return what it costs the appliance to receive, beside dcmtk's receiver in the same run."""
    rows: list[list[Any]] = [
        [
            r["receiver"],
            r["associations"],
            f"{r['images_per_s']:.0f}",
            f"{r['cpu_ms_per_image']:.1f}",
            f"{r['peak_mib'] * 2**20 / 1e6:.0f}",
        ]
        for r in measured("edge")["results"]["receivers"]
    ]
    return table(["receiver", "associations", "images/s", "CPU ms an image", "peak memory (MB)"], rows)


def edge_upload() -> str:
    """Return what memory the appliance takes for a study that it sends to S3."""
    found = measured("edge_upload")["results"]
    rows: list[list[Any]] = [
        [
            found["images"],
            f"{found['study_mib'] * 2**20 / 1e6:.0f}",
            f"{found['peak_mib'] * 2**20 / 1e6:.0f}",
            f"{found['engine_peak_mib'] * 2**20 / 1e6:.0f}",
        ]
    ]
    return table(["images", "study (MB)", "peak memory of the appliance (MB)", "of the engine (MB)"], rows)


def faults() -> str:
    """Return what each fault did, how long nothing went on after it, and which tests make it happen."""
    rows: list[list[Any]] = []
    for fault in measured("faults")["results"]["faults"]:
        standstill = "" if fault["recovery_s"] is None else f"{fault['recovery_s']:.0f}"
        files = ", ".join(f"`{name}`" for name in fault["files"])
        rows.append([fault["name"], fault["struck"], standstill, files])
    return table(["fault", "times", "standstill (s), wanted < 60", "made to happen in"], rows)


def faults_cluster() -> str:
    """Return what many cases at once came to."""
    found = measured("faults")["results"]["cluster"]
    rows: list[list[Any]] = [
        ["cases at once", f"{found['cases']:.0f}"],
        ["tasks, each run once", f"{found['tasks']:.0f}"],
        ["most tasks at one time", f"{found['most_tasks']:.0f}"],
        ["most GiB at one time, of those of the pool", f"{found['most_gib']:.0f} of {found['pool_gib']:.0f}"],
        ["seconds from the first task to the last", f"{found['seconds']:.0f}"],
    ]
    return table(["what", "measured"], rows)


def scale() -> str:
    """Return turn-around and price from a thousand to a million cases a day."""
    rows: list[list[Any]] = []
    for r in measured("scale")["results"]["days"]:
        minutes = [f"{r[name] / 60:.1f}" for name in ("p50_s", "p95_s")]
        shares = [f"{100 * r['utilisation']:.0f} %", f"{100 * r['lost_share']:.3f} %"]
        rows.append(
            [f"{r['cases_a_day']:,}", r["machines"], *minutes, r["most_workers"], *shares, f"{r['price_of_a_case']:.4f}"]
        )
    currency = measured("scale")["results"]["prices"]["currency"]
    head = [
        "cases a day",
        "machines",
        "p50 (min)",
        "p95 (min)",
        "most workers",
        "utilisation",
        "work lost",
        f"{currency} a case",
    ]
    return table(head, rows)


COSTS = (("seconds", 1), ("cpu_seconds", 1), ("peak_memory_mib", 0))


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def _percent(fraction: float | None) -> str:
    return "missed" if fraction is None else f"{100 * fraction:.0f} %"


TABLES: dict[str, Callable[[], str]] = {
    "training": training,
    "burned_in": burned_in,
    "readme": readme,
    "coronary_accuracy": coronary_accuracy,
    "coronary_cases": coronary_cases,
    "coronary_stages": coronary_stages,
    "coronary_wide": coronary_wide,
    "coronary_wide_marks": coronary_wide_marks,
    "segmentation": segmentation,
    "edge": edge,
    "edge_upload": edge_upload,
    "faults": faults,
    "faults_cluster": faults_cluster,
    "flow_agreement": flow_agreement,
    "flow_cost": flow_cost,
    "lattice_accuracy": lattice_accuracy,
    "lesions_solved": lesions_solved,
    "phantom_statistics": phantom_statistics,
    "deidentification": deidentification,
    "lattice_cost": lattice_cost,
    "scale": scale,
    "slides_reading": slides_reading,
    "slides_memory": slides_memory,
    "slides_damage": slides_damage,
    "store_transfer": store_transfer,
    "survival_ranking": survival_ranking,
    "survival_honesty": survival_honesty,
}


if __name__ == "__main__":
    main()
