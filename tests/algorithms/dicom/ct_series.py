"""A small CT series of a chest that is made of ellipsoids, written as DICOM with an invented identity in its header.

The heart is 400 HU blood in 50 HU muscle between lungs; 96 x 96 pixels of 2 mm, slices of 1 mm.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

IDENTITY = {
    "PatientName": "Quastenflosser^Ottokar",
    "PatientID": "KH7301942",
    "PatientBirthDate": "19511224",
    "AccessionNumber": "ACC5550173",
    "ReferringPhysicianName": "Wanderfalke^Berta",
    "InstitutionName": "Krankenhaus Hinterm Deich",
    "StationName": "STATIONSCT7",
    "DeviceSerialNumber": "SN8812345",
    "StudyDescription": "Herz CT Quastenflosser",
    "OperatorsName": "Zaunkoenig^Emil",
}
"""Invented; every value is planted, and none may be found in an output or a message."""

ROOT = "1.3.6.1.4.1.99999.7.7301942"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
SPACING_MM = (1.0, 2.0, 2.0)

Change = Callable[[Dataset, int], None]


def chest_hu(slices: int = 120, heart_centre_mm: float = 65.0, contrast_hu: float = 400.0, seed: int = 1) -> np.ndarray:
    """Return a chest of ``slices`` mm, int16 HU (Z, 96, 96); the heart reaches 45 mm to either side of its centre."""
    z, y, x = np.meshgrid(np.arange(slices), np.arange(96) * 2.0 - 95, np.arange(96) * 2.0 - 95, indexing="ij", sparse=True)
    z = z - heart_centre_mm
    volume = np.full((slices, 96, 96), -1000.0)
    volume[np.broadcast_to((x / 90) ** 2 + (y / 70) ** 2 < 1, volume.shape)] = 40
    for side in (-1, 1):
        volume[np.broadcast_to(((x - side * 45) / 38) ** 2 + (y / 58) ** 2 < 1, volume.shape)] = -850
    volume[(x / 42) ** 2 + ((y + 10) / 42) ** 2 + (z / 50) ** 2 < 1] = 50
    volume[(x / 32) ** 2 + ((y + 10) / 32) ** 2 + (z / 40) ** 2 < 1] = contrast_hu
    volume[np.broadcast_to(x**2 + (y - 50) ** 2 < 12**2, volume.shape)] = contrast_hu
    noise = np.random.default_rng(seed).normal(0, 20, volume.shape)
    return np.rint(volume + noise).astype(np.int16)


def image(pixels: np.ndarray, number: int, *, series: int = 1, step_mm: float = SPACING_MM[0]) -> FileDataset:
    """Return one CT image; ``pixels`` are int16 HU (rows, columns), ``number`` counts from 1 upwards in z."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(CT_IMAGE)
    meta.MediaStorageSOPInstanceUID = UID(f"{ROOT}.{series}.{number}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword, value in IDENTITY.items():
        setattr(dataset, keyword, value)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CT_IMAGE, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = ROOT, f"{ROOT}.{series}", f"{ROOT}.9"
    dataset.Modality, dataset.Manufacturer, dataset.ManufacturerModelName = "CT", "SIEMENS", "SOMATOM Force"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20260314"
    dataset.StudyTime = dataset.AcquisitionTime = dataset.ContentTime = "093215.125000"
    dataset.PatientSex, dataset.PatientAge, dataset.PatientSize, dataset.PatientWeight = "M", "074Y", "1.78", "81"
    dataset.ConvolutionKernel, dataset.KVP, dataset.ContrastBolusAgent = "Bv40", "100", "Ultravist 370"
    dataset.SeriesDescription = "CorCTA 0.75 BestDiast 74 %"
    dataset.StudyID, dataset.SeriesNumber, dataset.AcquisitionNumber, dataset.InstanceNumber = "1", series, 1, number
    dataset.SliceThickness, dataset.PixelSpacing = SPACING_MM[0], list(SPACING_MM[1:])
    dataset.ImagePositionPatient = [-95.0, -95.0, float(number - 1) * step_mm]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PatientPosition, dataset.PositionReferenceIndicator = "HFS", ""
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = -1024, 1, "HU"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.WindowCenter, dataset.WindowWidth = 200, 800
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CT_IMAGE, f"{ROOT}.{series}.1"
    dataset.ReferencedImageSequence = Sequence([reference])
    dataset.PixelData = np.clip(pixels.astype(np.int32) + 1024, 0, 4095).astype("<u2").tobytes()
    return dataset


def write_series(
    folder: Path,
    volume: np.ndarray | None = None,
    change: Change | None = None,
    *,
    series: int = 1,
    prefix: str = "",
    keep: range | None = None,
    step_mm: float = SPACING_MM[0],
) -> Path:
    """Write ``volume`` as files ``prefix000001 ...``; ``change(dataset, number)`` edits each one, ``keep`` picks numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    volume = chest_hu() if volume is None else volume
    for number in keep or range(1, len(volume) + 1):
        with disable_value_validation():
            dataset = image(volume[number - 1], number, series=series, step_mm=step_mm)
            if change is not None:
                change(dataset, number)
            dataset.save_as(folder / f"{prefix}{number:06d}", enforce_file_format=True)
    return folder


def assert_nameless(message: str) -> None:
    """Assert that a message holds no planted value, nor a part of one."""
    parts = {
        part for value in [*IDENTITY.values(), ROOT] for part in [value, *value.replace("^", " ").split()] if len(part) > 3
    }
    assert not [part for part in parts if part.casefold() in message.casefold()]
