"""Pictures along one vessel: the pull-back graph, the straightened reformation, the lesion close by.

Arrays are (Z, Y, X); points are (N, 3) LPS mm.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from scipy.ndimage import gaussian_filter1d, map_coordinates

from algorithms.coronary.grid import Grid
from algorithms.coronary.pictures import style
from algorithms.coronary.pictures.path import VesselPath, lesion_label
from algorithms.coronary.tree import SCCT_SEGMENTS, Tree
from algorithms.report import drawing
from algorithms.report.palette import INK, MUTED, RULE, TONES

WINDOW_HU = (-150.0, 750.0)
"""Grey scale of the reformations: level 300, width 900, in which contrasted lumen and calcium are told apart."""

HALF_WIDTH_MM = 9.0
"""How far the reformation reaches to each side of the centreline."""

STEP_MM = 0.25
"""Sampling distance of reformations, about half a voxel."""

CLOSE_MM = 6.0
"""How far a close-up reaches to each side of the centreline."""

LESION = TONES["positive"].line
EDGE, MARK = "#ffb000", "#ff6f61"
"""The lumen's edge, and a lesion's ends, on grey CT."""


def hounsfield(volume: Grid, points_mm: np.ndarray) -> np.ndarray:
    """Return the Hounsfield units at ``points_mm`` (..., 3), trilinear, same shape; air outside the volume."""
    index = np.moveaxis(volume.index(points_mm), -1, 0)
    return np.asarray(map_coordinates(volume.values, index, order=1, cval=-1000.0, output=np.float32))


def frames(points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two unit vectors across the path at each point, (N, 3) each, that turn with it as little as possible.

    References
    ----------
    Wang, Juettler, Zheng, Liu, *Computation of rotation minimizing frames*, ACM Trans Graph 27:2 (2008), table I
    (double reflection).
    """
    tangents = np.gradient(points_mm, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    # The first view of every vessel is the same side of the patient: as much of "to the left" as lies across the vessel.
    axis = np.eye(3)[0] if abs(tangents[0, 0]) < 0.9 else np.eye(3)[1]
    first = axis - (axis @ tangents[0]) * tangents[0]
    across = [first / np.linalg.norm(first)]
    for i in range(len(points_mm) - 1):
        chord = points_mm[i + 1] - points_mm[i]
        length = chord @ chord
        mirrored = across[-1] - 2 / length * (chord @ across[-1]) * chord
        tangent = tangents[i] - 2 / length * (chord @ tangents[i]) * chord
        rest = tangents[i + 1] - tangent
        squared = rest @ rest
        turned = mirrored - (2 / squared * (rest @ mirrored) * rest if squared > 1e-18 else 0)
        turned -= (turned @ tangents[i + 1]) * tangents[i + 1]
        across.append(turned / np.linalg.norm(turned))
    one = np.array(across)
    return one, np.cross(tangents, one)


def resampled(path: VesselPath) -> tuple[np.ndarray, np.ndarray]:
    """Return distances (M,) mm every :data:`STEP_MM` and the points there (M, 3), smoothed over 1 mm."""
    at = np.arange(0, path.distance_mm[-1], STEP_MM)
    points = np.stack([np.interp(at, path.distance_mm, path.points_mm[:, i]) for i in range(3)], axis=1)
    return at, gaussian_filter1d(points, 1.0 / STEP_MM, axis=0, mode="nearest")


def draw_pullback(path: VesselPath, tree: Tree, ffr: Mapping[str, Any], end_mm: float, out: Path) -> None:
    """Write the graph of FFR with its interval, and of lumen diameter, against the distance from the ostium."""
    value, low, high = (path.along([b[name] for b in ffr["branches"]]) for name in ("ffr", "ffr_low", "ffr_high"))
    height = 2.85
    with drawing.figure(drawing.WIDTH_IN, height) as drawn:
        upper, lower = _stacked(drawn, height, (1.4, 0.72), gaps=(0.2, 0.16))
        for axes in (upper, lower):
            axes.set_xlim(0, end_mm)
            axes.yaxis.grid(True, color=RULE, lw=0.4)
            axes.set_axisbelow(True)
        _draw_ffr(upper, path.distance_mm, (value, low, high))
        _draw_lumen(lower, path)
        _mark_lesions(upper, lower, path, tree, ffr)
        _mark_segments(upper, path)
        _mark_branches(lower, path, tree)
        drawing.save(drawn, out)


def _draw_ffr(axes: Axes, distance_mm: np.ndarray, values: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    value, low, high = values
    floor = min(style.FFR_RANGE[0], float(np.floor(low.min() * 10) / 10))
    axes.axhspan(0.75, 0.80, color=TONES["grey"].line, alpha=0.16, lw=0)
    for edge in (0.75, 0.80):
        axes.axhline(edge, color=TONES["grey"].line, lw=0.7)
        axes.annotate(
            f"{edge:.2f}", (1, edge), xycoords=("axes fraction", "data"), xytext=(3, 0), textcoords="offset points",
            va="center", fontsize=7.5, color=TONES["grey"].ink, annotation_clip=False,
        )  # fmt: skip
    axes.fill_between(distance_mm, low, high, color=MUTED, alpha=0.17, lw=0)
    points = np.stack([distance_mm, value], axis=1)
    line = LineCollection(
        [points[i : i + 3] for i in range(len(points) - 1)], cmap=style.ffr_colours(), norm=style.ffr_norm(), lw=2.2
    )
    line.set_array(value[:-1])
    axes.add_collection(line)
    axes.set(ylim=(floor, 1.02), ylabel="FFR", yticks=np.arange(floor, 1.01, 0.1))
    axes.yaxis.set_major_formatter("{x:.1f}")
    axes.tick_params(labelbottom=False)


def _draw_lumen(axes: Axes, path: VesselPath) -> None:
    low, high = 2 * (path.radius_mm - path.radius_sd_mm), 2 * (path.radius_mm + path.radius_sd_mm)
    axes.fill_between(path.distance_mm, low, high, color=MUTED, alpha=0.18, lw=0)
    axes.plot(path.distance_mm, 2 * path.reference_radius_mm, color=MUTED, lw=0.9, ls=(0, (4, 2)))
    axes.plot(path.distance_mm, 2 * path.radius_mm, color=INK, lw=1.3)
    axes.set(ylim=(0, 1.08 * float(high.max())), ylabel="lumen (mm)", xlabel="distance from the ostium (mm)")


def _stacked(drawn: Any, height_in: float, heights_in: tuple[float, ...], gaps: tuple[float, ...]) -> list[Axes]:
    axes, top = [], height_in
    for height, gap in zip(heights_in, gaps, strict=True):
        top -= gap + height
        left, width = style.LEFT_IN / drawing.WIDTH_IN, (drawing.WIDTH_IN - style.LEFT_IN - style.RIGHT_IN) / drawing.WIDTH_IN
        axes.append(drawn.add_axes((left, top / height_in, width, height / height_in)))
    return axes


def _mark_lesions(upper: Axes, lower: Axes, path: VesselPath, tree: Tree, ffr: Mapping[str, Any]) -> None:
    read = {lesion["stenosis"]: lesion for lesion in ffr["lesions"]}
    for index, start, throat, end in path.stenoses(tree):
        for axes in (upper, lower):
            axes.axvspan(path.distance_mm[start], path.distance_mm[end], color=LESION, alpha=0.12, lw=0)
        stenosis = tree.stenoses[index]
        lower.plot(path.distance_mm[throat], 2 * path.radius_mm[throat], "o", ms=3.4, mfc="white", mec=LESION, mew=1.2)
        middle = (path.distance_mm[start] + path.distance_mm[end]) / 2
        upper.annotate(
            f"{lesion_label(index)}  {100 * stenosis.diameter_stenosis:.0f} %", (middle, 0.03), ha="center", va="bottom",
            xycoords=upper.get_xaxis_transform(), color=TONES["positive"].ink, weight=600, fontsize=8,
        )  # fmt: skip
        lesion = read.get(index)
        at = path.position(lesion["branch"], lesion["point"]) if lesion else None
        if lesion and at is not None:
            upper.plot(
                path.distance_mm[at], lesion["ffr"], "o", ms=5, mfc=TONES[lesion["band"]].line, mec="white", mew=1, zorder=5
            )
            upper.annotate(
                f"{lesion['ffr']:.2f}", (path.distance_mm[at], lesion["ffr"]), xytext=(5, 4), textcoords="offset points",
                weight=600, fontsize=9, color=TONES[lesion["band"]].ink,
            )  # fmt: skip


def _mark_segments(axes: Axes, path: VesselPath) -> None:
    edges = [0, *(np.flatnonzero(np.diff(path.segment)) + 1), len(path.segment) - 1]
    for start, stop in itertools.pairwise(edges):
        left, right = path.distance_mm[start], path.distance_mm[stop]
        if start:
            axes.plot([left, left], [1.0, 1.07], transform=axes.get_xaxis_transform(), color=MUTED, lw=0.6, clip_on=False)
        name = SCCT_SEGMENTS.get(int(path.segment[start]), "")
        room = (right - left) / (axes.get_xlim()[1] - axes.get_xlim()[0]) * 6.3
        if room > 0.055 * len(name):
            axes.text(
                (left + right) / 2, 1.035, name, transform=axes.get_xaxis_transform(), ha="center", color=MUTED, fontsize=7.5
            )


def _mark_branches(axes: Axes, path: VesselPath, tree: Tree) -> None:
    on_path = {int(b) for b in path.branch}
    for index, branch in enumerate(tree.branches):
        if branch.parent is None or index in on_path or branch.parent not in on_path or branch.parent_point is None:
            continue
        at = path.position(branch.parent, branch.parent_point)
        if at is not None:
            axes.annotate(
                branch.name, (path.distance_mm[at], 0), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=7,
                color=MUTED,
            )  # fmt: skip


def draw_reformation(path: VesselPath, tree: Tree, volume: Grid, end_mm: float, out: Path) -> None:
    """Write two straightened cuts along the vessel at right angles, with the lumen's edge and the lesions on them."""
    at, points = resampled(path)
    across = np.arange(-HALF_WIDTH_MM, HALF_WIDTH_MM + STEP_MM / 2, STEP_MM)
    scale = (drawing.WIDTH_IN - style.LEFT_IN - style.RIGHT_IN) / end_mm
    height = 2 * HALF_WIDTH_MM * scale
    total = 2 * height + 0.26
    with drawing.figure(drawing.WIDTH_IN, total) as drawn:
        for axes, normals, angle in zip(
            _stacked(drawn, total, (height, height), (0.2, 0.06)), frames(points), (0, 90), strict=True
        ):
            hu = hounsfield(volume, points[None] + across[:, None, None] * normals[None])
            _show(axes, hu, (0, float(at[-1]), -HALF_WIDTH_MM, HALF_WIDTH_MM))
            _lumen_edges(axes, path, at, points, normals)
            axes.set(xlim=(0, end_mm), ylim=(-HALF_WIDTH_MM, HALF_WIDTH_MM), xticks=[], yticks=[])
            axes.set_ylabel(f"{angle}°")
            for side in axes.spines.values():
                side.set_visible(False)
            for index, start, throat, end in path.stenoses(tree):
                _bracket(axes, path.distance_mm[[start, throat, end]], lesion_label(index) if angle == 0 else "")
        drawing.save(drawn, out, dpi=200)


def _lumen_edges(axes: Axes, path: VesselPath, at: np.ndarray, points: np.ndarray, normals: np.ndarray) -> None:
    radius = np.interp(at, path.distance_mm, path.radius_mm)
    exact = np.stack([np.interp(at, path.distance_mm, path.points_mm[:, i]) for i in range(3)], axis=1)
    aside = np.einsum("ij,ij->i", exact - points, normals)
    for sign in (-1, 1):
        axes.plot(at, aside + sign * radius, color=EDGE, lw=0.55, alpha=0.9)


def _bracket(axes: Axes, ends_mm: np.ndarray, label: str) -> None:
    start, throat, end = ends_mm
    top = HALF_WIDTH_MM * 0.82
    axes.plot([start, start, end, end], [top - 1.2, top, top, top - 1.2], color=MARK, lw=1.1)
    if label:
        axes.annotate(
            label, (throat, HALF_WIDTH_MM), xytext=(0, 2), textcoords="offset points", ha="center", va="bottom", fontsize=8,
            weight=600, color=TONES["positive"].ink, annotation_clip=False,
        )  # fmt: skip


def draw_lesion(path: VesselPath, positions: Sequence[int], volume: Grid, label: str, out: Path) -> None:
    """Write a lesion close by: a cut along 30 mm of it, and sections across before, at and after its throat."""
    at, points = resampled(path)
    one, two = frames(points)
    places = [int(np.argmin(np.abs(at - path.distance_mm[p]))) for p in positions]
    reach = slice(max(places[1] - int(15 / STEP_MM), 0), places[1] + int(15 / STEP_MM))
    height, side, gap = 1.42, 1.22, 0.12
    across = np.arange(-CLOSE_MM, CLOSE_MM + STEP_MM / 2, STEP_MM)
    with drawing.figure(drawing.WIDTH_IN, height) as drawn:
        axes = drawn.add_axes((0, 0, 1 - 3 * (side + gap) / drawing.WIDTH_IN, side / height))
        span = (float(at[reach][0]), float(at[reach][-1]))
        _show(
            axes,
            hounsfield(volume, points[None, reach] + across[:, None, None] * one[None, reach]),
            (*span, -CLOSE_MM, CLOSE_MM),
        )
        _lumen_edges(axes, path, at, points, one)
        axes.set(xlim=span, ylim=(-CLOSE_MM, CLOSE_MM))
        axes.set_title(f"{label}  along the lesion, 30 mm", loc="left", pad=3, color=MUTED, fontsize=8)
        axes.set_axis_off()
        for number, title in enumerate(("before", "throat", "after")):
            place, position = places[number], positions[number]
            axes.plot([at[place]] * 2, [-CLOSE_MM, -CLOSE_MM + 1.6], color=MARK, lw=1.2)
            left = drawing.WIDTH_IN - (3 - number) * side - (2 - number) * gap
            section = drawn.add_axes((left / drawing.WIDTH_IN, 0, side / drawing.WIDTH_IN, side / height))
            grid = points[place] + across[:, None, None] * two[place] + across[None, :, None] * one[place]
            _show(section, hounsfield(volume, grid), (-CLOSE_MM, CLOSE_MM, -CLOSE_MM, CLOSE_MM))
            turn, radius = np.linspace(0, 2 * np.pi, 90), path.radius_mm[position]
            aside = path.points_mm[position] - points[place]
            x, y = aside @ one[place] + radius * np.cos(turn), aside @ two[place] + radius * np.sin(turn)
            section.plot(x, y, color=EDGE, lw=0.9)
            section.set_title(f"{title}, {2 * radius:.1f} mm", loc="left", pad=3, color=MUTED, fontsize=8)
            section.set_axis_off()
        drawing.save(drawn, out, dpi=220)


def _show(axes: Axes, hu: np.ndarray, extent: tuple[float, float, float, float]) -> None:
    low, high = WINDOW_HU
    axes.imshow(hu, cmap="gray", vmin=low, vmax=high, origin="lower", interpolation="bilinear", extent=extent, aspect="auto")
