"""Draw vessel tubes with VTK, off screen.  Run as a program of its own, because VTK ends the process where it cannot draw.

``python -P pictures_vtk.py FOLDER`` reads ``scene.npz`` there and writes ``view-0.npy`` (H, W, 3) uint8 and so on.
Exit 0: drawn; exit 3: this machine gives no off-screen context.  Points are (N, 3) LPS mm.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

EXIT_NO_CONTEXT = 3


def main(folder: Path) -> int:
    """Draw the scene in ``folder``; return the exit code."""
    from vtkmodules import vtkInteractionStyle, vtkRenderingOpenGL2  # noqa: F401  (registers the OpenGL classes)
    from vtkmodules.util import numpy_support
    from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow, vtkWindowToImageFilter

    with np.load(folder / "scene.npz") as stored:
        scene = {name: stored[name] for name in stored.files}
    renderer = vtkRenderer()
    renderer.SetBackground(1, 1, 1)
    for index in range(int(scene["branches"])):
        renderer.AddActor(_tube(scene[f"points_{index}"], scene[f"radius_{index}"], scene[f"colour_{index}"]))
        for end in (0, -1):
            renderer.AddActor(
                _ball(scene[f"points_{index}"][end], scene[f"radius_{index}"][end], scene[f"colour_{index}"][end])
            )
    for name in ("ghost_aorta", "ghost_heart"):
        if f"{name}_points" in scene:
            renderer.AddActor(_ghost(scene[f"{name}_points"], scene[f"{name}_faces"], 0.16 if name == "ghost_aorta" else 0.10))
    width, height = (int(n) for n in scene["size"])
    window = vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(8)
    window.SetAlphaBitPlanes(1)
    window.SetSize(width, height)
    window.AddRenderer(renderer)
    if not window.SupportsOpenGL():
        return EXIT_NO_CONTEXT
    for number, (right, up, centre) in enumerate(scene["views"]):
        _aim(renderer.GetActiveCamera(), right, up, centre, float(scene["height_mm"]))
        renderer.ResetCameraClippingRange()
        window.Render()
        grab = vtkWindowToImageFilter()
        grab.SetInput(window)
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        pixels = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())  # type: ignore[no-untyped-call]
        pixels = pixels.reshape(height, width, -1)[::-1, :, :3]
        if pixels.min() == pixels.max():
            return EXIT_NO_CONTEXT
        np.save(folder / f"view-{number}.npy", np.ascontiguousarray(pixels))
    return 0


def _aim(camera: Any, right: np.ndarray, up: np.ndarray, centre: np.ndarray, height_mm: float) -> None:
    towards = np.cross(right, up)
    camera.ParallelProjectionOn()
    camera.SetFocalPoint(*centre)
    camera.SetPosition(*(centre + 500 * towards))
    camera.SetViewUp(*up)
    camera.SetParallelScale(height_mm / 2)


def _array(values: np.ndarray) -> Any:
    from vtkmodules.util import numpy_support

    return numpy_support.numpy_to_vtk(np.ascontiguousarray(values), deep=True)  # type: ignore[no-untyped-call]


def _tube(points_mm: np.ndarray, radius_mm: np.ndarray, colour: np.ndarray) -> Any:
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
    tube.SetNumberOfSides(28)
    tube.SetVaryRadiusToVaryRadiusByAbsoluteScalar()
    tube.CappingOn()
    mapper = vtkPolyDataMapper()
    mapper.SetInputConnection(tube.GetOutputPort())
    mapper.SetScalarModeToUsePointFieldData()
    mapper.SelectColorArray("colour")
    return _actor(mapper)


def _ball(centre_mm: np.ndarray, radius_mm: float, colour: np.ndarray) -> Any:
    from vtkmodules.vtkFiltersSources import vtkSphereSource
    from vtkmodules.vtkRenderingCore import vtkPolyDataMapper

    ball = vtkSphereSource()
    ball.SetCenter(*(float(v) for v in centre_mm))
    ball.SetRadius(float(radius_mm))
    ball.SetThetaResolution(28)
    ball.SetPhiResolution(28)
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


def _ghost(points_mm: np.ndarray, faces: np.ndarray, opacity: float) -> Any:
    from vtkmodules.util import numpy_support
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
    from vtkmodules.vtkFiltersCore import vtkPolyDataNormals, vtkWindowedSincPolyDataFilter
    from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

    points = vtkPoints()
    points.SetData(_array(points_mm))
    cells = vtkCellArray()
    threes = np.hstack([np.full((len(faces), 1), 3), faces]).astype(np.int64)
    cells.SetCells(len(faces), numpy_support.numpy_to_vtkIdTypeArray(threes.ravel(), deep=True))  # type: ignore[no-untyped-call]
    surface = vtkPolyData()
    surface.SetPoints(points)
    surface.SetPolys(cells)
    smooth = vtkWindowedSincPolyDataFilter()
    smooth.SetInputData(surface)
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
    actor.GetProperty().SetColor(0.55, 0.60, 0.66)
    actor.GetProperty().SetOpacity(opacity)
    actor.GetProperty().BackfaceCullingOn()
    return actor


def describe(scene: Mapping[str, Any], folder: Path) -> None:
    """Write ``scene`` where :func:`main` reads it."""
    np.savez(folder / "scene.npz", **scene)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
