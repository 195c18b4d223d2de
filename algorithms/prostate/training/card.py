"""The card of a risk model, written from its description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from algorithms.prostate.risk.answer import TITLES


def card(description: Mapping[str, Any]) -> str:
    """Return the model's card as Markdown."""
    made = description["cohort"]
    judged = description["judged"]
    horizons = [(name, years) for name in TITLES for years in (5, 10)]
    rows = [_row(name, years, judged) for name, years in horizons]
    commons = [common for row in description["common"]["endpoints"] for common in row]
    calibrations = [
        f"| {TITLES[c['endpoint']]} | {c['intercept']:+.2f} | {c['slope']:.2f} | {_bins(c)} |"
        for c in description["calibration"]
    ]
    return "\n".join(
        [
            f"# {description['title']} (`{description['name']}`)",
            "",
            "Nothing in this model comes from a patient: "
            "the men, their tissue and their fate are drawn by `algorithms/phantom/biopsy`.",
            "It shows that the pipeline works; its risks say nothing of a real man.",
            "",
            f"- Trained on: {description['trained_on']}.",
            f"- Cohorts: seeds {', '.join(map(str, made['seeds']))}, {made['men']} men each, {made['tiles']} tiles a man; "
            f"{made['training']} trained the members, {made['held_out']} set the intervals, cut-offs and reference, "
            f"{judged['men']} of another cohort judged it.",
            f"- Features: encoder `{description['encoder']['name']}`, "
            f"weights sha256 `{description['encoder']['weights_sha256']}`.",
            f"- Weights: safetensors, float32, sha256 `{description['weights_sha256']}`, {description['members']} members.",
            f"- Risk: cumulative incidence after {description['treatment']}; {description['competing']}.",
            f"- Licence: {description['licence']}.",
            "- Made by: `python -m algorithms.prostate.training.risk --cache FOLDER`; this card too.",
            "",
            "## Against the true risk of the judging men",
            "",
            "| risk | intervals that hold the truth | median width | mean error | mean absolute error |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "The members' spread alone holds the truth too seldom: the ten-year risk of "
            f"{', '.join(f'{100 * c:.0f} % of men ({TITLES[n]})' for n, c in judged['members_alone'].items())}.",
            "So a deviation that is the same for all men was added, the least with which the intervals held the true risk of "
            "95 % of the held-out men: in the log hazard "
            + ", ".join(f"{c:.2f} ({TITLES[n]}, {y} years)" for (n, y), c in zip(horizons, commons, strict=True))
            + f"; {description['common']['benefit']:.2f} in the relative reduction of risk by ADT.",
            "Only synthetic men have a known true risk, so a model of patients cannot be widened this way.",
            "",
            "## Against what happened to the judging men",
            "",
            "| endpoint | intercept (0 is right) | slope (1 is right) | expected / observed at 10 years, low to high risk |",
            "|---|---|---|---|",
            *calibrations,
            "",
            "## Short-term androgen deprivation",
            "",
            "The head was trained on randomised synthetic arms.",
            "From this many men it learns the mean effect and hardly who benefits, so a benefit is mostly that effect at a "
            "man's risk.",
            "Its benefit correlates with the true one by "
            f"{judged['benefit_correlation']:.2f} (mean said {judged['benefit_mean_said']:.3f}, mean true "
            f"{judged['benefit_mean_true']:.3f}); {100 * judged['benefit_coverage']:.0f} % of the intervals "
            "hold the true benefit.",
            f"The log hazard ratio itself correlates with the true one by {judged['log_hazard_ratio_correlation']:.2f}.",
            f"A man of NCCN intermediate risk is called positive from a benefit of {description['adt']['threshold']:.3f} on.",
            "",
        ]
    )


def _row(name: str, years: int, judged: Mapping[str, float]) -> str:
    key = f"{name}_{years}_years"
    return (
        f"| {TITLES[name]}, {years} years | {100 * judged[f'{key}_coverage']:.1f} % | {judged[f'{key}_median_width']:.3f} "
        f"| {judged[f'{key}_mean_error']:+.3f} | {judged[f'{key}_mean_absolute_error']:.3f} |"
    )


def _bins(entry: Mapping[str, Any]) -> str:
    return ", ".join(f"{b['expected']:.3f} / {b['observed']:.3f}" for b in entry["horizons"][-1]["bins"])
