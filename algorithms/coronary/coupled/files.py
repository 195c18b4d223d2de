"""The files of the stage flow: the tree's lines and its glTF, and a folder with the fields of each part in three dimensions."""

from __future__ import annotations

from pathlib import Path

from algorithms.coronary.coupled.measured import Solved
from algorithms.coronary.fields.centreline import Along, write_centreline
from algorithms.coronary.fields.gltf import write_glb
from algorithms.coronary.flow import Flow
from algorithms.coronary.haemodynamics.blood import PA_PER_MMHG
from algorithms.coronary.solved.files import Run, write_fields_of
from algorithms.coronary.tree import Tree


def write_fields(tree: Tree, solved: Flow, aortic_mmhg: float, folder: Path) -> None:
    """Write ``centreline.vtp`` and ``tree.glb`` of the answer."""
    write_centreline(tree, Along.of(solved), aortic_mmhg, folder / "centreline.vtp")
    write_glb(tree, [pressure / aortic_mmhg for pressure in solved.pressure_mmhg], folder / "tree.glb")


def write_part(solved: Solved, aortic_mmhg: float, folder: Path) -> None:
    """Write ``volume.vtu``, ``wall.vtp`` and ``streamlines.vtp`` of one part."""
    if solved.solution is None or solved.lumen is None:
        raise ValueError("this part has no solution")
    folder.mkdir()
    write_fields_of(Run(solved.lumen, solved.solution, solved.coarse), aortic_mmhg * PA_PER_MMHG, folder)
