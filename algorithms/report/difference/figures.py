"""Pictures of paired values: differences over means (Bland-Altman), and new over old.

Values that crossed a bound are triangles, the others circles: shape and colour both say it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from algorithms.report import drawing, palette
from algorithms.report.blocks import Figure, Picture
from algorithms.report.words import shown

KEPT, CROSSED = palette.TONES["negative"].line, palette.TONES["positive"].line

SIZE_IN = (3.45, 2.83)
"""Two side by side fill the text's width, and the axes are square."""

TEXT_HEIGHT = 0.115
"""Of two lines of text beside the axes, as a part of the axes' height."""


def paired_figure(numbers: Mapping[str, Any]) -> Figure:
    """Return both pictures of a series of numbers of `document.difference`, with a caption that says how to read them."""
    pictures = (
        Picture(_drawn(lambda axes: _differences(axes, numbers)), _differences_in_words(numbers)),
        Picture(_drawn(lambda axes: _values(axes, numbers)), _values_in_words(numbers)),
    )
    caption = "Left: difference of the new from the old value over their mean"
    if numbers["agreement"]:
        caption += "; bias (line) and limits of agreement (dashes) with their 95 % confidence intervals (bands)"
    caption += ". Right: new over old value, with the line on which both are equal"
    if numbers["bounds"]:
        caption += "; dotted: decision limits. Triangles crossed one, circles did not"
    return Figure(pictures, f"{caption}.", columns=2)


def _drawn(draw: Callable[[Axes], None]) -> bytes:
    with drawing.figure(*SIZE_IN) as drawn, tempfile.TemporaryDirectory() as folder:
        axes = drawn.add_axes((0.185, 0.155, 0.655, 0.80))
        draw(axes)
        path = Path(folder) / "drawn.svg"
        drawing.save(drawn, path)
        return path.read_bytes()


def _differences(axes: Axes, numbers: Mapping[str, Any]) -> None:
    pairs, found = numbers["pairs"], numbers["agreement"]
    means = [(pair["old"] + pair["new"]) / 2 for pair in pairs]
    differences = [pair["new"] - pair["old"] for pair in pairs]
    axes.axhline(0, color=palette.RULE, linewidth=1, zorder=1)
    if found:
        for name, style in (("upper", (0, (5, 3))), ("bias", "-"), ("lower", (0, (5, 3)))):
            estimate = found[name]
            axes.axhspan(estimate["low"], estimate["high"], color=palette.MUTED, alpha=0.13, linewidth=0, zorder=0)
            axes.axhline(estimate["value"], color=palette.INK, linewidth=1, linestyle=style, zorder=2)
    _scatter(axes, pairs, means, differences)
    ends = [found[name][end] for name in ("lower", "upper") for end in ("low", "high")] if found else []
    axes.set_ylim(*_range([*differences, *ends, 0.0], numbers["digits"]))
    axes.set_xlim(*_range(means, numbers["digits"]))
    if found:
        _name_lines(axes, found, numbers)
    axes.set_xlabel(f"Mean of old and new{_unit(numbers)}")
    axes.set_ylabel("New minus old" + (f" ({unit})" if (unit := difference_unit(numbers)) else ""))


def _name_lines(axes: Axes, found: Mapping[str, Any], numbers: Mapping[str, Any]) -> None:
    """Write the values of the three lines beside them, of all three at once where they are one line."""
    names = {"upper": "upper limit", "bias": "bias", "lower": "lower limit"}
    if found["sd"] == 0:
        names = {"bias": "bias, limits"}
    bottom, top = axes.get_ylim()
    heights = {name: (found[name]["value"] - bottom) / (top - bottom) for name in names}
    for name, height in apart(heights).items():
        axes.annotate(
            f"{names[name]}\n{signed(found[name]['value'], numbers['digits'] + 1)}",
            (1.02, height), xycoords="axes fraction", va="center", ha="left", fontsize=7.2,
            color=palette.INK, annotation_clip=False,
        )  # fmt: skip


def apart(heights: Mapping[str, float]) -> dict[str, float]:
    """Return where the texts of lines at these heights (of the axes' own) stand, so that none covers another."""
    placed = dict(heights)
    if "upper" in placed:
        placed["upper"] = max(placed["upper"], placed["bias"] + TEXT_HEIGHT)
        placed["lower"] = min(placed["lower"], placed["bias"] - TEXT_HEIGHT)
    return placed


def _values(axes: Axes, numbers: Mapping[str, Any]) -> None:
    pairs = numbers["pairs"]
    old, new = [pair["old"] for pair in pairs], [pair["new"] for pair in pairs]
    ends = _range([*old, *new], numbers["digits"])
    axes.plot(ends, ends, color=palette.RULE, linewidth=1, zorder=1)
    for bound in numbers["bounds"]:
        if ends[0] < bound < ends[1]:
            for line in (axes.axhline, axes.axvline):
                line(bound, color=palette.MUTED, linewidth=0.9, linestyle=":", zorder=1)
            axes.annotate(
                shown(float(bound)), (1.02, bound), xycoords=("axes fraction", "data"), va="center", fontsize=7.2,
                color=palette.MUTED, annotation_clip=False,
            )  # fmt: skip
    _scatter(axes, pairs, old, new)
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_box_aspect(1)
    axes.set_xlabel(f"Old{_unit(numbers)}")
    axes.set_ylabel(f"New{_unit(numbers)}")


def _scatter(axes: Axes, pairs: Sequence[Mapping[str, Any]], x: Sequence[float], y: Sequence[float]) -> None:
    for crossed, marker, colour, size in ((False, "o", KEPT, 22), (True, "^", CROSSED, 38)):
        chosen = [i for i, pair in enumerate(pairs) if bool(pair["crossed"]) == crossed]
        axes.scatter(
            [x[i] for i in chosen], [y[i] for i in chosen], s=size, marker=marker, color=colour, edgecolor="white",
            linewidth=0.6, alpha=0.9, zorder=3, clip_on=False,
        )  # fmt: skip


def _range(values: Sequence[float], digits: int) -> tuple[float, float]:
    """Return ends with a margin around ``values``; those that are all equal get room of five of the last digit shown."""
    low, high = min(values), max(values)
    margin = max(0.06 * (high - low), 5 * 10.0**-digits if high == low else 10.0 ** -(digits + 1))
    return low - margin, high + margin


def _unit(numbers: Mapping[str, Any]) -> str:
    return f" ({numbers['unit']})" if numbers["unit"] else ""


def difference_unit(numbers: Mapping[str, Any]) -> str:
    """Return the unit of a difference: between two values in per cent lie points, not per cent of one of them."""
    return "points" if numbers["unit"] == "%" else str(numbers["unit"])


def signed(value: float, digits: int) -> str:
    """Return a difference with its sign, as it is printed."""
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return text
    return ("+" if value > 0 else "−") + text


def _differences_in_words(numbers: Mapping[str, Any]) -> str:
    text = f"{numbers['name']}: differences of {numbers['values']} pairs over their means"
    if found := numbers["agreement"]:
        digits = numbers["digits"] + 1
        limits = " to ".join(signed(found[name]["value"], digits) for name in ("lower", "upper"))
        text += (
            f"; bias {signed(found['bias']['value'], digits)}, limits of agreement {limits} {difference_unit(numbers)}".rstrip()
        )
    return f"{text}."


def _values_in_words(numbers: Mapping[str, Any]) -> str:
    crossed = sum(bool(pair["crossed"]) for pair in numbers["pairs"])
    return f"{numbers['name']}: new over old values of {numbers['values']} pairs, {crossed} of them across a decision limit."
