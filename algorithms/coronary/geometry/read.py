"""The lumen in a file of any kind that is known, told by what is in it and not by its name.

A labelled volume (NIfTI), a surface (STL, VTP), or centrelines with radii (the pipeline's ``tree.json``, or the forms of
``centreline_file``).
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.centreline_file import COLUMNS, read_centreline_csv, tree_of_document
from algorithms.coronary.geometry.labelled import labelled_lumen, read_labels
from algorithms.coronary.geometry.surface import SurfaceLumen, surface_lumen
from algorithms.coronary.geometry.surface_file import read_stl, read_vtp
from algorithms.coronary.geometry.swept import SweptLumen, swept_lumen
from algorithms.coronary.tree import Tree, read_tree

WANTED = (
    "wanted a labelled NIfTI volume, an STL or VTP surface, or a centreline tree as JSON or as CSV with the columns "
    + ",".join(COLUMNS)
)

NIFTI_MAGIC = (b"n+1\0", b"n+2\0")
"""At byte 344 of a NIfTI-1 file, and at byte 4 of a NIfTI-2 file."""


def kind_of(path: Path) -> str:
    """Return ``labels``, ``stl``, ``vtp``, ``tree``, ``centreline`` or ``table``: what ``path`` holds.

    Raises
    ------
    DataError
        If it is none of these.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path.name}; {WANTED}")
    with path.open("rb") as file:
        head = file.read(512)
    if head[:2] == b"\x1f\x8b":
        try:
            with gzip.open(path, "rb") as packed:
                head = packed.read(512)
        except (EOFError, gzip.BadGzipFile):
            raise DataError(f"{path.name} is a damaged gzip file; send it again") from None
    text = head.lstrip()
    if head[344:348] in NIFTI_MAGIC or head[4:8] in NIFTI_MAGIC:
        return "labels"
    if text.startswith(b"{"):
        return _kind_of_json(path)
    if text.startswith(b"<") and b"VTKFile" in head:
        if b"PolyData" not in head:
            raise DataError(f"{path.name} is a VTK file of another kind than PolyData; save the surface as VTP")
        return "vtp"
    if b"," in head and set(COLUMNS) & {name.strip() for name in head.split(b"\n")[0].decode("latin-1").split(",")}:
        return "table"
    size = path.stat().st_size
    if text.startswith(b"solid") or (len(head) >= 84 and size == 84 + 50 * int.from_bytes(head[80:84], "little")):
        return "stl"
    raise DataError(f"{path.name} is of no known kind; {WANTED}")


def _kind_of_json(path: Path) -> str:
    try:
        document = json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path.name} is no JSON: {error}; {WANTED}") from None
    return "tree" if "coordinate_system" in document else "centreline"


def read_centrelines(path: Path) -> Tree:
    """Return the tree in ``path``.

    Raises
    ------
    DataError
        If it holds no centrelines, or centrelines that are no tree.
    """
    kind = kind_of(path)
    if kind == "tree":
        return read_tree(path)
    if kind == "centreline":
        return tree_of_document(json.loads(path.read_text()))
    if kind == "table":
        return read_centreline_csv(path)
    raise DataError(f"{path.name} holds no centrelines; give a centreline tree, or solve it in three dimensions")


def read_lumen(
    path: Path, *, inlet: str | None = None, inlet_diameters: float = 0.0, outlet_diameters: float = 0.0
) -> SweptLumen | SurfaceLumen:
    """Return the lumen in ``path``, whatever kind of file it is.

    Parameters
    ----------
    path
        The file.
    inlet
        Name of the opening where blood comes in, for volumes and surfaces that do not say.
    inlet_diameters, outlet_diameters
        Length of the straight extensions at the inlets and the outlets, in diameters of the opening, >= 0.

    Raises
    ------
    DataError
        If the file is of no known kind, or what is in it is no vessel with an inlet and an outlet.
    """
    if not (inlet_diameters >= 0 and outlet_diameters >= 0):
        raise ValueError("extensions are not negative")
    kind = kind_of(path)
    before, behind = inlet_diameters, outlet_diameters
    if kind == "labels":
        return labelled_lumen(read_labels(path), inlet=inlet, inlet_diameters=before, outlet_diameters=behind)
    if kind in {"stl", "vtp"}:
        surface = (read_stl if kind == "stl" else read_vtp)(path)
        return surface_lumen(surface, inlet=inlet, inlet_diameters=before, outlet_diameters=behind)
    return swept_lumen(read_centrelines(path), inlet_diameters=before, outlet_diameters=behind)
