"""Draw what the report shows: the tree, the vessels, the lesions, and slices of the study.

Writes ``pictures.json``: ``{"pictures": [{"name", "path", "kind", "vessel", "stenosis", "caption", "alt"}], "notes": [...]}``
with kinds ``tree``, ``pullback``, ``reformation``, ``lesion``, ``streamlines``, ``wall_shear`` and ``quality``; equal inputs
give equal bytes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.coronary.fields.vtk_read import read_streamlines, read_wall
from algorithms.coronary.geometry.shape import Opening
from algorithms.coronary.grid import Grid, read_grid
from algorithms.coronary.pictures import flow as pictures_flow
from algorithms.coronary.pictures import tree as pictures_tree
from algorithms.coronary.pictures import vessel as pictures_vessel
from algorithms.coronary.pictures.path import VesselPath, lesion_label, shown_paths
from algorithms.coronary.pictures.quality import draw_quality
from algorithms.coronary.tree import SCCT_SEGMENTS, Tree, read_tree

log = logging.getLogger(__name__)

PULLBACK = (
    "Pull-back of {name}. Above: FFR with its interval (band) and the grey zone from 0.75 to 0.80; a dot is where a lesion's "
    "FFR is read. Below: lumen diameter with one standard deviation (band), and the diameter without disease (dashed). "
    "Lesions are shaded."
)
REFORMATION = (
    "{name} straightened along its centreline: two cuts at right angles, the lumen's edge, the lesions. "
    "Distances line up with the graph."
)
LESION = "Lesions close by: a cut along each, and sections before, at and after its throat with the lumen's edge and diameter."


STREAMLINES = (
    "Blood flow through {name}, solved in three dimensions at hyperaemia: streamlines coloured by speed. "
    "The jet behind the throat and the eddies beside it are where pressure is lost."
)
WALL_SHEAR = "Wall shear stress of {name}, seen from both sides; it is highest in the throat and low where flow has separated."


def run(inputs: Mapping[str, Path], out: Path, *, tree_pictures: str = "solid") -> dict[str, float | int | str]:
    """Write the folder ``pictures`` below ``out``; return how many pictures there are and how the tree was drawn."""
    tree = read_tree(inputs["tree"])
    ffr = json.loads(inputs["ffr"].read_text())
    folder = out / "pictures"
    folder.mkdir(parents=True)
    heart = read_grid(inputs["heart"])
    pictures, notes = _tree_entries(pictures_tree.Scene(tree, ffr, heart), folder, tree_pictures == "solid")
    volume = read_grid(inputs["volume"])
    paths = shown_paths(tree)
    # One length of axis for all vessels: a millimetre is as long on every page.
    end_mm = 10.0 * float(np.ceil(max((p.distance_mm[-1] for p in paths), default=100.0) / 10))
    closed_up: set[int] = set()
    for path in paths:
        pictures += _vessel_entries(path, _Case(tree, ffr, volume, end_mm), folder, closed_up)
    pictures += _flow_entries(json.loads(inputs["flow"].read_text()), inputs["fields"], folder, tree)
    centre = np.mean([b.points_mm.mean(axis=0) for b in tree.branches], axis=0)
    draw_quality(volume, centre, folder / "quality.png")
    pictures.append(quality_entry("quality.png"))
    (folder / "pictures.json").write_text(json.dumps({"pictures": pictures, "notes": notes}, indent=1) + "\n")
    drawn = "flat" if notes else "solid"
    log.info("drew %d pictures of %d vessels, the tree %s", len(pictures), len(paths), drawn)
    return {"pictures": len(pictures), "vessels": len(paths), "tree": drawn}


def quality_entry(path: str) -> dict[str, Any]:
    """Return the entry of the slices through the study."""
    caption = "Axial, coronal and sagittal slices of 5 mm through the heart, level 200 HU, width 700 HU."
    return _entry("quality", path, caption, alt="Three grey-scale slices through the chest.")


def _entry(
    kind: str, path: str, caption: str, *, alt: str, vessel: str | None = None, stenosis: int | None = None
) -> dict[str, Any]:
    name = Path(path).stem
    return {"name": name, "path": path, "kind": kind, "vessel": vessel, "stenosis": stenosis, "caption": caption, "alt": alt}


def _tree_entries(scene: pictures_tree.Scene, folder: Path, solid: bool) -> tuple[list[dict[str, Any]], list[str]]:
    paths, notes = pictures_tree.draw_tree(scene, folder, solid)
    caption = "Coronary tree coloured by FFR on a scale fixed from 0.5 to 1.0; lesions are circled, with the FFR beyond them."
    caption += "" if notes else " Grey: aorta and left ventricle; vessels behind them are paler."
    names = ", ".join(b.name for b in scene.tree.branches)
    entries = [
        _entry("tree", path.name, caption, alt=f"Coronary tree ({names}) coloured by FFR. View: {view.title}.")
        for path, view in zip(paths, pictures_tree.VIEWS, strict=True)
    ]
    return entries, notes


def _flow_entries(flow: Mapping[str, Any], fields: Path, folder: Path, tree: Tree) -> list[dict[str, Any]]:
    """Draw every part that was solved in three dimensions and is used; a machine that cannot draw in 3-D leaves them out."""
    entries = []
    for part in (flow.get("three_dimensional") or {}).get("parts", []):
        if part["state"] != "solved" or not part["stenoses"]:
            continue
        files = fields / part["folder"]
        wall, lines = read_wall(files / "wall.vtp"), read_streamlines(files / "streamlines.vtp")
        openings = [
            Opening(o["name"], o["inlet"], np.array(o["centre_mm"]), np.array(o["normal"]), o["radius_mm"])
            for o in part["openings"]
        ]
        vessel = tree.branches[tree.stenoses[part["stenoses"][0]].branch].name
        for kind, caption in (("streamlines", STREAMLINES), ("wall_shear", WALL_SHEAR)):
            path = folder / f"{kind}-{part['folder']}.png"
            if kind == "streamlines":
                drawn = pictures_flow.draw_streamlines(wall, lines, openings, path)
            else:
                drawn = pictures_flow.draw_wall_shear(wall, openings, path)
            if drawn:
                alt = f"{kind.replace('_', ' ').capitalize()} in {part['name']}."
                entries.append(_entry(kind, path.name, caption.format(name=part["name"]), alt=alt, vessel=vessel))
    return entries


@dataclass(frozen=True, eq=False)
class _Case:
    """What the pictures of each vessel are drawn from; ``end_mm`` is the end of all their distance axes."""

    tree: Tree
    ffr: Mapping[str, Any]
    volume: Grid
    end_mm: float


def _vessel_entries(path: VesselPath, case: _Case, folder: Path, closed_up: set[int]) -> list[dict[str, Any]]:
    """Draw one vessel; a lesion that several share (of the left main) is shown close by once, with the first of them."""
    tree, name = case.tree, path.name
    graph, cut = f"pullback-{name}.svg", f"reformation-{name}.png"
    pictures_vessel.draw_pullback(path, tree, case.ffr, case.end_mm, folder / graph)
    pictures_vessel.draw_reformation(path, tree, case.volume, case.end_mm, folder / cut)
    value = path.along([b["ffr"] for b in case.ffr["branches"]])
    told = f"Graph of FFR along {name}, from {value[0]:.2f} at the ostium to {value[-1]:.2f} at the tip."
    entries = [
        _entry("pullback", graph, PULLBACK.format(name=name), alt=told, vessel=name),
        _entry("reformation", cut, REFORMATION.format(name=name), alt=f"Two straightened CT cuts along {name}.", vessel=name),
    ]
    for index, *positions in path.stenoses(tree):
        stenosis = tree.stenoses[index]
        if index in closed_up:
            continue
        closed_up.add(index)
        file, label = f"lesion-{index + 1}.png", lesion_label(index)
        pictures_vessel.draw_lesion(path, positions, case.volume, label, folder / file)
        where = SCCT_SEGMENTS.get(stenosis.segment, name)
        entries.append(_entry("lesion", file, LESION, alt=f"CT of lesion {label}, {where}.", vessel=name, stenosis=index))
    return entries
