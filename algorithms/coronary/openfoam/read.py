"""What OpenFOAM wrote, as arrays: the faces of patches, and fields in cells and on patches, from its ascii files.  SI units."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from algorithms.contract.errors import DataError


@dataclass(frozen=True, eq=False)
class Face:
    """The faces of a patch."""

    centre_m: np.ndarray
    """(F, 3)"""
    area_m2: np.ndarray
    """(F, 3), out of the grid."""
    owner: np.ndarray
    """(F,) the cell behind each."""


def patch_faces(case: Path) -> dict[str, Face]:
    """Return the faces of each patch of a case's grid.

    Raises
    ------
    DataError
        If there is no grid.
    """
    grid = case / "constant" / "polyMesh"
    if not (grid / "points").exists():
        raise DataError(f"no grid was made in {case}; see the logs of blockMesh and snappyHexMesh there")
    points = _numbers(_list((grid / "points").read_text())).reshape(-1, 3)
    faces = _list((grid / "faces").read_text()).strip().splitlines()
    owner = _numbers(_list((grid / "owner").read_text())).astype(np.int64)
    found = {}
    boundary = (grid / "boundary").read_text()
    for name, body in re.findall(r"^\s*(\w+)\s*\{([^{}]*)\}", boundary.split("(", 1)[1], flags=re.MULTILINE):
        count, start = (int(_word(body, key)) for key in ("nFaces", "startFace"))
        shapes = [_face(points, line) for line in faces[start : start + count]]
        centre, area = (np.array([shape[i] for shape in shapes]).reshape(-1, 3) for i in (0, 1))
        found[name] = Face(centre, area, owner[start : start + count])
    return found


def _face(points: np.ndarray, line: str) -> tuple[np.ndarray, np.ndarray]:
    """Return centre and area of a polygon such as ``4(7 8 9 10)``, from triangles around its middle."""
    corners = points[[int(word) for word in line[line.index("(") + 1 : line.index(")")].split()]]
    middle, after = corners.mean(axis=0), np.roll(corners, -1, axis=0)
    parts = 0.5 * np.cross(corners - middle, after - middle)
    total = parts.sum(axis=0)
    weight = parts @ total
    centres = (corners + after + middle) / 3
    return (weight[:, None] * centres).sum(axis=0) / weight.sum(), total


def cell_field(path: Path) -> np.ndarray:
    """Return the values of a scalar field (N,) or a vector field (N, 3) in the cells; (1,) or (1, 3) where it is the same."""
    text = path.read_text()
    inside = text[text.index("internalField") : text.index("boundaryField")]
    return _values(inside, vectors="VectorField" in text[: text.index("internalField")])


def patch_sum(field: str, patch: str, faces: int) -> float:
    """Return the sum of what the text of a scalar field holds for a patch of so many faces."""
    body = field[field.index("boundaryField") :]
    body = body[re.search(rf"^\s*{re.escape(patch)}\s*$", body, re.MULTILINE).end() :]  # type: ignore[union-attr]
    value = re.search(r"\bvalue\s+(uniform\s+([-+.\deE]+)|nonuniform\s+List<scalar>\s*\d+\s*\(([^)]*)\))", body)
    if value is None:
        raise ValueError(f"the field holds no values for patch {patch}")
    return faces * float(value[2]) if value[2] else float(np.array(value[3].split(), float).sum())


def _values(text: str, *, vectors: bool) -> np.ndarray:
    numbers = _numbers(text.split("uniform", 1)[1] if "nonuniform" not in text else _list(text))
    return numbers.reshape(-1, 3) if vectors else numbers


def _list(text: str) -> str:
    """Return what stands between the brackets of the first long list of a file."""
    found = re.search(r"\n\d+\s*\n\(\n(.*?)\n\)", text, re.DOTALL)
    return found[1] if found else re.search(r"\d+\s*\((.*?)\)\s*;", text, re.DOTALL)[1]  # type: ignore[index]


def _numbers(text: str) -> np.ndarray:
    return np.array(re.sub(r"[^-+.\deE]+", " ", text.replace("nan", " ")).split(), float)


def _word(body: str, key: str) -> str:
    return re.search(rf"\b{key}\s+(\S+?);", body)[1]  # type: ignore[index]
