"""Lumens with a closed form: straight and bent tube, cosine stenosis, taper, step and Y, at any angle to the grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from algorithms.coronary.geometry.shape import Opening


def turned(axis: tuple[float, float, float], spin: float = 0.0) -> np.ndarray:
    """Return the (3, 3) rotation that turns z onto ``axis``, after a turn about z by ``spin`` radians."""
    z = np.array(axis, float) / np.linalg.norm(axis)
    help_axis = np.array([1.0, 0, 0]) if abs(z[0]) < 0.9 else np.array([0, 1.0, 0])
    x = np.cross(help_axis, z)
    x /= np.linalg.norm(x)
    cosine, sine = np.cos(spin), np.sin(spin)
    turn: np.ndarray = np.stack([x, np.cross(z, x), z], axis=1) @ np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    return turn


@dataclass(eq=False)
class Vessel:
    """A round vessel along an axis from ``0`` to ``length_mm``; its radius is a function of the way along it."""

    radius_mm: Callable[[np.ndarray], np.ndarray]
    length_mm: float
    rotation: np.ndarray
    openings: tuple[Opening, ...]
    low_mm: np.ndarray
    high_mm: np.ndarray
    beyond_mm: float

    def distance_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """Return the radial gap times the cosine of the wall's slope, 1 % right within a cell of the wall."""
        own = points_mm @ self.rotation
        z = own[:, 2]
        slope = (self.radius_mm(z + 1e-4) - self.radius_mm(z - 1e-4)) / 2e-4
        gap = (self.radius_mm(z) - np.hypot(own[:, 0], own[:, 1])) / np.sqrt(1 + slope**2)
        distance: np.ndarray = np.minimum(gap, np.minimum(z + self.beyond_mm, self.length_mm + self.beyond_mm - z))
        return distance

    def along_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """Return the way along the axis."""
        along: np.ndarray = points_mm @ self.rotation[:, 2]
        return along


def vessel(
    radius_mm: float | Callable[[np.ndarray], np.ndarray],
    length_mm: float,
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0),
    spin: float = 0.0,
    beyond_mm: float = 1.0,
) -> Vessel:
    """Return a round vessel with its inlet at 0 and its outlet at ``length_mm``; the lumen goes on behind both."""
    shape = radius_mm if callable(radius_mm) else (lambda z: np.full_like(z, radius_mm, dtype=float))
    rotation = turned(axis, spin)
    z = rotation[:, 2]
    first, last = (float(shape(np.array([end]))[0]) for end in (0.0, length_mm))
    openings = (Opening("inlet", True, 0 * z, -z, first), Opening("outlet", False, length_mm * z, z, last))
    widest = float(shape(np.linspace(0, length_mm, 1001)).max())
    ends = np.stack([-beyond_mm * z, (length_mm + beyond_mm) * z])
    return Vessel(shape, length_mm, rotation, openings, ends.min(0) - widest, ends.max(0) + widest, beyond_mm)


def narrowed(radius_mm: float, centre_mm: float, length_mm: float, area_stenosis: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return the radius of a cosine stenosis as in ``tubes.cosine_stenosis``."""
    depth = radius_mm * (1 - np.sqrt(1 - area_stenosis))

    def radius(z: np.ndarray) -> np.ndarray:
        inside = np.abs(z - centre_mm) < length_mm / 2
        return radius_mm - np.where(inside, depth / 2 * (1 + np.cos(2 * np.pi * (z - centre_mm) / length_mm)), 0.0)

    return radius


@dataclass(eq=False)
class Fork:
    """A Y: a trunk along z that ends at the origin, and two daughters; the wall is that of the three tubes together."""

    tubes: tuple[tuple[np.ndarray, float, float], ...]
    """Direction away from the origin, radius and length of trunk and daughters."""
    openings: tuple[Opening, ...]
    low_mm: np.ndarray
    high_mm: np.ndarray

    def distance_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """Return the greatest of the distances to the tubes' walls."""
        parts = []
        for direction, radius, length in self.tubes:
            along = points_mm @ direction
            aside = points_mm - along[:, None] * direction
            past = np.maximum(np.maximum(-along, along - length - 2 * radius), 0)
            parts.append(radius - np.hypot(np.linalg.norm(aside, axis=1), past))
        distance: np.ndarray = np.max(parts, axis=0)
        return distance


def fork(
    trunk_mm: float, daughters_mm: tuple[float, float], length_mm: float, rotation: np.ndarray, half_angle: float = 0.6
) -> Fork:
    """Return a Y with an inlet at the end of its trunk and the outlets ``left`` and ``right``."""
    ways = [(0.0, 0.0, -1.0), (-np.sin(half_angle), 0.0, np.cos(half_angle)), (np.sin(half_angle), 0.0, np.cos(half_angle))]
    directions = [rotation @ np.array(way) for way in ways]
    radii = (trunk_mm, *daughters_mm)
    names = ("inlet", "left", "right")
    openings = tuple(
        Opening(name, name == "inlet", length_mm * d, d, r) for name, d, r in zip(names, directions, radii, strict=True)
    )
    ends = np.array([(length_mm + 3 * r) * d for d, r in zip(directions, radii, strict=True)])
    tubes = tuple((d, r, length_mm) for d, r in zip(directions, radii, strict=True))
    return Fork(tubes, openings, ends.min(axis=0) - 2 * trunk_mm, ends.max(axis=0) + 2 * trunk_mm)


@dataclass(eq=False)
class Revolved:
    """A round vessel whose wall is a polygon turned about z: cones and steps, with its distance exact."""

    wall_mm: np.ndarray
    """(K, 2) place along the axis and radius of the polygon's corners, upstream first; a step has two at one place."""
    rotation: np.ndarray
    openings: tuple[Opening, ...]
    low_mm: np.ndarray
    high_mm: np.ndarray

    def distance_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """Return the distance to the nearest side of the polygon."""
        own = points_mm @ self.rotation
        place = np.column_stack([own[:, 2], np.hypot(own[:, 0], own[:, 1])])
        nearest = np.full(len(place), np.inf)
        inside = np.zeros(len(place), bool)
        for first, last in zip(self.wall_mm[:-1], self.wall_mm[1:], strict=True):
            side = last - first
            part = np.clip((place - first) @ side / (side @ side), 0, 1)
            nearest = np.minimum(nearest, np.linalg.norm(place - first - part[:, None] * side, axis=1))
            if side[0] > 0:
                height = first[1] + side[1] / side[0] * (place[:, 0] - first[0])
                inside |= (place[:, 0] >= first[0]) & (place[:, 0] <= last[0]) & (place[:, 1] < height)
        distance: np.ndarray = np.where(inside, nearest, -nearest)
        return distance


def revolved(wall_mm: np.ndarray, ends_mm: tuple[float, float], rotation: np.ndarray) -> Revolved:
    """Return a vessel between two places of its wall's straight ends; the lumen goes on to the ends of the polygon."""
    z = rotation[:, 2]
    openings = (
        Opening("inlet", True, ends_mm[0] * z, -z, float(wall_mm[0, 1])),
        Opening("outlet", False, ends_mm[1] * z, z, float(wall_mm[-1, 1])),
    )
    ends = np.stack([wall_mm[0, 0] * z, wall_mm[-1, 0] * z])
    widest = wall_mm[:, 1].max()
    return Revolved(wall_mm, rotation, openings, ends.min(axis=0) - widest, ends.max(axis=0) + widest)


@dataclass(eq=False)
class Bend:
    """A round tube whose axis is an arc about y through the origin, with straight ends; its distance is exact."""

    radius_mm: float
    bend_mm: float
    """Radius of the arc."""
    angle: float
    """Of the arc between the openings, radians; the flow begins along z and turns towards x."""
    beyond_mm: float
    rotation: np.ndarray
    openings: tuple[Opening, ...]
    low_mm: np.ndarray
    high_mm: np.ndarray

    def distance_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """Return the tube's radius less the distance to its axis."""
        own = points_mm @ self.rotation
        x, z = own[:, 0] - self.bend_mm, own[:, 2]
        turned_by = np.arctan2(z, -x) % (2 * np.pi)
        ring = np.hypot(np.hypot(x, z) - self.bend_mm, own[:, 1])
        away = np.where(turned_by <= self.angle, ring, np.inf)
        for angle, sign in ((0.0, -1), (self.angle, 1)):
            centre = self.bend_mm * np.array([-np.cos(angle), 0, np.sin(angle)])
            onward = sign * np.array([np.sin(angle), 0, np.cos(angle)])
            offset = np.column_stack([x, own[:, 1], z]) - centre
            along = np.clip(offset @ onward, 0, self.beyond_mm)
            away = np.minimum(away, np.linalg.norm(offset - along[:, None] * onward, axis=1))
        distance: np.ndarray = self.radius_mm - away
        return distance


def bend(radius_mm: float, bend_mm: float, angle: float, rotation: np.ndarray, beyond_mm: float = 1.0) -> Bend:
    """Return a bent tube with its openings at the ends of the arc; the lumen goes straight on behind both."""
    x, z = rotation[:, 0], rotation[:, 2]
    end = bend_mm * (1 - np.cos(angle)) * x + bend_mm * np.sin(angle) * z
    onward = np.sin(angle) * x + np.cos(angle) * z
    openings = (Opening("inlet", True, 0 * z, -z, radius_mm), Opening("outlet", False, end, onward, radius_mm))
    arc = np.linspace(0, angle, 200)
    axis = bend_mm * ((1 - np.cos(arc))[:, None] * x + np.sin(arc)[:, None] * z)
    axis = np.concatenate([axis, [-beyond_mm * z, end + beyond_mm * onward]])
    low, high = axis.min(axis=0) - 1.2 * radius_mm, axis.max(axis=0) + 1.2 * radius_mm
    return Bend(radius_mm, bend_mm, angle, beyond_mm, rotation, openings, low, high)
