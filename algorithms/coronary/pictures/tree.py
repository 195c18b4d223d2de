"""The vessel tree coloured by FFR, from three sides: as solid tubes where VTK can draw, as flat bands where it cannot.

Points are (N, 3) LPS mm: x to the patient's left, y to the back, z to the head.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from scipy.ndimage import gaussian_filter
from skimage.measure import marching_cubes

from algorithms.coronary.grid import Grid
from algorithms.coronary.pictures import style
from algorithms.coronary.pictures.off_screen import photographs
from algorithms.coronary.pictures.path import lesion_label
from algorithms.coronary.tree import Tree
from algorithms.report import drawing
from algorithms.report.palette import INK, MUTED, TONES

log = logging.getLogger(__name__)

MISSING = (
    "The tree is drawn flat because this machine could not draw in three dimensions off screen: "
    "install libegl1, libgl1 and libegl-mesa0 (or libosmesa6) for solid vessels."
)

GHOSTS = {"aorta": (1,), "ventricle": (2, 3)}
"""Labels of heart.nii.gz that are drawn as a shade around the vessels, to show where in the heart they lie."""

LEAD_IN, SIDE_IN = 2 * drawing.WIDTH_IN / 3 - 0.04, drawing.WIDTH_IN / 3 - 0.08
"""Width of the first picture, which leads the report's first page, and of the two beside it."""

PIXELS_PER_IN = 300
"""Resolution of the pictures, in print."""

MARGIN_MM = np.array([15.0, 10.0])
"""Room for words beside and above the tree."""

GHOST_STEP_MM = 1.5


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


@dataclass(frozen=True, eq=False)
class Scene:
    """What is drawn: the tree, its FFR (as in ffr.json), and the labels of the heart (as in heart.nii.gz) if wanted."""

    tree: Tree
    ffr: Mapping[str, Any]
    heart: Grid | None = None


def draw_tree(scene: Scene, folder: Path, solid: bool = True) -> tuple[list[Path], list[str]]:
    """Write one picture a view into ``folder``; return their paths, and a note where they had to be flat."""
    frame = Frame.around(scene.tree)
    painted = solid_pictures(scene, frame) if solid else None
    if painted is None:
        log.warning("the tree is drawn flat")
    paths = []
    for number, view in enumerate(VIEWS):
        path = folder / f"tree-{view.name}.png"
        width_in = LEAD_IN if number == 0 else SIDE_IN
        _compose(scene, _Sheet(view, frame, width_in), painted[number] if painted else None, path)
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


def _colours(scene: Scene) -> list[np.ndarray]:
    colours, norm = style.ffr_colours(), style.ffr_norm()
    return [(255 * colours(norm(np.array(b["ffr"])))[:, :3]).round().astype(np.uint8) for b in scene.ffr["branches"]]


def solid_pictures(scene: Scene, frame: Frame) -> list[np.ndarray] | None:
    """Return an image (H, W, 3) a view, drawn by VTK in a process of its own; ``None`` where that cannot draw."""
    told: dict[str, Any] = {
        "branches": len(scene.tree.branches), "height_mm": frame.height_mm,
        "sizes": [_pixels(frame, LEAD_IN if number == 0 else SIDE_IN) for number in range(len(VIEWS))],
        "views": np.array([[v.right, v.up, frame.centre_mm] for v in VIEWS]),
    }  # fmt: skip
    for index, (branch, colour) in enumerate(zip(scene.tree.branches, _colours(scene), strict=True)):
        told |= {f"points_{index}": branch.points_mm, f"radius_{index}": branch.radius_mm, f"colour_{index}": colour}
    if scene.heart is not None:
        for name, labels in GHOSTS.items():
            told |= _surface(name, scene.heart, labels)
    return photographs(told, len(VIEWS))


def _surface(name: str, heart: Grid, labels: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return points (N, 3) LPS mm and triangles (M, 3) around ``labels``; nothing where there are none."""
    step = [max(1, round(GHOST_STEP_MM / s)) for s in heart.spacing_mm]
    mask = np.pad(np.isin(heart.values[:: step[0], :: step[1], :: step[2]], labels), 1).astype(np.float32)
    if not mask.any():
        return {}
    vertices, faces, _, _ = marching_cubes(gaussian_filter(mask, 1.0), 0.5)  # type: ignore[no-untyped-call]
    # From (z, y, x) to (x, y, z) a triangle turns inside out; its corners are named backwards to turn it back.
    return {
        f"ghost_{name}_points": heart.points_mm((vertices - 1) * step),
        f"ghost_{name}_faces": faces[:, ::-1].astype(np.int64),
    }


def _pixels(frame: Frame, width_in: float) -> tuple[int, int]:
    return int(PIXELS_PER_IN * width_in), int(PIXELS_PER_IN * width_in * frame.height_mm / frame.width_mm)


@dataclass(frozen=True, eq=False)
class _Sheet:
    """One picture to be made: from where, of what region, and how wide it will be in print."""

    view: View
    frame: Frame
    width_in: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Return left, right, bottom and top of the region, mm in the picture's plane."""
        x, y = self.view.project(self.frame.centre_mm)
        width, height = self.frame.width_mm, self.frame.height_mm
        return x - width / 2, x + width / 2, y - height / 2, y + height / 2

    @property
    def mm_a_point(self) -> float:
        """Return how many mm of the picture's plane a point of type (1/72 inch) covers."""
        return self.frame.width_mm / (self.width_in * 72)


def _compose(scene: Scene, sheet: _Sheet, image: np.ndarray | None, path: Path) -> None:
    view, box, width_in = sheet.view, sheet.box, sheet.width_in
    height_in = width_in * sheet.frame.height_mm / sheet.frame.width_mm
    foot, head = 0.34, 0.16
    total = height_in + foot + head
    with drawing.figure(width_in, total) as drawn:
        axes = drawn.add_axes((0, foot / total, 1, height_in / total))
        if image is None:
            _paint_flat(axes, scene, sheet)
        else:
            axes.imshow(image, extent=box, interpolation="antialiased", aspect="auto")
        axes.set(xlim=box[:2], ylim=box[2:])
        axes.set_axis_off()
        drawn.text(0.02, 1 - 0.12 / total, view.title, fontsize=8.5, weight=600, va="center")
        _label(axes, scene, sheet)
        _compass(axes, sheet)
        _scale_bar(drawn, width_in, total)
        drawing.save(drawn, path, dpi=PIXELS_PER_IN)


def _paint_flat(axes: Axes, scene: Scene, sheet: _Sheet) -> None:
    view = sheet.view
    pieces: list[tuple[float, np.ndarray, float, np.ndarray]] = []
    for branch, colour in zip(scene.tree.branches, _colours(scene), strict=True):
        flat, depth = view.project(branch.points_mm), view.depth(branch.points_mm)
        width = 2 * branch.radius_mm / sheet.mm_a_point
        # Each piece reaches into the next so that no gap opens in a bend.
        pieces += [(depth[i], flat[i : i + 3], width[i], colour[i] / 255) for i in range(len(flat) - 1)]
    pieces.sort(key=lambda piece: piece[0])
    axes.add_collection(
        LineCollection(
            [p[1] for p in pieces], linewidths=[p[2] for p in pieces], colors=[p[3] for p in pieces], capstyle="round"
        )
    )


def _label(axes: Axes, scene: Scene, sheet: _Sheet) -> None:
    """Name the branches at their tips and mark the lesions, pushing each word away from the vessels and earlier words."""
    tree, view, box, mm = scene.tree, sheet.view, sheet.box, sheet.mm_a_point
    taken: list[_Word] = []
    flat = np.concatenate([view.project(b.points_mm) for b in tree.branches])
    read = {lesion["stenosis"]: lesion for lesion in scene.ffr["lesions"]}
    for index, stenosis in enumerate(tree.stenoses):
        throat = view.project(tree.branches[stenosis.branch].points_mm[stenosis.throat])
        band = read[index]["band"] if index in read else "neutral"
        words = lesion_label(index) + (f"  {read[index]['ffr']:.2f}" if index in read else "")
        at = _free_place(throat, flat, taken, box, _Size(mm, 7.5, len(words), pad=2.5))
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
        at = _free_place(anchor, flat, taken, box, _Size(mm, 8, len(branch.name)))
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


@dataclass(frozen=True)
class _Size:
    """How much room a word takes: ``mm`` in the picture's plane a point of type, its type size, its letters, its frame."""

    mm: float
    points: float
    letters: int
    pad: float = 0.5

    @property
    def half(self) -> np.ndarray:
        """Return half its width and height, mm."""
        width, height = 0.56 * self.points * self.letters + 2 * self.pad, 1.15 * self.points + 2 * self.pad
        return np.array([width, height]) * self.mm / 2


def _free_place(anchor: np.ndarray, vessels: np.ndarray, taken: list[_Word], box: Sequence[float], size: _Size) -> np.ndarray:
    """Return the place near ``anchor`` where a word lies farthest from vessels and words already placed."""
    best, best_score = anchor, -np.inf
    half = size.half
    low, high = np.array([box[0], box[2]]) + half, np.array([box[1], box[3]]) - half
    for reach in size.mm * np.array([6.0, 10.0, 15.0, 21.0, 28.0]):
        for turn in np.arange(0, 2 * np.pi, np.pi / 12):
            towards = np.array([np.cos(turn), np.sin(turn)])
            place = anchor + (reach + half * np.abs(towards)) * towards
            if (place < low).any() or (place > high).any():
                continue
            gaps = np.maximum(np.abs(vessels - place) - half, 0)
            clear = min(float(np.linalg.norm(gaps, axis=1).min()), 4 * size.mm)
            others = [float((np.abs(word.centre - place) - half - word.half).max()) for word in taken]
            score = clear + 3 * min([2 * size.mm, *others]) - 0.15 * reach
            if score > best_score:
                best, best_score = place, score
    taken.append(_Word(best, half))
    return best


def _compass(axes: Axes, sheet: _Sheet) -> None:
    """Draw two of left, posterior and head as arrows of their true foreshortening: the longest that are not in line."""
    length = 13 * sheet.mm_a_point
    origin = np.array([sheet.box[0] + 1.2 * length, sheet.box[2] + 1.2 * length])
    flat = sheet.view.project(np.eye(3))
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


def _scale_bar(drawn: Any, width_in: float, total_in: float) -> None:
    length = min(0.68 * width_in, 2.2)
    bar = drawn.add_axes((0.5 - length / width_in / 2, 0.22 / total_in, length / width_in, 0.075 / total_in))
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
