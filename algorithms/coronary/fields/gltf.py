"""The tree coloured by FFR as one binary glTF file, for the browser.

A vessel is a node of its name; its vertices have the colour of the fixed FFR scale and, in ``_FFR``, the value itself.
The patient faces the viewer: from LPS mm to glTF's metres, x stays, z is up, and the front is -y.

References
----------
Khronos, *glTF 2.0 specification* (2021): 3.6.2 accessors, 3.7.2 meshes, 4.4 binary files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.coronary.fields.tubes import tube_mesh
from algorithms.coronary.pictures.style import ffr_colours, ffr_norm
from algorithms.coronary.tree import Tree

FLOAT, UNSIGNED_SHORT, UNSIGNED_INT = 5126, 5123, 5125
VERTICES, INDICES = 34962, 34963
"""Component types and buffer targets of glTF, which are those of OpenGL."""

METRES = 1e-3


class _File:
    """What is collected of the file while it is made."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(self, values: np.ndarray, shape: str, target: int) -> int:
        """Append an array and return the number of its accessor."""
        kind = {"f": FLOAT, "u": UNSIGNED_INT if values.itemsize == 4 else UNSIGNED_SHORT}[values.dtype.kind]
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": values.nbytes, "target": target})
        accessor: dict[str, Any] = {
            "bufferView": len(self.views) - 1,
            "componentType": kind,
            "count": len(values),
            "type": shape,
        }
        if kind == FLOAT:
            flat = values.reshape(len(values), -1)
            accessor |= {"min": flat.min(axis=0).tolist(), "max": flat.max(axis=0).tolist()}
        if kind == UNSIGNED_SHORT:
            accessor["normalized"] = True
        self.accessors.append(accessor)
        self.data += values.tobytes()
        self.data += bytes(-len(self.data) % 4)
        return len(self.accessors) - 1


def write_glb(tree: Tree, ffr: Sequence[np.ndarray], path: Path) -> None:
    """Write the vessels of ``tree`` with the FFR at their points, one (N,) array a branch, as ``path``."""
    file = _File()
    meshes, nodes = [], []
    for branch, values in zip(tree.branches, ffr, strict=True):
        vertices, normals, faces, point = tube_mesh(branch.points_mm, branch.radius_mm)
        attributes = {
            "POSITION": file.add((METRES * _towards_viewer(vertices)).astype(np.float32), "VEC3", VERTICES),
            "NORMAL": file.add(_towards_viewer(normals).astype(np.float32), "VEC3", VERTICES),
            "COLOR_0": file.add(_linear_colour(np.asarray(values))[point], "VEC4", VERTICES),
            "_FFR": file.add(np.asarray(values, dtype=np.float32)[point], "SCALAR", VERTICES),
        }
        indices = file.add(faces.ravel().astype(np.uint32), "SCALAR", INDICES)
        meshes.append({"name": branch.name, "primitives": [{"attributes": attributes, "indices": indices, "material": 0}]})
        nodes.append({"name": branch.name, "mesh": len(meshes) - 1})
    document = {
        "asset": {"version": "2.0", "generator": "heartwood"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(nodes)))}],
        "nodes": nodes,
        "meshes": meshes,
        "materials": [{"name": "vessel", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.55}}],
        "buffers": [{"byteLength": len(file.data)}],
        "bufferViews": file.views,
        "accessors": file.accessors,
    }
    told = json.dumps(document, separators=(",", ":")).encode()
    told += b" " * (-len(told) % 4)
    chunks = [(b"JSON", told), (b"BIN\0", bytes(file.data))]
    body = b"".join(len(content).to_bytes(4, "little") + kind + content for kind, content in chunks)
    path.write_bytes(b"glTF" + (2).to_bytes(4, "little") + (12 + len(body)).to_bytes(4, "little") + body)


def _towards_viewer(lps: np.ndarray) -> np.ndarray:
    return np.stack([lps[:, 0], lps[:, 2], -lps[:, 1]], axis=1)


def _linear_colour(ffr: np.ndarray) -> np.ndarray:
    """Return (N, 4) uint16: glTF's vertex colours are linear light, those of our scale are sRGB (IEC 61966-2-1)."""
    srgb = ffr_colours()(ffr_norm()(ffr))
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    light[:, 3] = 1.0
    return np.asarray(np.rint(65535 * light).astype(np.uint16))
