"""A folder of CT images as a volume of Hounsfield units.

The files are those that `algorithms.dicom.privacy` wrote: their headers were parsed once in confinement.
Arrays are (Z, Y, X) with z from feet to head, y from front to back, x from right to left (LPS).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.dicom.geometry import Grid, Slice, axial_grid
from algorithms.dicom.headers import Header, read_header

RAW_TRANSFER_SYNTAXES = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"})
"""Implicit and Explicit VR Little Endian."""

AIR_HU = -1024
"""Floor of the volume: padding outside the field of view is written as -2000 or -3024 by some scanners."""

LARGEST_MATRIX = 1024
"""Rows or columns; CT is reconstructed to 512, 768 or 1024."""


def read_headers(folder: Path) -> list[Header]:
    """Return the headers of the DICOM files in ``folder``, in the order of their names."""
    headers: list[Header] = []
    for path in sorted(folder.iterdir()):
        fields = read_header(str(folder), path.name)
        if isinstance(fields, str):
            raise DataError(f"one of the series' files is {fields}, wanted a CT image; send the series again")
        headers.append(Header(file=path.name, **fields))
    return headers


def series_grid(headers: Sequence[Header]) -> Grid:
    """Return the grid of the series; raises `DataError` as `axial_grid` does, or where the header lacks geometry."""
    return axial_grid([_slice(header) for header in headers])


def _slice(header: Header) -> Slice:
    position = header.numbers("ImagePositionPatient", 3)
    orientation = header.numbers("ImageOrientationPatient", 6)
    spacing = header.numbers("PixelSpacing", 2)
    rows, columns = int(header.number("Rows") or 0), int(header.number("Columns") or 0)
    if position is None or orientation is None or spacing is None or min(spacing) <= 0 or min(rows, columns) <= 0:
        raise DataError("an image lacks its position, orientation, pixel spacing or matrix; ask the site to resend the series")
    if max(rows, columns) > LARGEST_MATRIX:
        raise DataError(
            f"the matrix is {rows} x {columns}, wanted at most {LARGEST_MATRIX} x {LARGEST_MATRIX}; send the axial series"
        )
    instance, tilt = int(header.number("InstanceNumber") or 0), header.number("GantryDetectorTilt") or 0.0
    return Slice(instance, rows, columns, position, orientation, spacing, tilt)


def read_hounsfield(folder: Path, headers: Sequence[Header], grid: Grid) -> np.ndarray:
    """Return the volume in HU, int16 (Z, Y, X), in the axes of ``grid``.

    Raises
    ------
    DataError
        If pixels are not one 8- or 16-bit grey value, or there is no plausible rescale to HU.
    """
    volume: np.ndarray | None = None
    for z, index in enumerate(grid.order):
        image = _hounsfield_slice(folder, headers[index])
        image = image.T if grid.transpose else image
        image = image[:: -1 if grid.flip_rows else 1, :: -1 if grid.flip_columns else 1]
        if volume is None:
            volume = np.empty((len(grid.order), *image.shape), dtype=np.int16)
        volume[z] = image
    assert volume is not None
    return volume


def _hounsfield_slice(folder: Path, header: Header) -> np.ndarray:
    """Return one image in HU, int16 (rows, columns)."""
    slope, intercept = header.number("RescaleSlope"), header.number("RescaleIntercept")
    if slope is None or intercept is None:
        raise DataError(
            "the images state no rescale slope and intercept, so their Hounsfield units are unknown; resend the original series"
        )
    if not 0 < slope <= 16 or not -32768 <= intercept <= 32767:
        raise DataError(
            f"rescale slope {slope:g} and intercept {intercept:g} give no Hounsfield units; resend the original series"
        )
    grey = header.text("PhotometricInterpretation") == "MONOCHROME2" and (header.number("SamplesPerPixel") or 1) == 1
    bits = header.number("BitsAllocated")
    if not grey or bits not in {8.0, 16.0}:
        raise DataError("the images are not 8- or 16-bit MONOCHROME2; send the original CT series, not captures of the screen")
    if header.pixels != "whole":
        raise DataError(
            f"pixel data of instance {header.number('InstanceNumber') or 0:.0f} is {header.pixels}; ask the site to resend it"
        )
    if header.transfer_syntax not in RAW_TRANSFER_SYNTAXES:
        hu = _decoded(folder / header.file, (int(header.number("Rows") or 0), int(header.number("Columns") or 0)))
    else:
        hu = _raw(folder / header.file, header)
        if slope != 1 or intercept != round(intercept):
            hu = np.rint(hu * slope + intercept)
        else:
            hu = hu.astype(np.int32) + int(intercept)
    clipped: np.ndarray = np.clip(hu, AIR_HU, 32767).astype(np.int16)
    return clipped


def _raw(path: Path, header: Header) -> np.ndarray:
    kind = ("<i" if header.number("PixelRepresentation") else "<u") + ("1" if header.number("BitsAllocated") == 8 else "2")
    shape = int(header.number("Rows") or 0), int(header.number("Columns") or 0)
    pixels: np.ndarray = np.fromfile(path, dtype=np.dtype(kind), count=shape[0] * shape[1], offset=header.pixel_start)
    return pixels.reshape(shape)


def _decoded(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Return one compressed image in HU as GDCM decodes and rescales it."""
    import SimpleITK

    try:
        image: np.ndarray = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    except RuntimeError:
        raise DataError(
            "the compressed pixel data of an image cannot be decoded; ask the site to resend it uncompressed"
        ) from None
    if image.shape != (1, *shape):
        raise DataError("a compressed image does not decode to the matrix that its header states; ask the site to resend it")
    hu: np.ndarray = np.rint(image[0])
    return hu
