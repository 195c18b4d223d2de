"""The files of an OpenFOAM case: surface, grid, numerics, and fields at the start.

Lengths are metres and pressures are over density there, as its incompressible solvers want them; here they are mm and Pa.
Written for the releases of openfoam.com (tried with 1912).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from algorithms.coronary.lattice.conditions import Fluid
from algorithms.coronary.openfoam.surface import WALL, Patches

M_PER_MM = 1e-3

SURFACE = "lumen"


@dataclass(frozen=True)
class Numerics:
    """How a case is meshed and solved."""

    cell_mm: float
    """Side of the cubic cells before those next to the wall are moved onto it."""
    wall_level: int = 0
    """How many times cells at the wall are halved."""
    residual: float = 1e-6
    """Of momentum and pressure, at which iterating ends."""
    most_iterations: int = 1500
    processes: int = 1
    """Above 1 the grid is decomposed and the solver is started by mpirun."""


def write_case(folder: Path, patches: Patches, fluid: Fluid, how: Numerics) -> None:
    """Write all but the fields at the start, which need the faces of the grid."""
    _write_surface(folder / "constant" / "triSurface", patches)
    _write(folder / "system" / "blockMeshDict", "dictionary", _background(patches, how.cell_mm))
    _write(folder / "system" / "snappyHexMeshDict", "dictionary", _snapping(patches, how))
    _write(folder / "system" / "controlDict", "dictionary", CONTROL.format(iterations=how.most_iterations))
    _write(folder / "system" / "fvSchemes", "dictionary", SCHEMES)
    _write(folder / "system" / "fvSolution", "dictionary", SOLUTION.format(residual=how.residual))
    _write(folder / "system" / "decomposeParDict", "dictionary", _parts(patches, how.processes))
    nu = f"transportModel Newtonian;\nnu {fluid.kinematic_m2_s:.9g};\n"
    _write(folder / "constant" / "transportProperties", "dictionary", nu)
    _write(folder / "constant" / "turbulenceProperties", "dictionary", "simulationType laminar;\n")


def write_fields(folder: Path, velocity: dict[str, np.ndarray | None], pressure: dict[str, float | None]) -> None:
    """Write velocity (m/s) and pressure (over density) at rest, with what holds at the openings.

    Parameters
    ----------
    folder
        The case's folder of the time at which the solver starts.
    velocity
        (F, 3) on the faces of each opening where it is given; None where it follows from the pressure.
    pressure
        Of each opening where it is given; None elsewhere.
    """
    faces = {name: _velocity(values) for name, values in velocity.items()}
    _write(folder / "U", "volVectorField", _field("[0 1 -1 0 0 0 0]", "(0 0 0)", faces | {WALL: "type noSlip;"}))
    levels = {name: _pressure(value) for name, value in pressure.items()}
    _write(folder / "p", "volScalarField", _field("[0 2 -2 0 0 0 0]", "0", levels | {WALL: "type zeroGradient;"}))


def _velocity(values: np.ndarray | None) -> str:
    if values is None:
        return "type zeroGradient;"
    return f"type fixedValue; value nonuniform List<vector> {_vectors(values)};"


def _pressure(value: float | None) -> str:
    return "type zeroGradient;" if value is None else f"type fixedValue; value uniform {value:.12g};"


def _vectors(values: np.ndarray) -> str:
    return f"{len(values)}\n(\n" + "\n".join("({:.9g} {:.9g} {:.9g})".format(*row) for row in values) + "\n)\n"


def _field(dimensions: str, start: str, patches: dict[str, str]) -> str:
    body = "\n".join(f"{name} {{ {text} }}" for name, text in patches.items())
    return f"dimensions {dimensions};\ninternalField uniform {start};\nboundaryField\n{{\n{body}\n}}\n"


def _write(path: Path, kind: str, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = f"FoamFile {{ version 2.0; format ascii; class {kind}; object {path.name}; }}\n"
    path.write_text(header + body)


def _write_surface(folder: Path, patches: Patches) -> None:
    """Write an STL of named solids, and the rims between them as an edge mesh."""
    folder.mkdir(parents=True, exist_ok=True)
    points = patches.points_mm * M_PER_MM
    lines = []
    for name, corners in patches.faces.items():
        a, b, c = points[corners].transpose(1, 0, 2)
        normal = np.cross(b - a, c - a)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
        lines.append(f"solid {name}")
        for n, *triangle in zip(normal, a, b, c, strict=True):
            lines.append("facet normal {:.6g} {:.6g} {:.6g}\nouter loop".format(*n))
            lines += ["vertex {:.9g} {:.9g} {:.9g}".format(*point) for point in triangle]
            lines.append("endloop\nendfacet")
        lines.append(f"endsolid {name}")
    (folder / f"{SURFACE}.stl").write_text("\n".join(lines) + "\n")
    used, edges = np.unique(patches.rims, return_inverse=True)
    rims = ["v {:.9g} {:.9g} {:.9g}".format(*point) for point in points[used]]
    rims += [f"l {a + 1} {b + 1}" for a, b in edges.reshape(-1, 2)]
    (folder / "rims.obj").write_text("\n".join(rims) + "\n")


def _background(patches: Patches, cell_mm: float) -> str:
    """Return a box of cubic cells around the surface."""
    low = patches.points_mm.min(axis=0) - 1.5 * cell_mm
    counts = np.ceil((patches.points_mm.max(axis=0) + 1.5 * cell_mm - low) / cell_mm).astype(int)
    high = low + cell_mm * counts
    x, y, z = ([a, b] for a, b in zip(low, high, strict=True))
    corners = [(x[i], y[j], z[k]) for k in (0, 1) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
    vertices = " ".join("({:.9g} {:.9g} {:.9g})".format(*corner) for corner in corners)
    cells = "({} {} {})".format(*counts)
    return (
        f"scale {M_PER_MM};\nvertices ({vertices});\n"
        f"blocks (hex (0 1 2 3 4 5 6 7) {cells} simpleGrading (1 1 1));\nedges ();\nboundary ();\nmergePatchPairs ();\n"
    )


def _parts(patches: Patches, processes: int) -> str:
    """Return slices across the longest side of the box: Debian's package has no library that cuts better."""
    counts = np.ones(3, int)
    counts[np.argmax(np.ptp(patches.points_mm, axis=0))] = processes
    slices = "({} {} {})".format(*counts)
    return f"numberOfSubdomains {processes};\nmethod simple;\nsimpleCoeffs {{ n {slices}; delta 0.001; }}\n"


def _snapping(patches: Patches, how: Numerics) -> str:
    openings = [name for name in patches.faces if name != WALL]
    regions = " ".join(f"{name} {{ name {name}; }}" for name in patches.faces)
    levels = " ".join(
        f"{name} {{ level ({how.wall_level} {how.wall_level}); patchInfo {{ type patch; }} }}" for name in openings
    )
    inside = "({:.9g} {:.9g} {:.9g})".format(*(patches.inside_mm * M_PER_MM))
    return SNAPPING.format(surface=SURFACE, regions=regions, levels=levels, wall=WALL, level=how.wall_level, inside=inside)


CONTROL = """application simpleFoam;
startFrom latestTime;
startTime 0;
stopAt endTime;
endTime {iterations};
deltaT 1;
writeControl timeStep;
writeInterval {iterations};
purgeWrite 2;
writeFormat ascii;
writePrecision 12;
timeFormat general;
timePrecision 9;
runTimeModifiable false;
"""

SCHEMES = """ddtSchemes { default steadyState; }
gradSchemes { default Gauss linear; }
divSchemes
{
    default none;
    div(phi,U) bounded Gauss linearUpwind grad(U);
    div((nuEff*dev2(T(grad(U))))) Gauss linear;
}
laplacianSchemes { default Gauss linear corrected; }
interpolationSchemes { default linear; }
snGradSchemes { default corrected; }
"""

SOLUTION = """solvers
{{
    p {{ solver GAMG; smoother GaussSeidel; tolerance 1e-12; relTol 0.05; }}
    U {{ solver smoothSolver; smoother symGaussSeidel; tolerance 1e-12; relTol 0.1; }}
}}
SIMPLE
{{
    consistent yes;
    nNonOrthogonalCorrectors 1;
    residualControl {{ p {residual:g}; U {residual:g}; }}
}}
relaxationFactors {{ equations {{ U 0.9; }} }}
"""

SNAPPING = """castellatedMesh true;
snap true;
addLayers false;
geometry {{ {surface} {{ type triSurfaceMesh; file "{surface}.stl"; regions {{ {regions} }} }} }}
castellatedMeshControls
{{
    maxLocalCells 50000000;
    maxGlobalCells 50000000;
    minRefinementCells 0;
    maxLoadUnbalance 0.1;
    nCellsBetweenLevels 3;
    features ( {{ file "rims.obj"; level 0; }} );
    refinementSurfaces
    {{
        {surface}
        {{
            level ({level} {level});
            patchInfo {{ type wall; }}
            regions {{ {levels} }}
        }}
    }}
    resolveFeatureAngle 30;
    refinementRegions {{}}
    locationInMesh {inside};
    allowFreeStandingZoneFaces true;
}}
snapControls
{{
    nSmoothPatch 3;
    tolerance 2.0;
    nSolveIter 60;
    nRelaxIter 5;
    nFeatureSnapIter 15;
    implicitFeatureSnap false;
    explicitFeatureSnap true;
    multiRegionFeatureSnap true;
}}
addLayersControls
{{
    relativeSizes true;
    layers {{}}
    expansionRatio 1.2;
    finalLayerThickness 0.3;
    minThickness 0.1;
    nGrow 0;
    featureAngle 60;
    nRelaxIter 3;
    nSmoothSurfaceNormals 1;
    nSmoothNormals 3;
    nSmoothThickness 10;
    maxFaceThicknessRatio 0.5;
    maxThicknessToMedialRatio 0.3;
    minMedianAxisAngle 90;
    nBufferCellsNoExtrude 0;
    nLayerIter 50;
}}
meshQualityControls
{{
    maxNonOrtho 65;
    maxBoundarySkewness 20;
    maxInternalSkewness 4;
    maxConcave 80;
    minVol 1e-30;
    minTetQuality 1e-30;
    minArea -1;
    minTwist 0.02;
    minDeterminant 0.001;
    minFaceWeight 0.05;
    minVolRatio 0.01;
    minTriangleTwist -1;
    nSmoothScale 4;
    errorReduction 0.75;
    relaxed {{ maxNonOrtho 75; }}
}}
mergeTolerance 1e-6;
"""
