"""Pictures of a measured tree beside the true one: what was found, what was missed, what is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from algorithms.coronary.tree import Tree
from algorithms.report.drawing import WIDTH_IN, figure, save
from algorithms.report.palette import INK, MUTED, TONES
from benchmarks.anatomy import CLEAR_RADIUS_MM, LEAST_REACH_MM, Curves

VIEWS = (("from the front", (0, 2), (1, 1)), ("from the left", (1, 2), (1, 1)), ("from below", (0, 1), (1, -1)))
"""Title, the LPS axes to the right and upwards, and their signs."""

COLOURS = {"found": TONES["neutral"].line, "missed": TONES["positive"].line, "not there": TONES["grey"].line}


def draw_trees(found: Tree, true: Tree, path: Path) -> None:
    """Write three views of both trees: a point of one that the other has is grey, what is missed red, what is not there amber.

    Lines are as wide as vessels, a tenth of a mm thick in print for each of their mm; thin true vessels that need not be found
    are dotted.
    """
    ours, theirs = Curves.of(found.branches), Curves.of(true.branches)
    away, _ = cKDTree(ours.points_mm).query(theirs.points_mm)
    off, nearest = cKDTree(theirs.points_mm).query(ours.points_mm)
    lost = away > np.maximum(theirs.radius_mm, LEAST_REACH_MM)
    wrong = off > np.maximum(theirs.radius_mm[nearest], LEAST_REACH_MM)
    clear = theirs.radius_mm >= CLEAR_RADIUS_MM
    layers = [
        (theirs.points_mm[~lost], theirs.radius_mm[~lost], COLOURS["found"]),
        (theirs.points_mm[lost & ~clear][::12], theirs.radius_mm[lost & ~clear][::12], COLOURS["missed"]),
        (theirs.points_mm[lost & clear], theirs.radius_mm[lost & clear], COLOURS["missed"]),
        (ours.points_mm[wrong], ours.radius_mm[wrong], COLOURS["not there"]),
    ]
    everything = np.concatenate([ours.points_mm, theirs.points_mm])
    with figure(WIDTH_IN, 2.7) as drawn:
        for number, (title, shown, signs) in enumerate(VIEWS):
            axes = drawn.add_axes((0.005 + 0.3317 * number, 0.1, 0.325, 0.82))
            for points, radius, colour in layers:
                x, y = (sign * points[:, axis] for axis, sign in zip(shown, signs, strict=True))
                axes.scatter(x, y, s=3.0 * radius**2, color=colour, linewidths=0)
            for stenosis in true.stenoses:
                throat = true.branches[stenosis.branch].points_mm[stenosis.throat]
                axes.plot(
                    *(sign * throat[axis] for axis, sign in zip(shown, signs, strict=True)), "o", mfc="none", mec=INK, ms=7
                )
            low, high = everything.min(axis=0) - 5, everything.max(axis=0) + 5
            xlim, ylim = (sorted((sign * low[a], sign * high[a])) for a, sign in zip(shown, signs, strict=True))
            axes.set(xlim=xlim, ylim=ylim)
            axes.set_aspect("equal")
            axes.set_axis_off()
            drawn.text(0.01 + 0.3317 * number, 0.94, title, color=MUTED, fontsize=8)
        drawn.text(
            0.005, 0.02, "grey: found; red: missed (dotted: too thin to count); amber: not there; rings: true lesions",
            color=MUTED, fontsize=8,
        )  # fmt: skip
        save(drawn, path, dpi=130)
