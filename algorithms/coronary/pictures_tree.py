"""The vessel tree coloured by FFR, from three sides: as solid tubes where VTK can draw, as flat bands where it cannot.

Points are (N, 3) LPS mm: x to the patient's left, y to the back, z to the head.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from algorithms.coronary import pictures_style as style
from algorithms.coronary import pictures_vtk
from algorithms.coronary.pictures_path import lesion_label
from algorithms.coronary.tree import Tree
from algorithms.report.palette import INK, MUTED, TONES

log = logging.getLogger(__name__)

MISSING = (
    "The tree is drawn flat because this machine could not draw in three dimensions off screen: "
    "install libegl1, libgl1 and libegl-mesa0 (or libosmesa6) for solid vessels."
)

PIXELS_PER_MM = 9.0
MARGIN_MM = 13.0
TIMEOUT_S = 120


@dataclass(frozen=True, eq=False)
class View:
    """A direction to look from: unit vectors to the picture's right and top, LPS."""

    name: str
    title: str
    right: np.ndarray
    up: np.ndarray

    def project(self, points_mm: np.ndarray) -> np.ndarray:
        """Return (N, 2) mm in the picture's plane."""
        return np.stack([points_mm @ self.right, points_mm @ self.up], axis=-1)

    def depth(self, points_mm: np.ndarray) -> np.ndarray:
        """Return (N,) mm towards the viewer."""
        depth: np.ndarray = points_mm @ np.cross(self.right, self.up)
        return depth


def _view(name: str, title: str, left_degrees: float, head_degrees: float) -> View:
    """Return the view of an angiographic angulation: LAO is positive, cranial is positive."""
    a, e = np.radians([left_degrees, head_degrees])
    towards = np.array([np.cos(e) * np.sin(a), -np.cos(e) * np.cos(a), np.sin(e)])
    right = np.array([np.cos(a), np.sin(a), 0.0])
    return View(name, title, right, np.cross(towards, right))


VIEWS = (
    _view("anterior", "Anterior", 0, 0),
    _view("lao", "LAO 60°", 60, 0),
    _view("cranial", "Cranial 50°", 0, 50),
)


def draw_tree(tree: Tree, ffr: Mapping[str, Any], folder: Path, solid: bool = True) -> tuple[list[Path], list[str]]:
    """Write one picture a view into ``folder``; return their paths, and a note where they had to be flat."""
    frame = Frame.around(tree)
    painted = solid_pictures(tree, ffr, frame) if solid else None
    if painted is None:
        log.warning("no off-screen context, the tree is drawn flat")
    paths = []
    for number, view in enumerate(VIEWS):
        path = folder / f"tree-{view.name}.png"
        _compose(_Picture(tree, ffr, frame), view, painted[number] if painted else None, path)
        paths.append(path)
    return paths, [] if painted else [MISSING]


@dataclass(frozen=True, eq=False)
class Frame:
    """What all views share: the centre they look at and the size they show, mm, so that their scales are equal."""

    centre_mm: np.ndarray
    width_mm: float
    height_mm: float

    @classmethod
    def around(cls, tree: Tree) -> Frame:
        points = np.concatenate([b.points_mm for b in tree.branches])
        centre = (points.min(axis=0) + points.max(axis=0)) / 2
        extents = [np.abs(view.project(points - centre)).max(axis=0) for view in VIEWS]
        half = np.max(extents, axis=0) + MARGIN_MM
        return cls(centre, float(2 * half[0]), float(2 * half[1]))


@dataclass(frozen=True, eq=False)
class _Picture:
    """What is drawn, from whichever side."""

    tree: Tree
    ffr: Mapping[str, Any]
    frame: Frame


def _colours(tree: Tree, ffr: Mapping[str, Any]) -> list[np.ndarray]:
    colours, norm = style.ffr_colours(), style.ffr_norm()
    return [(255 * colours(norm(np.array(b["ffr"])))[:, :3]).round().astype(np.uint8) for b in ffr["branches"]]


def solid_pictures(tree: Tree, ffr: Mapping[str, Any], frame: Frame) -> list[np.ndarray] | None:
    """Return an image (H, W, 3) a view, drawn by VTK in a process of its own; ``None`` where that cannot draw."""
    scene: dict[str, Any] = {
        "branches": len(tree.branches), "height_mm": frame.height_mm,
        "size": [int(frame.width_mm * PIXELS_PER_MM), int(frame.height_mm * PIXELS_PER_MM)],
        "views": np.array([[v.right, v.up, frame.centre_mm] for v in VIEWS]),
    }  # fmt: skip
    for index, (branch, colour) in enumerate(zip(tree.branches, _colours(tree, ffr), strict=True)):
        scene |= {f"points_{index}": branch.points_mm, f"radius_{index}": branch.radius_mm, f"colour_{index}": colour}
    # Software drawing, so that a machine with a graphics card makes the same bytes as one without.
    environment = os.environ | {"LIBGL_ALWAYS_SOFTWARE": "1", "EGL_PLATFORM": "surfaceless", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures_vtk.describe(scene, folder)
        command = [sys.executable, "-P", pictures_vtk.__file__, str(folder)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        if ended.returncode == pictures_vtk.EXIT_NO_CONTEXT or ended.returncode < 0:
            return None
        if ended.returncode:
            raise RuntimeError(f"the drawing program ended with {ended.returncode}: {ended.stderr[-2000:]}")
        return [np.load(folder / f"view-{number}.npy") for number in range(len(VIEWS))]


def _compose(picture: _Picture, view: View, image: np.ndarray | None, path: Path) -> None:
    frame = picture.frame
    width_in = style.WIDTH_IN / 3
    height_in = width_in * frame.height_mm / frame.width_mm
    foot, head = 0.34, 0.16
    total = height_in + foot + head
    with style.figure(width_in, total) as drawn:
        axes = drawn.add_axes((0, foot / total, 1, height_in / total))
        x, y = view.project(frame.centre_mm)
        box = (x - frame.width_mm / 2, x + frame.width_mm / 2, y - frame.height_mm / 2, y + frame.height_mm / 2)
        if image is None:
            _paint_flat(axes, picture, view, width_in * 72 / frame.width_mm)
        else:
            axes.imshow(image, extent=box, interpolation="antialiased", aspect="auto")
        axes.set(xlim=box[:2], ylim=box[2:])
        axes.set_axis_off()
        drawn.text(0.02, 1 - 0.12 / total, view.title, fontsize=8.5, weight=600, va="center")
        _label(axes, picture, view, box)
        _compass(axes, view, box, frame.width_mm)
        _scale_bar(drawn, total)
        style.save(drawn, path, dpi=330)


def _paint_flat(axes: Axes, picture: _Picture, view: View, points_per_mm: float) -> None:
    pieces: list[tuple[float, np.ndarray, float, np.ndarray]] = []
    for branch, colour in zip(picture.tree.branches, _colours(picture.tree, picture.ffr), strict=True):
        flat, depth = view.project(branch.points_mm), view.depth(branch.points_mm)
        width = 2 * branch.radius_mm * points_per_mm
        # Each piece reaches into the next so that no gap opens in a bend.
        pieces += [(depth[i], flat[i : i + 3], width[i], colour[i] / 255) for i in range(len(flat) - 1)]
    pieces.sort(key=lambda piece: piece[0])
    axes.add_collection(
        LineCollection(
            [p[1] for p in pieces], linewidths=[p[2] for p in pieces], colors=[p[3] for p in pieces], capstyle="round"
        )
    )


def _label(axes: Axes, picture: _Picture, view: View, box: Sequence[float]) -> None:
    """Name the branches at their tips and mark the lesions, pushing each word away from the vessels and earlier words."""
    tree = picture.tree
    taken: list[_Word] = []
    flat = np.concatenate([view.project(b.points_mm) for b in tree.branches])
    read = {lesion["stenosis"]: lesion for lesion in picture.ffr["lesions"]}
    for index, stenosis in enumerate(tree.stenoses):
        throat = view.project(tree.branches[stenosis.branch].points_mm[stenosis.throat])
        band = read[index]["band"] if index in read else "neutral"
        words = lesion_label(index) + (f"  {read[index]['ffr']:.2f}" if index in read else "")
        at = _free_place(throat, flat, taken, box, (5.5 + 2.2 * len(words), 6.5))
        axes.plot(throat[0], throat[1], "o", ms=6.5, mfc="none", mec=INK, mew=0.9)
        axes.annotate(
            words, _xy(throat), xytext=_xy(at), ha="center", va="center", fontsize=7.5, weight=600, color=TONES[band].ink,
            bbox={"boxstyle": "round,pad=0.22", "fc": TONES[band].tint, "ec": TONES[band].line, "lw": 0.6},
            arrowprops={"arrowstyle": "-", "lw": 0.6, "color": INK, "shrinkB": 3.5},
        )  # fmt: skip
    for branch in tree.branches:
        if branch.distance_mm[-1] < 8 and branch.name != "LM":
            continue
        main = branch.name in {"LM", "LAD", "LCx", "RCA", "RI"}
        anchor = view.project(branch.points_mm[int(len(branch.points_mm) * (0.5 if branch.name == "LM" else 0.93))])
        at = _free_place(anchor, flat, taken, box, (2 + 2.6 * len(branch.name), 5.0))
        axes.annotate(
            branch.name, _xy(anchor), xytext=_xy(at), ha="center", va="center", fontsize=8 if main else 7,
            weight=600 if main else 400, color=INK if main else MUTED,
            arrowprops={"arrowstyle": "-", "lw": 0.4, "color": MUTED, "shrinkA": 0, "shrinkB": 2},
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Word:
    """A place already taken: centre and half size, mm in the picture."""

    centre: np.ndarray
    half: np.ndarray


def _free_place(
    anchor: np.ndarray, vessels: np.ndarray, taken: list[_Word], box: Sequence[float], size: tuple[float, float]
) -> np.ndarray:
    """Return the place near ``anchor`` where a word of ``size`` mm lies farthest from vessels and words already placed."""
    best, best_score = anchor, -np.inf
    half = np.array(size) / 2
    low, high = np.array([box[0], box[2]]) + half, np.array([box[1], box[3]]) - half
    for reach in (5.0, 8.0, 12.0, 17.0):
        for turn in np.arange(0, 2 * np.pi, np.pi / 12):
            towards = np.array([np.cos(turn), np.sin(turn)])
            place = anchor + (reach + half * np.abs(towards)) * towards
            if (place < low).any() or (place > high).any():
                continue
            gaps = np.maximum(np.abs(vessels - place) - half, 0)
            clear = min(float(np.linalg.norm(gaps, axis=1).min()), 3.0)
            others = [float((np.abs(word.centre - place) - half - word.half).max()) for word in taken]
            score = clear + 3 * min([1.5, *others]) - 0.15 * reach
            if score > best_score:
                best, best_score = place, score
    taken.append(_Word(best, half))
    return best


def _compass(axes: Axes, view: View, box: Sequence[float], width_mm: float) -> None:
    """Draw two of left, posterior and head as arrows of their true foreshortening: the longest that are not in line."""
    length = 0.08 * width_mm
    origin = np.array([box[0] + 1.2 * length, box[2] + 1.2 * length])
    flat = view.project(np.eye(3))
    order = sorted(range(3), key=lambda i: -float(np.linalg.norm(flat[i])))
    chosen = [order[0]]
    chosen.append(next(i for i in order[1:] if abs(_turned(flat[i], flat[order[0]])) > 0.3))
    for i in chosen:
        axes.annotate(
            "", _xy(origin + length * flat[i]), _xy(origin),
            arrowprops={"arrowstyle": "-|>", "lw": 0.7, "color": MUTED, "mutation_scale": 5, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
        x, y = origin + 1.4 * length * flat[i]
        axes.text(x, y, "LPS"[i], ha="center", va="center", fontsize=7, color=MUTED)


def _turned(one: np.ndarray, two: np.ndarray) -> float:
    """Return the sine of the angle between two vectors of the picture, times their lengths."""
    return float(one[0] * two[1] - one[1] * two[0])


def _xy(point: np.ndarray) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def _scale_bar(drawn: Any, total_in: float) -> None:
    bar = drawn.add_axes((0.16, 0.22 / total_in, 0.68, 0.075 / total_in))
    low, high = style.FFR_RANGE
    bar.imshow(
        np.linspace(low, high, 512)[None],
        cmap=style.ffr_colours(),
        norm=style.ffr_norm(),
        extent=(low, high, 0, 1),
        aspect="auto",
    )
    bar.set(yticks=[], xticks=[0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 1.0])
    bar.set_xticklabels(["≤ 0.5", "0.6", "0.7", "", "0.8", "0.9", "1.0"])
    bar.tick_params(labelsize=7, pad=1.5, length=2)
    bar.text(-0.02, 0.5, "FFR", transform=bar.transAxes, ha="right", va="center", fontsize=7.5)
    for side in bar.spines.values():
        side.set_visible(False)
