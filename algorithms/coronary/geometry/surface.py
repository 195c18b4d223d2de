"""The lumen inside a surface of triangles with open ends.

Open ends are the borders of the surface.  They take their names from the lids that close them, where there are lids: those
are only read for their names.  Without lids the ends are numbered by area: the largest is the inlet.
Points are (N, 3) mm in the frame of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.crossing import crossings
from algorithms.coronary.geometry.open_surface import End, closed_behind, merged, open_ends, require_sound
from algorithms.coronary.geometry.plausible import require_plausible_radius_mm
from algorithms.coronary.geometry.sampled import Samples, closed_surface, interpolated_mm, sampled
from algorithms.coronary.geometry.shape import Opening
from algorithms.coronary.geometry.surface_file import Named

STEP_MM = 0.1
FINEST_STEP_MM = 0.04
"""Distance between samples, an eighth of the smallest opening's radius within these bounds: linear interpolation between
them is off by h^2 / 8R, 1.3 um at a radius of 1 mm."""

PINHOLE = 0.1
"""An open end without a name, narrower than this fraction of the widest one, is a hole in the wall and no vessel: a choice of
ours, for a left main of 2.25 mm has tips of 0.4 mm and more where CT shows them."""

BAND_MM = 0.5
"""Distances are exact this far on both sides of the wall: beyond the links of a cell of 0.25 mm."""

CROOKED = 0.25
"""An end whose border leaves its plane by more than this fraction of its radius is not cut square."""

WALL_NAMES = ("", "wall", "lumen")


@dataclass(frozen=True, eq=False)
class SurfaceLumen:
    """A lumen inside a surface; a :class:`algorithms.coronary.geometry.shape.Lumen`."""

    openings: tuple[Opening, ...]
    low_mm: np.ndarray
    high_mm: np.ndarray
    doubts: tuple[str, ...]
    samples: Samples

    def distance_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """Return (n,) distances to the wall of (n, 3) points, positive in blood; beyond ``BAND_MM``, at least that."""
        return interpolated_mm(points_mm, self.samples)


def surface_lumen(
    surface: Named, *, inlet: str | None = None, inlet_diameters: float = 0.0, outlet_diameters: float = 0.0
) -> SurfaceLumen:
    """Return the lumen inside a surface.

    Parameters
    ----------
    surface
        One vessel with two open ends or more, closed by named lids or not.
    inlet
        Name of the opening where blood comes in; if ``None``, those whose names begin with ``inlet``, or the largest.
    inlet_diameters, outlet_diameters
        Length of the straight extensions at the inlets and the outlets, in diameters of the opening, >= 0.

    Raises
    ------
    DataError
        If the surface is closed, in pieces, crosses itself or is no surface, or its size is not a vessel's.
    """
    vertices, faces, kept = merged(surface.vertices_mm, surface.faces)
    name = surface.name[kept]
    wall = np.isin(np.char.lower(name), WALL_NAMES)
    if not wall.any():
        wall = name == _largest(vertices, faces, name)
    used, renumbered = np.unique(faces[wall], return_inverse=True)
    lids = {str(n): vertices[np.unique(faces[~wall & (name == n)])] for n in np.unique(name[~wall])}
    vertices, faces = vertices[used], renumbered.reshape(-1, 3)
    require_sound(vertices, faces)
    ends = open_ends(vertices, faces)
    if _points_inward(vertices, faces, ends):
        faces = faces[:, ::-1]
        ends = open_ends(vertices, faces)
    names = _names(vertices, ends, lids)
    inlets = inlet_names(names, inlet)
    plans = [
        Plan(end, n, n in inlets, 2 * end.radius_mm * (inlet_diameters if n in inlets else outlet_diameters))
        for end, n in zip(ends, names, strict=True)
    ]
    return lumen_of(vertices, faces, plans)


@dataclass(frozen=True, eq=False)
class Plan:
    """What becomes of an open end: its name, whether blood comes in there, and how far off its opening is put."""

    end: End
    name: str
    inlet: bool
    extension_mm: float

    def opening(self) -> Opening:
        """Return the opening at the end of the extension."""
        end = self.end
        return Opening(self.name, self.inlet, end.centre_mm + self.extension_mm * end.normal, end.normal, end.radius_mm)


def lumen_of(vertices_mm: np.ndarray, faces: np.ndarray, plans: Sequence[Plan], doubts: Sequence[str] = ()) -> SurfaceLumen:
    """Return the lumen inside a sound surface whose open ends go on as planned.

    Raises
    ------
    DataError
        If an end is not of a vessel's size, or the surface or what goes on behind its ends crosses itself.
    """
    ends = [plan.end for plan in plans]
    require_plausible_radius_mm(np.array([end.radius_mm for end in ends]), "an open end of the surface")
    # One radius more than the extension, so that the wall is known at the opening too.
    lengths = [plan.extension_mm + plan.end.radius_mm + plan.end.off_plane_mm for plan in plans]
    closed = closed_behind(vertices_mm, faces, ends, lengths)
    _require_uncrossed(closed, len(faces))
    openings = tuple(plan.opening() for plan in plans)
    step = float(np.clip(min(opening.radius_mm for opening in openings) / 8, FINEST_STEP_MM, STEP_MM))
    box = np.concatenate([vertices_mm, *(_corners(opening) for opening in openings)])
    crooked = [
        f"opening {plan.name} leaves its plane by {plan.end.off_plane_mm:.2f} mm at a radius of {plan.end.radius_mm:.2f} mm; "
        "cut it square"
        for plan in plans
        if plan.end.off_plane_mm > CROOKED * plan.end.radius_mm
    ]
    samples = sampled(closed_surface(*closed), step, BAND_MM + 2 * step)
    return SurfaceLumen(openings, box.min(axis=0), box.max(axis=0), (*doubts, *crooked), samples)


def inlet_names(names: Sequence[str], inlet: str | None) -> list[str]:
    """Return which of the openings, the largest first, are inlets."""
    if inlet is not None:
        if inlet not in names:
            raise DataError(f"there is no opening named {inlet} to be the inlet; there are {', '.join(names)}")
        return [inlet]
    inlets = [name for name in names if name.lower().startswith("inlet")] or [names[0]]
    if len(inlets) == len(names):
        raise DataError(f"all {len(names)} openings are inlets, wanted an outlet; name them apart")
    return inlets


def _largest(vertices: np.ndarray, faces: np.ndarray, name: np.ndarray) -> str:
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return str(max(np.unique(name), key=lambda n: float(area[name == n].sum())))


def _points_inward(vertices: np.ndarray, faces: np.ndarray, ends: list[End]) -> bool:
    """Return whether the triangles are seen from inside: then the surface with lids has a negative volume."""
    closed, triangles = closed_behind(vertices, faces, ends, [0.0] * len(ends))
    a, b, c = (closed[triangles[:, k]] - closed.mean(axis=0) for k in range(3))
    return bool((a * np.cross(b, c)).sum() < 0)


def _names(vertices: np.ndarray, ends: list[End], lids: dict[str, np.ndarray]) -> list[str]:
    """Return a name for each end: of the lid that has its vertices, or a number."""
    names: list[str] = []
    widest = max(end.radius_mm for end in ends)
    for end in ends:
        rim = {tuple(p) for p in vertices[end.loop]}
        shared = {name: len(rim & {tuple(p) for p in corners}) for name, corners in lids.items()}
        names.append(max(shared, key=lambda n: shared[n]) if any(shared.values()) else "")
        if not names[-1] and end.radius_mm < PINHOLE * widest:
            x, y, z = end.centre_mm
            raise DataError(
                f"the surface has a hole of {end.radius_mm:.2g} mm radius at ({x:.2f}, {y:.2f}, {z:.2f}) mm, its widest end "
                f"has {widest:.2g} mm; close the hole, or give it a lid with a name if it is a vessel"
            )
    if "inlet" not in {n.lower()[:5] for n in names} and not names[0]:
        names[0] = "inlet"
    number = iter(range(1, len(names) + 1))
    names = [n or f"outlet {next(number)}" for n in names]
    if len(set(names)) < len(names):
        raise DataError(f"the surface has {len(names)} open ends and {len(set(names))} names of lids, wanted a name each")
    return names


def _corners(opening: Opening) -> np.ndarray:
    """Return the box around the disc of an opening, (2, 3)."""
    reach = opening.radius_mm * np.sqrt(np.maximum(1 - opening.normal**2, 0))
    return np.stack([opening.centre_mm - reach, opening.centre_mm + reach])


def _require_uncrossed(closed: tuple[np.ndarray, np.ndarray], wall: int) -> None:
    found = crossings(*closed)
    if not len(found):
        return
    x, y, z = closed[0][closed[1][found[0, 0]]].mean(axis=0)
    if (found < wall).all():
        raise DataError(
            f"the surface crosses itself in {len(found)} triangles, first at ({x:.2f}, {y:.2f}, {z:.2f}) mm; mend the surface"
        )
    raise DataError(
        f"what goes on behind an open end runs into the vessel at ({x:.2f}, {y:.2f}, {z:.2f}) mm: the opening lies inside or "
        "against another branch; cut the vessel elsewhere or ask for a shorter extension"
    )
