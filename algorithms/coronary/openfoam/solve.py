"""A steady laminar flow by OpenFOAM, with the same lumen, conditions and fluid as ``lattice.solve``."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.shape import Lumen, Opening
from algorithms.coronary.lattice.conditions import Condition, Flow, Fluid, ordered
from algorithms.coronary.lattice.profile import developed
from algorithms.coronary.openfoam.case import M_PER_MM, Numerics, write_case, write_fields
from algorithms.coronary.openfoam.coupling import Ties, settled
from algorithms.coronary.openfoam.program import require, run
from algorithms.coronary.openfoam.read import Face, cell_field, patch_faces, patch_sum
from algorithms.coronary.openfoam.surface import closed_patches, patch_names

log = logging.getLogger(__name__)

SURFACE_STEP = 0.4
"""Of the surface's samples, in sides of a cell."""
PROFILE_STEPS = 24
"""Points across an opening's radius at which its profile is solved."""
SECTION_HALF_CELLS = 2.0
ENOUGH = 10.0
"""Times the residual that was asked for: a run that ends above it has not found its flow."""


@dataclass(frozen=True, eq=False)
class FoamSolution:
    """A steady flow in N cells of a body-fitted grid; G openings in the order of the lumen's."""

    points_mm: np.ndarray
    volume_mm3: np.ndarray
    side_mm: float
    velocity_m_s: np.ndarray
    """(N, 3)"""
    pressure_pa: np.ndarray
    """(N,)"""
    openings: tuple[Opening, ...]
    flow_m3_s: np.ndarray
    """(G,) out of the lumen."""
    opening_pa: np.ndarray
    """(G,) at the openings' planes."""
    iterations: int
    residual: float
    """Largest of the last iteration's initial residuals."""
    cpu_seconds: float
    """Of all programs together."""


@dataclass(frozen=True)
class FoamSection:
    """Means over a cut through the vessel, as ``lattice.solution.Section``."""

    flow_m3_s: float
    pressure_pa: float
    area_mm2: float


def solve(lumen: Lumen, given: Mapping[str, Condition], fluid: Fluid, how: Numerics, folder: Path) -> FoamSolution:
    """Return the steady flow; the case stays in ``folder`` for OpenFOAM's own tools.

    Parameters
    ----------
    lumen, given, fluid
        As for ``lattice.solve``; a pressure at the inlet is met by the flow in.
    how
        Grid, accuracy and number of processes.
    folder
        A new or empty folder.

    Raises
    ------
    DataError
        If OpenFOAM is not installed or one of its programs fails, or lumen or conditions allow no answer.
    """
    require(how.processes)
    require_new(folder)
    conditions = ordered(lumen.openings, given)
    plugs = [isinstance(condition, Flow) and condition.plug for condition in conditions]
    case = _Case(lumen, plugs, fluid, how, folder)
    ties = Ties(lumen.openings, conditions)
    level_pa = settled(ties, case.flows, fluid)
    if case.residual > ENOUGH * how.residual:
        log.warning("simpleFoam stopped at residual %.1e, %.1e was wanted", case.residual, how.residual)
    return case.solution(level_pa)


def require_new(folder: Path) -> None:
    """Refuse a folder in which something lies: a case of hours is never written over.

    Raises
    ------
    DataError
        If it is there and not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"the folder {folder} is not empty; name a new one for the case, or move away what is in it")


def section(found: FoamSolution, centre_mm: np.ndarray, normal: np.ndarray, reach_mm: float) -> FoamSection:
    """Return the means over the cut through ``centre_mm`` across ``normal``, not farther than ``reach_mm`` from it.

    Raises
    ------
    ValueError
        If no cell lies there.
    """
    away = found.points_mm - centre_mm
    thick = SECTION_HALF_CELLS * found.side_mm
    height = away @ normal
    near = (np.abs(height) < thick) & ((away**2).sum(axis=1) < reach_mm**2 + thick**2)
    if not near.any():
        raise ValueError("no cell lies at the section")
    volume = found.volume_mm3[near] * (1 - np.abs(height[near]) / thick) / thick
    flow = float((volume * (found.velocity_m_s[near] @ normal)).sum()) * 1e-6
    return FoamSection(flow, float((volume * found.pressure_pa[near]).sum() / volume.sum()), float(volume.sum()))


class _Case:
    """A case under way: its grid, and the last flow in it."""

    def __init__(self, lumen: Lumen, plugs: list[bool], fluid: Fluid, how: Numerics, folder: Path) -> None:
        self.lumen, self.fluid, self.how, self.folder = lumen, fluid, how, folder
        self.cpu_seconds, self.iterations, self.residual = 0.0, 0, np.inf
        write_case(folder, closed_patches(lumen, SURFACE_STEP * how.cell_mm), fluid, how)
        self._run("blockMesh")
        self._run("snappyHexMesh", "-overwrite", progress=r"^\w.*iteration.*$")
        self.names = patch_names(lumen.openings)
        self.faces = self._checked(patch_faces(folder))
        write_fields(folder / "0", dict.fromkeys(self.names), dict.fromkeys(self.names, 0.0))
        self._run("postProcess", "-func", "writeCellCentres", "-time", "0")
        self._run("postProcess", "-func", "writeCellVolumes", "-time", "0")
        self.points_mm = cell_field(folder / "0" / "C") / M_PER_MM
        self.volume_mm3 = cell_field(folder / "0" / "V") / M_PER_MM**3
        self.profile = [self._profile(i, plug=plug) for i, plug in enumerate(plugs)]

    def _checked(self, found: dict[str, Face]) -> list[Face]:
        """Return the faces of each opening, if they are about as large as the opening."""
        checked = []
        for name, opening in zip(self.names, self.lumen.openings, strict=True):
            area = float(np.linalg.norm(found[name].area_m2.sum(axis=0))) if name in found else 0.0
            wanted = np.pi * (opening.radius_mm * M_PER_MM) ** 2
            if not 0.8 < area / wanted < 1.25:
                raise DataError(
                    f"opening {opening.name} has {area * 1e6:.3g} mm2 in the grid but {wanted * 1e6:.3g} mm2 in the lumen; "
                    "take smaller cells"
                )
            checked.append(found[name])
        return checked

    def _profile(self, index: int, *, plug: bool) -> np.ndarray:
        """Return (F, 3) velocities on the faces of an opening for a flow of 1 m3/s out of the lumen."""
        opening, faces = self.lumen.openings[index], self.faces[index]
        shape = np.ones(len(faces.owner))
        if not plug:
            shape = developed(self.lumen, opening, opening.radius_mm / PROFILE_STEPS).at(faces.centre_m / M_PER_MM)
        velocity = shape[:, None] * opening.normal
        through: np.ndarray = velocity / (velocity * faces.area_m2).sum()
        return through

    def flows(self, flow: dict[int, float], pressure: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
        """Return flow out (G,) and pressure (G,) of the openings where each is given the one or the other."""
        velocity = {name: flow[i] * self.profile[i] if i in flow else None for i, name in enumerate(self.names)}
        head = {n: pressure[i] / self.fluid.density_kg_m3 if i in pressure else None for i, n in enumerate(self.names)}
        last = self._last()
        # The flow before is where the next one begins.
        kept = {name: (last / name).read_text() for name in ("U", "p")} if last.name != "0" else {}
        write_fields(last, velocity, head)
        for name, text in kept.items():
            _take_inside(last / name, text)
        if kept:
            self._continue(int(last.name))
        if self.how.processes > 1:
            self._run("decomposePar", "-force")
            self._run("mpirun", "-np", str(self.how.processes), "simpleFoam", "-parallel", progress=r"^Time = \d+$")
            self._run("reconstructPar", "-latestTime")
        else:
            self._run("simpleFoam", progress=r"^Time = \d+$")
        return self._read()

    def _last(self) -> Path:
        times = [path for path in self.folder.iterdir() if re.fullmatch(r"\d+", path.name)]
        return max(times, key=lambda path: int(path.name))

    def _continue(self, time: int) -> None:
        control = self.folder / "system" / "controlDict"
        control.write_text(re.sub(r"endTime \d+;", f"endTime {time + self.how.most_iterations};", control.read_text()))
        # Fluxes of other conditions would be taken for these.
        (self.folder / str(time) / "phi").unlink()

    def _read(self) -> tuple[np.ndarray, np.ndarray]:
        last = self._last()
        self.iterations = int(last.name)
        self.velocity_m_s = cell_field(last / "U")
        self.pressure_pa = cell_field(last / "p") * self.fluid.density_kg_m3
        if len(self.velocity_m_s) != len(self.points_mm) or not np.isfinite(self.velocity_m_s).all():
            raise DataError(f"simpleFoam found no flow in {self.folder}; take smaller cells, or look at its log there")
        said = (self.folder / "log.simpleFoam").read_text()[-6000:]
        self.residual = max(float(value) for value in re.findall(r"Initial residual = ([\d.e+-]+)", said)[-5:])
        phi = (last / "phi").read_text()
        self.flow = np.array([patch_sum(phi, name, len(f.owner)) for name, f in zip(self.names, self.faces, strict=True)])
        planes = zip(self.lumen.openings, self.faces, strict=True)
        self.pressure = np.array([self._plane_pressure(opening, faces) for opening, faces in planes])
        return self.flow, self.pressure

    def _plane_pressure(self, opening: Opening, faces: Face) -> float:
        """Return the area's mean pressure at the plane: that of the cells behind its faces, taken on along the gradient."""
        height = (self.points_mm - opening.centre_mm) @ opening.normal
        away = np.linalg.norm(self.points_mm - opening.centre_mm - height[:, None] * opening.normal, axis=1)
        near = (height > -4 * self.how.cell_mm) & (height < 0) & (away < 2 * opening.radius_mm)
        slope = np.polyfit(height[near], self.pressure_pa[near], 1, w=np.sqrt(self.volume_mm3[near]))[0]
        area = np.linalg.norm(faces.area_m2, axis=1)
        return float((area * (self.pressure_pa[faces.owner] - slope * height[faces.owner])).sum() / area.sum())

    def _run(self, *command: str, progress: str | None = None) -> None:
        self.cpu_seconds += run(self.folder, *command, progress=progress)

    def solution(self, level_pa: float) -> FoamSolution:
        """Return the last flow; ``level_pa`` is the pressure at zero of its fields."""
        return FoamSolution(
            points_mm=self.points_mm,
            volume_mm3=self.volume_mm3,
            side_mm=self.how.cell_mm,
            velocity_m_s=self.velocity_m_s,
            pressure_pa=level_pa + self.pressure_pa,
            openings=self.lumen.openings,
            flow_m3_s=self.flow,
            opening_pa=level_pa + self.pressure,
            iterations=self.iterations,
            residual=self.residual,
            cpu_seconds=self.cpu_seconds,
        )


def _take_inside(path: Path, old: str) -> None:
    """Give a field that was written at rest the values in the cells of ``old``."""
    new = path.read_text()
    inside = old[old.index("internalField") : old.index("boundaryField")]
    path.write_text(new[: new.index("internalField")] + inside + new[new.index("boundaryField") :])
