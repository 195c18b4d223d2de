"""What is true of a coronary phantom, as documents: the tree in the format of tree.json, and the facts of the scan."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.phantom.coronary.motion import Slab
from algorithms.phantom.coronary.paint import Grid
from algorithms.phantom.coronary.person import Person
from algorithms.phantom.coronary.plaque import Lesion
from algorithms.phantom.coronary.tissues import DEVICE_LABEL, LABELS
from algorithms.phantom.coronary.tree import Vessel
from algorithms.phantom.coronary.variety import Variety


def tree_document(person: Person) -> dict[str, Any]:
    """Return the true tree in the format of tree.json (docs/coronary.md)."""
    branches = []
    for vessel in person.vessels:
        points = vessel.points_mm.copy()
        if vessel.parent is not None and vessel.parent_point is not None:
            points[0] = person.vessels[vessel.parent].points_mm[vessel.parent_point]
        branches.append(
            {
                "name": vessel.name,
                "parent": vessel.parent,
                "parent_point": vessel.parent_point,
                "segment": [int(s) for s in vessel.segment],
                "points_mm": np.round(points, 4).tolist(),
                "radius_mm": np.round(vessel.radius_mm, 4).tolist(),
                "reference_radius_mm": np.round(vessel.reference_radius_mm, 4).tolist(),
                "radius_sd_mm": [0.0] * len(points),
            }
        )
    stenoses = [_stenosis(person.vessels[lesion.vessel], lesion) for lesion in person.lesions]
    document = {"coordinate_system": "LPS mm", "branches": branches, "stenoses": stenoses, "doubts": []}
    treated = _treatments(person)
    return document | ({"treatments": treated} if treated else {})


def _treatments(person: Person) -> list[dict[str, Any]]:
    """Return the stents (branch, from point to point) and grafts (branch, point) of the arteries."""
    stents = [
        {"kind": "stent", "branch": d.vessel, "start": d.start, "end": d.end} for d in person.devices if d.vessel is not None
    ]
    graft = person.graft
    return stents + ([] if graft is None else [{"kind": "graft", "branch": graft.vessel, "point": graft.point}])


def _stenosis(vessel: Vessel, lesion: Lesion) -> dict[str, Any]:
    open_mm, reference_mm = 2 * vessel.radius_mm[lesion.throat], 2 * vessel.reference_radius_mm[lesion.throat]
    return {
        "branch": lesion.vessel,
        "start": lesion.start,
        "throat": lesion.throat,
        "end": lesion.end,
        "diameter_stenosis": round(float(1 - open_mm / reference_mm), 4),
        "area_stenosis": round(float(1 - (open_mm / reference_mm) ** 2), 4),
        "minimal_lumen_diameter_mm": round(float(open_mm), 4),
        "reference_diameter_mm": round(float(reference_mm), 4),
        "length_mm": round(lesion.length_mm, 4),
        "segment": int(vessel.segment[lesion.throat]),
    }


def facts_document(person: Person, grid: Grid, hu_of: dict[str, float], mass_g: float) -> dict[str, Any]:
    """Return what phantom.json says beside size and difficulty: geometry, masses, ostia, lesions, tissues."""
    roots = {"left": person.vessels[0], "right": next(v for v in person.vessels if v.name == "RCA")}
    return {
        "seed": person.seed,
        "spacing_mm": list(grid.spacing_mm),
        "shape": list(grid.shape),
        "origin_mm": list(grid.origin_mm),
        "lv_mass_g": round(mass_g, 3),
        "ostia": {side: [round(float(c), 4) for c in vessel.points_mm[0]] for side, vessel in roots.items()},
        "aortic_annulus_mm": [0.0, 0.0, 0.0],
        "habit": asdict(person.habit),
        "lesions": [asdict(lesion) | {"vessel": person.vessels[lesion.vessel].name} for lesion in person.lesions],
        "tissue_hu": {name: round(value, 2) for name, value in hu_of.items()},
        "labels": LABELS,
    }


def variety_facts(person: Person, variety: Variety, slabs: Sequence[Slab]) -> dict[str, Any]:
    """Return what phantom.json says of a scan that is not plain: its settings, slabs, occlusions and what was put in."""
    facts: dict[str, Any] = {
        "variety": asdict(variety),
        "slabs": [asdict(slab) | {"shift_mm": slab.shift_mm.round(4).tolist()} for slab in slabs],
        "occlusions": [person.vessels[lesion.vessel].name for lesion in person.lesions if lesion.severity >= 1],
        "devices": sorted({device.kind for device in person.devices}),
    }
    if person.devices:
        facts["labels"] = LABELS | {"device": DEVICE_LABEL}
    if person.graft is not None:
        facts["graft"] = {
            "vessel": person.vessels[person.graft.vessel].name,
            "points_mm": person.graft.side_vessel.path_mm.round(3).tolist(),
        }
    return facts


def write_nifti(values: np.ndarray, grid: Grid, path: Path) -> None:
    """Write uint8 ``values`` (Z, Y, X) as NIfTI-1 (nifti1.h, 348-byte header); its axes are RAS, so x and y change sign."""
    header = np.zeros(
        1,
        dtype=[("sizeof_hdr", "<i4"), ("unused", "S36"), ("dim", "<i2", 8), ("intent", "<f4", 3), ("intent_code", "<i2"),
               ("datatype", "<i2"), ("bitpix", "<i2"), ("slice_start", "<i2"), ("pixdim", "<f4", 8), ("vox_offset", "<f4"),
               ("scl_slope", "<f4"), ("scl_inter", "<f4"), ("slice_end", "<i2"), ("slice_code", "u1"), ("xyzt_units", "u1"),
               ("cal", "<f4", 4), ("gl", "<i4", 2), ("descrip", "S80"), ("aux_file", "S24"), ("qform_code", "<i2"),
               ("sform_code", "<i2"), ("quatern", "<f4", 3), ("qoffset", "<f4", 3), ("srow", "<f4", (3, 4)),
               ("intent_name", "S16"), ("magic", "S4")],
    )  # fmt: skip
    z, y, x = grid.spacing_mm
    header["sizeof_hdr"], header["magic"], header["vox_offset"], header["scl_slope"] = 348, b"n+1", 352, 1
    header["dim"] = (3, *grid.shape[::-1], 1, 1, 1, 1)
    header["datatype"], header["bitpix"], header["xyzt_units"] = 2, 8, 2
    header["pixdim"] = (1, x, y, z, 0, 0, 0, 0)
    # Half a turn about z takes LPS to RAS: the quaternion (0, 0, 0, 1).
    header["qform_code"], header["sform_code"], header["quatern"] = 1, 1, (0, 0, 1)
    place = np.array([[-x, 0, 0, -grid.origin_mm[0]], [0, -y, 0, -grid.origin_mm[1]], [0, 0, z, grid.origin_mm[2]]])
    header["srow"], header["qoffset"] = place, place[:, 3]
    packed = gzip.compress(header.tobytes() + b"\0" * 4 + np.ascontiguousarray(values, dtype=np.uint8).tobytes(), 1, mtime=0)
    path.write_bytes(packed)
