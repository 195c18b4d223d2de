"""The tables of coronary anatomy: lumen and tree against the truth over the whole range, and what the network costs."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.coronary import TO_TREE, summary
from benchmarks.markdown import measured, table


def coronary_wide() -> str:
    """Return every study of the wide range beside its truth."""
    rows: list[list[Any]] = []
    for case in measured("coronary_wide")["results"]["cases"]:
        lumen, tree = case.get("lumen"), case.get("tree")
        row: list[Any] = [f"{case['difficulty']}, {case['seed']}", case["verdict"]]
        if lumen is None or tree is None:
            rows.append([*row, "", "", "", "", "", "; ".join(case["reasons"])])
            continue
        found = [f"{r['vessel']} {_percent(r['true'])} -> {_percent(r['found'])}" for r in case["stenoses"]]
        rows.append(
            [
                *row,
                f"{lumen['dice']:.2f} / {lumen['hd95_mm']:.1f}",
                f"{tree['overlap']:.3f}",
                tree["false_branches"],
                f"{100 * tree['named_right']:.0f} %",
                "; ".join(found) or "none",
                _reasons(len(case["reasons"])) if case["verdict"] != "answered" else "",
            ]
        )
    head = ["study, seed", "verdict", "lumen Dice / HD95 (mm)", "overlap", "false branches", "named right"]
    return table([*head, "% diameter stenosis, true -> found", "why not answered"], rows)


def coronary_wide_marks() -> str:
    """Return the means of those studies beside what is wanted."""
    cases = measured("coronary_wide")["results"]["cases"]
    answerable = [case for case in cases if not case["to_refuse"]]
    s = summary(cases)
    seconds = [sum(c["stages"][stage]["cpu_seconds"] for stage in TO_TREE) for c in cases if "tree" in c]
    alone = [case["volume_to_tree_s"] for case in cases if "tree" in case and case.get("alone")]
    rows: list[list[Any]] = [
        ["studies that can be answered", len(answerable), ">= 10"],
        ["answered, held, refused of them", _verdicts(answerable), ""],
        ["stents and grafts refused", f"{s['refused_rightly']} of {sum(bool(c['to_refuse']) for c in cases)}", "all"],
        ["lumen Dice, mean", f"{s['lumen_dice']:.3f}", ">= 0.85"],
        ["95 % surface distance, median study (mm)", f"{s['lumen_hd95_mm']:.2f}", "<= 3"],
        ["centreline overlap, mean", f"{s['overlap']:.3f}", ">= 0.93"],
        ["distance of the centreline, mean (mm)", f"{s['distance_mm']:.2f}", "<= 0.20"],
        ["false branches a study", f"{s['false_branches']:.2f}", "<= 0.3"],
        ["stenoses of 40-80 % found", f"{s['stenoses_found']} of {s['stenoses_planted']}", ">= 95 %"],
        ["false stenoses over 50 %, a study", f"{s['false_stenoses_over_50'] / len(answerable):.2f}", "<= 0.3"],
        [
            "% diameter error, median / 90th percentile (points)",
            f"{s['diameter_error_points_median']} / {s['diameter_error_points_p90']}",
            "<= 5 / <= 12",
        ],
        ["FFR bias", f"{s['ffr_bias']:+.3f}", "within 0.01"],
        ["FFR limits of agreement", f"+- {s['ffr_limits']:.3f}", "within 0.06"],
        ["side of 0.80 right", f"{100 * s['ffr_side_right']:.0f} %", ">= 95 %"],
        ["named right, mean", f"{100 * s['named_right']:.1f} %", ">= 97 %"],
        ["volume to tree, median CPU seconds", f"{np.median(seconds):.0f}", ""],
    ]
    if alone:
        rows.append([f"seconds by the clock, two cores, {len(alone)} alone", f"{np.median(alone):.0f}", "60"])
    return table(["over these studies", "measured", "wanted"], rows)


def readme_anatomy() -> list[list[Any]]:
    """Return the README's rows of the wide range."""
    s = summary(measured("coronary_wide")["results"]["cases"])
    net = measured("segmentation")["results"]["network"]
    return [
        [
            f"coronary lumen over the phantom's whole range ({s['studies']} studies), mean Dice",
            f"{s['lumen_dice']:.2f}",
            "0.85",
        ],
        ["centreline overlap there, vessels of 0.75 mm radius and more", f"{s['overlap']:.3f}", "0.93"],
        [
            "network along the arteries against its sliding window with half overlap",
            f"{net['speed_up_overlapping']:.0f} x",
            "20 x",
        ],
    ]


def segmentation() -> str:
    """Return what following the lumen saves, and the line filter beside its peer."""
    found = measured("segmentation")["results"]
    net, line = found["network"], found["filter"]
    rows: list[list[Any]] = [
        ["the network where the lumen leads", net["followed_blocks"], f"{net['followed_s']:.0f}", ""],
        ["over the whole volume, the same blocks", net["whole_blocks"], f"{net['whole_s']:.0f}", f"{net['speed_up']:.0f}x"],
        [
            "over the whole volume, overlapping by half (reckoned)",
            net["overlapping_blocks"],
            f"{net['overlapping_s']:.0f}",
            f"{net['speed_up_overlapping']:.0f}x",
        ],
        [f"tubeness at candidates, Dice {line['ours_dice']:.3f}", "", f"{line['ours_s']:.1f}", ""],
        [f"scikit-image's Frangi, Dice {line['frangi_dice']:.3f}", "", f"{line['frangi_s']:.1f}", f"{line['speed_up']:.1f}x"],
    ]
    return table([found["study"], "blocks", "CPU seconds", "slower"], rows)


def _verdicts(cases: list[dict[str, Any]]) -> str:
    return ", ".join(str(sum(case["verdict"] == verdict for case in cases)) for verdict in ("answered", "held", "rejected"))


def _reasons(count: int) -> str:
    return "1 reason" if count == 1 else f"{count} reasons"


def _percent(fraction: float | None) -> str:
    return "missed" if fraction is None else f"{100 * fraction:.0f} %"
