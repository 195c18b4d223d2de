"""The lumen of a labelled volume: 1 is lumen, 2 the face where blood comes in, 3 and up faces where it goes out.

A face is the layer of voxels at a cut end; the opening is a plane through its middle, across the vessel.  Without faces
the ends are looked for: where the lumen meets the border of the volume, or else where its branches end.

The surface is that of the mask smoothed by a Gaussian and a weaker negative one that is wider: a Gaussian alone moves the
wall of a vessel of radius R inwards by sigma^2 / 2R, which the other takes back (``STEADY``).
Arrays are (Z, Y, X); points are (N, 3) LPS mm.

References
----------
Taubin, *A signal processing approach to fair surface design*, SIGGRAPH 95:351, on smoothing without shrinkage.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.measure import marching_cubes

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.cut import cut_open
from algorithms.coronary.geometry.labelled_ends import End, found_ends, labelled_ends
from algorithms.coronary.geometry.open_surface import open_ends, require_sound
from algorithms.coronary.geometry.plausible import require_plausible_radius_mm
from algorithms.coronary.geometry.surface import Plan, SurfaceLumen, inlet_names, lumen_of

GZIP_MAGIC = b"\x1f\x8b"

FINE = 2
"""Each voxel is split so often along each axis before smoothing: chords of whole voxels would narrow the vessel."""

SMOOTH_VOXELS = 1.0
"""Width of the Gaussian, in the longest side of a voxel: the steps of the mask are gone, a bend of 3 voxels is not."""

END_VOXELS = 3.0
"""So far from its end a smoothed mask is round; there it is cut, and goes on straight to the opening."""

STEADY = 1 / (np.sqrt(2) - 1)
"""Where the wall has the curvature k, a Gaussian lowers the mask's one half by sigma k / sqrt(8 pi), and the same Gaussian
twice by sqrt(2) as much: (1 + w) G - w G^2 leaves the wall in its place for 1 + w = sqrt(2) w."""

THIN_VOXELS = 1.4
"""In a vessel three voxels across the middle voxel is at least this far from the nearest voxel outside."""


@dataclass(frozen=True, eq=False)
class LabelVolume:
    """Labels (Z, Y, X) with their place: ``spacing_mm`` (z, y, x), ``axes`` (3, 3) the columns of x, y and z, LPS."""

    labels: np.ndarray
    spacing_mm: np.ndarray
    origin_mm: np.ndarray
    axes: np.ndarray

    def points_mm(self, index: np.ndarray) -> np.ndarray:
        """Return the (N, 3) LPS mm of continuous voxel indices (N, 3) as (z, y, x)."""
        return np.asarray(self.origin_mm + ((index * self.spacing_mm)[:, ::-1]) @ self.axes.T)


def read_labels(path: Path) -> LabelVolume:
    """Return the labels in a NIfTI file.

    Raises
    ------
    DataError
        If it cannot be read, or holds something else than whole numbers in three dimensions.
    """
    import SimpleITK

    with tempfile.TemporaryDirectory() as folder:
        # SimpleITK believes the name, and we know what is in the file.
        with path.open("rb") as file:
            packed = file.read(2) == GZIP_MAGIC
        named = Path(folder) / ("labels.nii.gz" if packed else "labels.nii")
        named.symlink_to(path.resolve())
        try:
            image = SimpleITK.ReadImage(str(named))
        except RuntimeError:
            raise DataError("the NIfTI file cannot be read; it may be cut short, send it again") from None
    values = SimpleITK.GetArrayFromImage(image)
    if values.ndim != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise DataError(f"the NIfTI file has {values.ndim} dimensions, wanted a volume of labels in 3")
    labels = np.rint(values)
    if not np.isfinite(values).all() or np.abs(values - labels).max() > 1e-3 or labels.min() < 0:
        raise DataError(
            "the NIfTI file has values that are no labels, wanted 0, 1 for lumen, 2 for the inlet, 3 and up outlets"
        )
    axes = np.asarray(image.GetDirection()).reshape(3, 3)
    return LabelVolume(labels.astype(np.int32), np.array(image.GetSpacing()[::-1]), np.array(image.GetOrigin()), axes)


def labelled_lumen(
    volume: LabelVolume, *, inlet: str | None = None, inlet_diameters: float = 0.0, outlet_diameters: float = 0.0
) -> SurfaceLumen:
    """Return the lumen of a labelled volume.

    Parameters
    ----------
    volume
        Labels; the lumen in one piece.
    inlet
        Name of the opening where blood comes in, where the labels do not say.
    inlet_diameters, outlet_diameters
        Length of the straight extensions at the inlets and the outlets, in diameters of the opening, >= 0.

    Returns
    -------
    SurfaceLumen
        The opening of label 2 is ``inlet``, that of label n is ``outlet n``; ends that were found are numbered by their
        size, and a doubt says that they were found.

    Raises
    ------
    DataError
        If there is no lumen, it is in pieces, thinner than three voxels or not of a vessel's size; if there are faces but
        no inlet, or fewer than two ends; if the vessel is too short or runs along the border at an end.
    """
    mask = volume.labels > 0
    _require_one_vessel(mask)
    _require_thick(mask, volume)
    ends = labelled_ends(volume.labels, volume.spacing_mm)
    doubts: list[str] = []
    extra = found_ends(mask, volume.spacing_mm, ends)
    for end in extra:
        where = "where the volume's border cuts the lumen" if end.border is not None else "where a branch of the label ends"
        doubts.append(f"{end.name} was not labelled; it was put {where}")
    ends = [*ends, *extra]
    inlets = [end.name for end in ends if end.inlet] if inlet is None else inlet_names([end.name for end in ends], inlet)
    vertices, faces = smooth_surface(mask, volume)
    cuts = [_cut_place(end, volume) for end in ends]
    for centre, normal, _ in cuts:
        vertices, faces = cut_open(vertices, faces, centre, normal)
    require_sound(vertices, faces)
    plans = []
    rims = open_ends(vertices, faces)
    for end, (centre, _, short) in zip(ends, cuts, strict=True):
        rim = min(rims, key=lambda r: float(np.linalg.norm(r.centre_mm - centre)))
        diameters = inlet_diameters if end.name in inlets else outlet_diameters
        plans.append(Plan(rim, end.name, end.name in inlets, short + 2 * rim.radius_mm * diameters))
    if len({id(plan.end) for plan in plans}) < len(ends) or len(rims) != len(ends):
        raise DataError(
            f"{len(ends)} openings gave {len(rims)} open ends: some lie in one another or across a branch; "
            "label faces apart from each other, each across one vessel"
        )
    return lumen_of(vertices, faces, plans, doubts)


def smooth_surface(mask: np.ndarray, volume: LabelVolume) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (V, 3) LPS mm and faces (F, 3) of the smoothed mask, seen counter-clockwise from outside."""
    sigma_mm = SMOOTH_VOXELS * float(volume.spacing_mm.max())
    margin = np.ceil(5 * sigma_mm / volume.spacing_mm).astype(int)
    box = [
        slice(max(s.start - m, 0), s.stop + m)
        for s, m in zip(ndimage.find_objects(mask.astype(np.uint8))[0], margin, strict=True)
    ]
    start = np.array([s.start for s in box])
    # Beyond the border the vessel goes on: rounded there, it would be too narrow where it is cut.
    part = np.pad(mask[tuple(box)], [(m, m) for m in margin], mode="edge")
    fine = np.pad(part, 1).astype(np.float32)
    for axis in range(3):
        fine = np.repeat(fine, FINE, axis=axis)
    sigma = FINE * sigma_mm / volume.spacing_mm
    once = ndimage.gaussian_filter(fine, sigma)
    smooth = (1 + STEADY) * once - STEADY * ndimage.gaussian_filter(once, sigma)
    vertices, faces, _, _ = marching_cubes(smooth, 0.5)  # type: ignore[no-untyped-call]
    index = (vertices + 0.5) / FINE - 0.5 - 1 - margin + start
    # From (z, y, x) to (x, y, z) a triangle turns inside out, and so it does in a left-handed volume.
    turned = faces if np.linalg.det(volume.axes) < 0 else faces[:, ::-1]
    if _volume(points := volume.points_mm(index), turned) < 0:
        turned = turned[:, ::-1]
    return points, turned.astype(np.int64)


def _volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]] - vertices.mean(axis=0) for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def _require_one_vessel(mask: np.ndarray) -> None:
    pieces, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    if not count:
        raise DataError("no voxel is labelled, wanted 1 for the lumen; check which file was given")
    if count > 1:
        sizes = np.sort(np.bincount(pieces.ravel())[1:])[::-1]
        raise DataError(
            f"the lumen is in {count} pieces of {', '.join(map(str, sizes[:4]))} voxels, wanted one; "
            "remove the islands or close the gap"
        )


def _require_thick(mask: np.ndarray, volume: LabelVolume) -> None:
    # Beyond the border the vessel goes on; a volume's border is no wall.
    inside = ndimage.distance_transform_edt(np.pad(mask, 3, mode="edge"))[3:-3, 3:-3, 3:-3]
    core = inside >= THIN_VOXELS
    reach = ndimage.distance_transform_edt(~core) if core.any() else np.full(mask.shape, np.inf)
    # What is no farther from the core than the core is from the wall belongs to it: corners of a cut end do.
    thin = np.argwhere(mask & (reach > 2 * END_VOXELS))
    if not core.any() or len(thin):
        where = volume.points_mm(thin[:1] if len(thin) else np.argwhere(mask)[:1])[0]
        raise DataError(
            f"the lumen is less than three voxels across at ({where[0]:.1f}, {where[1]:.1f}, {where[2]:.1f}) mm, too thin for "
            "its wall to be known; label it on a finer grid or cut the vessel before it"
        )
    radius_mm = inside.max() * float(np.min(volume.spacing_mm))
    require_plausible_radius_mm(np.array([radius_mm]), "the lumen")


def _cut_place(end: End, volume: LabelVolume) -> tuple[np.ndarray, np.ndarray, float]:
    """Return centre and outward normal of the plane where the smoothed surface is cut, and how far before the opening it is."""
    centre = volume.points_mm(end.index[None])[0]
    normal = volume.points_mm((end.index + end.outward / volume.spacing_mm)[None])[0] - centre
    back = END_VOXELS * float(volume.spacing_mm.max())
    shift = 0.0
    if end.border is not None:
        # Across the vessel, all of the cut lies within the volume.
        slope = float(abs(end.outward @ end.border))
        if slope < 0.35:
            raise DataError(f"the lumen runs along the volume's border at {end.name}; cut the vessel there or crop less")
        shift = end.radius_mm * np.sqrt(1 - slope**2) / slope
    return centre - (shift + back) * normal, normal, back
