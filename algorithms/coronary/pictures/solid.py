"""Draw vessel tubes with VTK, off screen.  Run as a program of its own, because VTK ends the process where it cannot draw.

``python -P solid.py FOLDER`` reads ``scene.npz`` there and writes ``view-0.npy`` (H, W, 3) uint8 and so on.
Exit 0: drawn; exit 3: this machine gives no off-screen context.  Points are (N, 3) LPS mm.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

EXIT_NO_CONTEXT = 3

SKIN_MM = 8.0
"""How far the heart is moved away from the viewer before it hides a vessel: what lies on its skin is not behind it."""

HIDDEN_PALENESS = 0.55
"""How much of the way to white a vessel behind the heart goes."""

CORNERS = 28
"""Corners of a vessel's cross-section, where the scene does not say."""

GHOST_OPACITY = 0.30
"""How dark the heart's shade is: seen, and no more."""


def main(folder: Path) -> int:
    """Draw the scene in ``folder``; return the exit code."""
    from vtkmodules import vtkInteractionStyle, vtkRenderingOpenGL2  # noqa: F401  (registers the OpenGL classes)
    from vtkmodules.vtkRenderingCore import vtkRenderWindow

    with np.load(folder / "scene.npz") as stored:
        scene = {name: stored[name] for name in stored.files}
    window = vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(8)
    window.SetAlphaBitPlanes(1)
    window.SetSize(*(int(n) for n in scene["sizes"][0]))
    if not window.SupportsOpenGL():
        return EXIT_NO_CONTEXT
    tubes, heart = [*_tubes(scene), *_skins(scene)], _ghosts(scene)
    for number, view in enumerate(scene["views"]):
        window.SetSize(*(int(n) for n in scene["sizes"][number]))
        drawn = _photograph(window, tubes, view, float(scene["height_mm"]))
        if drawn.min() == drawn.max():
            return EXIT_NO_CONTEXT
        if heart:
            alone = _photograph(window, heart, view, float(scene["height_mm"]))
            for actor in heart:
                actor.SetPosition(*(-SKIN_MM * np.cross(view[0], view[1])))
            both = _photograph(window, [*tubes, *heart], view, float(scene["height_mm"]))
            for actor in heart:
                actor.SetPosition(0, 0, 0)
            drawn = _mixed(drawn, alone, both)
        np.save(folder / f"view-{number}.npy", drawn[..., :3])
    return 0


def _tubes(scene: Mapping[str, np.ndarray]) -> list[Any]:
    actors = []
    corners = int(scene["corners"]) if "corners" in scene else CORNERS
    for index in range(int(scene["branches"])):
        points, radius, colour = (scene[f"{name}_{index}"] for name in ("points", "radius", "colour"))
        actors.append(_tube(points, radius, colour, corners))
        actors += [_ball(points[end], radius[end], colour[end], corners) for end in (0, -1)]
    return actors


def _skins(scene: Mapping[str, np.ndarray]) -> list[Any]:
    names = sorted(name.removesuffix("_points") for name in scene if name.startswith("skin_") and name.endswith("_points"))
    return [_skin(scene[f"{name}_points"], scene[f"{name}_faces"], scene[f"{name}_colour"]) for name in names]


def _ghosts(scene: Mapping[str, np.ndarray]) -> list[Any]:
    names = sorted(name.removesuffix("_points") for name in scene if name.startswith("ghost_") and name.endswith("_points"))
    return [_ghost(scene[f"{name}_points"], scene[f"{name}_faces"]) for name in names]


def _mixed(drawn: np.ndarray, heart: np.ndarray, both: np.ndarray) -> np.ndarray:
    """Return vessels (H, W, 4) on the heart's shade, (H, W, 3), paler where the heart hides them.

    The shade falls on the paper and not on the vessels: the colour of a vessel in front means the same everywhere.
    """
    paper = 1 - drawn[..., 3:] / 255.0
    shaded = drawn[..., :3] - GHOST_OPACITY * (255.0 - heart[..., :3]) * paper
    covered = np.abs(drawn[..., :3].astype(float) - both[..., :3]).max(axis=2, keepdims=True) > 8
    faded = np.where(covered, shaded + HIDDEN_PALENESS * (255.0 - shaded) * (1 - paper), shaded)
    return np.asarray(faded.round().astype(np.uint8))


def _photograph(window: Any, actors: list[Any], view: np.ndarray, height_mm: float) -> np.ndarray:
    """Return what ``actors`` look like in ``window`` on white, (H, W, 4) uint8; the last is how much of a pixel they cover."""
    from vtkmodules.util import numpy_support
    from vtkmodules.vtkRenderingCore import vtkRenderer, vtkWindowToImageFilter

    renderer = vtkRenderer()
    renderer.SetBackground(1, 1, 1)
    renderer.SetBackgroundAlpha(0.0)
    for actor in actors:
        renderer.AddActor(actor)
    window.AddRenderer(renderer)
    right, up, centre = view
    _aim(renderer.GetActiveCamera(), right, up, centre, height_mm)
    renderer.ResetCameraClippingRange()
    window.Render()
    grab = vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    grab.SetInputBufferTypeToRGBA()
    grab.Update()
    window.RemoveRenderer(renderer)
    width, height = window.GetSize()
    flat = numpy_support.vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
    return np.array(flat.reshape(height, width, 4)[::-1])


def _aim(camera: Any, right: np.ndarray, up: np.ndarray, centre: np.ndarray, height_mm: float) -> None:
    towards = np.cross(right, up)
    camera.ParallelProjectionOn()
    camera.SetFocalPoint(*centre)
    camera.SetPosition(*(centre + 500 * towards))
    camera.SetViewUp(*up)
    camera.SetParallelScale(height_mm / 2)


def _array(values: np.ndarray) -> Any:
    from vtkmodules.util import numpy_support

    return numpy_support.numpy_to_vtk(np.ascontiguousarray(values), deep=True)


def _tube(points_mm: np.ndarray, radius_mm: np.ndarray, colour: np.ndarray, corners: int) -> Any:
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
    from vtkmodules.vtkFiltersCore import vtkTubeFilter
    from vtkmodules.vtkRenderingCore import vtkPolyDataMapper

    points = vtkPoints()
    points.SetData(_array(points_mm))
    lines = vtkCellArray()
    lines.InsertNextCell(len(points_mm))
    for i in range(len(points_mm)):
        lines.InsertCellPoint(i)
    line = vtkPolyData()
    line.SetPoints(points)
    line.SetLines(lines)
    radius = _array(radius_mm)
    radius.SetName("radius")
    shade = _array(colour)
    shade.SetName("colour")
    line.GetPointData().AddArray(shade)
    line.GetPointData().SetScalars(radius)
    tube = vtkTubeFilter()
    tube.SetInputData(line)
    tube.SetNumberOfSides(corners)
    tube.SetVaryRadiusToVaryRadiusByAbsoluteScalar()
    tube.CappingOn()
    mapper = vtkPolyDataMapper()
    mapper.SetInputConnection(tube.GetOutputPort())
    mapper.SetScalarModeToUsePointFieldData()
    mapper.SelectColorArray("colour")
    return _actor(mapper)


def _ball(centre_mm: np.ndarray, radius_mm: float, colour: np.ndarray, corners: int) -> Any:
    from vtkmodules.vtkFiltersSources import vtkSphereSource
    from vtkmodules.vtkRenderingCore import vtkPolyDataMapper

    ball = vtkSphereSource()
    ball.SetCenter(*(float(v) for v in centre_mm))
    ball.SetRadius(float(radius_mm))
    ball.SetThetaResolution(corners)
    ball.SetPhiResolution(corners)
    mapper = vtkPolyDataMapper()
    mapper.SetInputConnection(ball.GetOutputPort())
    mapper.ScalarVisibilityOff()
    actor = _actor(mapper)
    actor.GetProperty().SetColor(*(colour[:3] / 255.0))
    return actor


def _actor(mapper: Any) -> Any:
    from vtkmodules.vtkRenderingCore import vtkActor

    actor = vtkActor()
    actor.SetMapper(mapper)
    look = actor.GetProperty()
    look.SetInterpolationToPhong()
    look.SetAmbient(0.30)
    look.SetDiffuse(0.72)
    look.SetSpecular(0.22)
    look.SetSpecularPower(26)
    return actor


def _surface(points_mm: np.ndarray, faces: np.ndarray) -> Any:
    from vtkmodules.util import numpy_support
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData

    points = vtkPoints()
    points.SetData(_array(points_mm))
    cells = vtkCellArray()
    threes = np.hstack([np.full((len(faces), 1), 3), faces]).astype(np.int64)
    cells.ImportLegacyFormat(numpy_support.numpy_to_vtkIdTypeArray(threes.ravel(), deep=True))
    surface = vtkPolyData()
    surface.SetPoints(points)
    surface.SetPolys(cells)
    return surface


def _skin(points_mm: np.ndarray, faces: np.ndarray, colour: np.ndarray) -> Any:
    from vtkmodules.vtkFiltersCore import vtkPolyDataNormals
    from vtkmodules.vtkRenderingCore import vtkPolyDataMapper

    surface = _surface(points_mm, faces)
    shade = _array(colour)
    shade.SetName("colour")
    surface.GetPointData().SetScalars(shade)
    normals = vtkPolyDataNormals()
    normals.SetInputData(surface)
    normals.SplittingOff()
    mapper = vtkPolyDataMapper()
    mapper.SetInputConnection(normals.GetOutputPort())
    actor = _actor(mapper)
    # Where colour is a number it is shaded little and does not shine.
    look = actor.GetProperty()
    look.SetAmbient(0.55)
    look.SetDiffuse(0.50)
    look.SetSpecular(0.0)
    return actor


def _ghost(points_mm: np.ndarray, faces: np.ndarray) -> Any:
    from vtkmodules.vtkFiltersCore import vtkPolyDataNormals, vtkWindowedSincPolyDataFilter
    from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

    smooth = vtkWindowedSincPolyDataFilter()
    smooth.SetInputData(_surface(points_mm, faces))
    smooth.SetNumberOfIterations(30)
    smooth.SetPassBand(0.02)
    smooth.NormalizeCoordinatesOn()
    normals = vtkPolyDataNormals()
    normals.SetInputConnection(smooth.GetOutputPort())
    normals.SplittingOff()
    mapper = vtkPolyDataMapper()
    mapper.SetInputConnection(normals.GetOutputPort())
    mapper.ScalarVisibilityOff()
    actor = vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(0.62, 0.68, 0.75)
    return actor


def describe(scene: Mapping[str, Any], folder: Path) -> None:
    """Write ``scene`` where :func:`main` reads it."""
    np.savez(folder / "scene.npz", **scene)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
