"""Cumulative incidence of each endpoint over the years with its 95 % band, and how earlier risks came true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.ticker import MaxNLocator

from algorithms.report.drawing import WIDTH_IN, figure, save
from algorithms.report.palette import INK, MUTED, RULE, TONES

TOPS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
"""Upper ends of the risk axis; the lowest that holds both bands is taken, so that the two graphs can be compared."""

HORIZONS_YEARS = (5, 10)
HEIGHT_IN = 2.55


def top_of(highest: float) -> float:
    """Return the upper end of an axis, or of a scale, that holds a risk of ``highest``."""
    return next((top for top in TOPS if top >= highest), 1.0)


def draw_incidence(curves: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Write one graph an endpoint side by side; dots with their values stand at 5 and 10 years."""
    top = top_of(max(max(curve["high"]) for curve in curves))
    with figure(WIDTH_IN, HEIGHT_IN) as drawn:
        width = (WIDTH_IN - 0.5 - 0.62 * (len(curves) - 1)) / len(curves) - 0.22
        for index, curve in enumerate(curves):
            left = 0.5 + index * (width + 0.22 + 0.62)
            axes = drawn.add_axes((left / WIDTH_IN, 0.42 / HEIGHT_IN, width / WIDTH_IN, (HEIGHT_IN - 0.72) / HEIGHT_IN))
            tone = TONES["negative"]
            axes.fill_between(curve["years"], curve["low"], curve["high"], color=tone.line, alpha=0.22, lw=0)
            axes.plot(curve["years"], curve["risk"], color=tone.ink, lw=1.8)
            for horizon in HORIZONS_YEARS:
                _dot(axes, curve, horizon, tone.ink)
            axes.set(xlim=(0, 10.25), ylim=(0, top), xlabel="years after biopsy", xticks=range(0, 11))
            axes.set_xticks(range(0, 11, 5), labels=["0", "5", "10"])
            axes.set_xticks(range(11), minor=True)
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
            axes.grid(axis="y", color=RULE, lw=0.5)
            axes.set_axisbelow(True)
            axes.set_title(_sentence(curve["title"]), loc="left", fontweight=600, color=INK, pad=7)
        save(drawn, out)


def draw_calibration(entries: Sequence[Mapping[str, Any]], titles: Mapping[str, str], out: Path) -> None:
    """Write expected against observed ten-year incidence of groups of men, one graph an endpoint side by side."""
    groups = [max(entry["horizons"], key=lambda h: h["horizon_years"])["bins"] for entry in entries]
    top = top_of(1.04 * max(max(group["expected"], group["observed"]) for found in groups for group in found))
    side, gap = 2.05, 1.0
    total = side + 0.72
    with figure(WIDTH_IN, total) as drawn:
        for index, (entry, found) in enumerate(zip(entries, groups, strict=True)):
            left = 0.62 + index * (side + gap + 0.5)
            axes = drawn.add_axes((left / WIDTH_IN, 0.42 / total, side / WIDTH_IN, side / total))
            axes.plot([0, top], [0, top], color=RULE, lw=1.2)
            expected, observed = ([group[name] for group in found] for name in ("expected", "observed"))
            axes.plot(
                expected,
                observed,
                "o-",
                color=TONES["negative"].ink,
                ms=5,
                mec="white",
                mew=0.9,
                lw=1.2,
                clip_on=False,
                zorder=3,
            )
            axes.set(xlim=(0, top), ylim=(0, top), xlabel="expected", ylabel="observed")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(4))
                axis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
            axes.set_title(_sentence(titles[entry["endpoint"]]), loc="left", fontweight=600, color=INK, pad=7)
            told = f"intercept {entry['intercept']:.2f}, slope {entry['slope']:.2f}".replace("-", "−")
            axes.text(0.97 * top, 0.04 * top, told, ha="right", va="bottom", fontsize=7.5, color=MUTED)
        save(drawn, out)


def _sentence(title: str) -> str:
    return title[:1].upper() + title[1:]


def at_year(curve: Mapping[str, Any], name: str, year: float) -> float:
    """Return the value of a curve's line at a year it has."""
    return float(curve[name][list(curve["years"]).index(year)])


def _dot(axes: Any, curve: Mapping[str, Any], horizon: int, colour: str) -> None:
    risk = at_year(curve, "risk", horizon)
    axes.vlines(horizon, at_year(curve, "low", horizon), at_year(curve, "high", horizon), color=colour, lw=1.1)
    axes.plot([horizon], [risk], "o", color=colour, ms=5, mec="white", mew=0.9, clip_on=False, zorder=4)
    axes.annotate(
        f"{100 * risk:.1f} %", (horizon, risk), (-7, 5), textcoords="offset points", ha="right", va="bottom", fontsize=8.5,
        fontweight=600, color=INK, bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75},
    )  # fmt: skip
