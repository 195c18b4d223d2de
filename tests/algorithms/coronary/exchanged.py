"""An invented case with a series, a lumen, pictures and an answer, as the stage that exchanges it finds them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from algorithms.coronary import exchange, report
from algorithms.coronary.grid import Grid, read_grid, write_grid
from algorithms.coronary.tree import Tree, read_tree
from tests.algorithms.coronary.invented_case import build, record

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
STUDY = "2.25.1001"
SERIES = "2.25.1002"
SPACING_MM = 2.0
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="40" height="20" fill="#0a0"/></svg>'


def answered(
    folder: Path, told: Mapping[str, Any] | None = None, lacking: Sequence[str] = (), **choices: Any
) -> dict[str, Path]:
    """Return the inputs of the stage exchange for an invented case; ``choices`` are those of `invented_case.build`."""
    inputs = build(folder / "case", SPACING_MM, **choices)
    tree, volume = read_tree(inputs["tree"]), read_grid(inputs["volume"])
    inputs |= {"pictures": pictures(folder / "pictures"), "dicom": folder / "dicom", "lumen": folder / "lumen.nii.gz"}
    write_grid(lumen_of(tree, volume), inputs["lumen"])
    write_series(volume, inputs["dicom"])
    (folder / "record.json").write_text(json.dumps(told or record()))
    given = {name: path for name, path in inputs.items() if name not in lacking}
    (folder / "report").mkdir()
    report.run(given | {"record": folder / "record.json"}, folder / "report")
    made = {"result": folder / "report" / "result.json", "pdf": folder / "report" / "report.pdf"}
    return {name: path for name, path in given.items() if name in {"dicom", "lumen", "pictures"}} | made


def exchanged(inputs: Mapping[str, Path], out: Path) -> Path:
    """Run the stage and return the folder that it wrote into."""
    out.mkdir(parents=True)
    exchange.run(inputs, out)
    return out


def lumen_of(tree: Tree, volume: Grid) -> Grid:
    """Return the voxels within the radius of a centreline, cut to a box as the stage segment does, uint8."""
    mask = np.zeros(volume.values.shape, dtype=np.uint8)
    points = volume.points_mm(np.argwhere(np.ones_like(mask))).reshape(*mask.shape, 3)
    for branch in tree.branches:
        for point, radius_mm in zip(branch.points_mm[::2], branch.radius_mm[::2], strict=True):
            middle = np.rint(volume.index(point)).astype(int)
            box = tuple(slice(max(m - 3, 0), m + 4) for m in middle)
            away = np.linalg.norm(points[box] - point, axis=-1)
            mask[box] |= away <= max(radius_mm, 0.87 * SPACING_MM)
    low, high = np.argwhere(mask).min(0), np.argwhere(mask).max(0) + 1
    return Grid(mask, volume.spacing_mm, volume.origin_mm).box(tuple(low), tuple(high))


def write_series(volume: Grid, folder: Path) -> None:
    """Write the volume as a de-identified CT series, one file a slice."""
    folder.mkdir()
    for number, plane in enumerate(volume.values, start=1):
        ct_image(volume, number, plane).save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)


def ct_image(volume: Grid, number: int, plane: np.ndarray) -> Dataset:
    """Return one slice with what de-identification leaves: a pseudonym, shifted dates, no times."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID, dataset.SOPInstanceUID = CT_IMAGE, f"2.25.2{number:04d}"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20190314"
    dataset.StudyTime, dataset.AccessionNumber, dataset.Modality, dataset.Manufacturer = "", "", "CT", "Invented"
    dataset.ReferringPhysicianName, dataset.PatientName, dataset.PatientID = "", "HWABCDEFGHIJ", "HWABCDEFGHIJ"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "", "F", "061Y"
    dataset.PatientIdentityRemoved, dataset.DeidentificationMethod = "YES", "Invented"
    dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    dataset.SliceThickness, dataset.KVP, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = SPACING_MM, 100, STUDY, SERIES
    dataset.StudyID, dataset.SeriesNumber, dataset.AcquisitionNumber, dataset.InstanceNumber = "", 4, 1, number
    position = volume.points_mm(np.array([number - 1, 0, 0]))
    dataset.ImagePositionPatient = [round(float(value), 6) for value in position]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = "2.25.1003", ""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = plane.shape
    dataset.PixelSpacing = [SPACING_MM, SPACING_MM]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleIntercept, dataset.RescaleSlope = 0, 1
    dataset.PixelData = plane.astype("<i2").tobytes()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CT_IMAGE, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    return dataset


def pictures(folder: Path) -> Path:
    """Return a folder with a picture of FFR, one of the images and one of the slices, as the stage render writes it."""
    folder.mkdir()
    drawn = [("tree", "tree.png"), ("pullback", "pullback.svg"), ("lesion", "lesion.png"), ("quality", "quality.png")]
    for kind, path in drawn:
        (folder / path).write_bytes(SVG if path.endswith("svg") else png(kind))
    entries = [
        {"name": kind, "path": path, "kind": kind, "vessel": None, "stenosis": None, "caption": f"A {kind}.", "alt": kind}
        for kind, path in drawn
    ]
    (folder / "pictures.json").write_text(json.dumps({"pictures": entries, "notes": []}))
    return folder


def png(kind: str) -> bytes:
    """Return a small picture with some transparency, another one for every kind."""
    pixels = np.random.default_rng(len(kind)).integers(0, 255, (21, 33, 4), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
