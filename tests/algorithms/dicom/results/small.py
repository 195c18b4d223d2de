"""A study of a few images, as received and de-identified, and small results of it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from algorithms.dicom.pseudonym import replaced_uid, shifted_date
from algorithms.dicom.results.document import encapsulated_pdf
from algorithms.dicom.results.origin import Origin, read_images, write_object
from algorithms.dicom.results.seg import Segment, segmentation
from algorithms.dicom.results.sr import Measured, Number, structured_report
from tests.algorithms.dicom.ct_series import image

SECRET = b"a secret of the test"
SHIFT_DAYS = -1000
STUDY_DATE = "20260214"
PSEUDONYM = "HWABCDEFGHIJ"
VESSEL = ("59438005", "SCT", "Left Anterior Descending Coronary Artery")
LENGTH = ("408716009", "SCT", "Stenotic Lesion Length")


def received(folder: Path, count: int = 4) -> list[str]:
    """Write ``count`` images as a site sends them; return their names."""
    folder.mkdir(parents=True)
    names = [f"{number:06d}" for number in range(1, count + 1)]
    for number, name in enumerate(names, start=1):
        dataset = image(np.full((16, 16), number, np.int16), number)
        dataset.StudyDate, dataset.StudyTime, dataset.StudyID = STUDY_DATE, "101112", "ST77"
        dataset.save_as(folder / name, enforce_file_format=True)
    return names


def deidentified(folder: Path, originals: Path) -> Path:
    """Write the images with pseudonymous UIDs, a pseudonym and shifted dates into ``folder``, and return it."""
    folder.mkdir(parents=True)
    for path, dataset in zip(sorted(originals.iterdir()), read_images(sorted(originals.iterdir())), strict=True):
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
            setattr(dataset, keyword, replaced_uid(SECRET, str(dataset[keyword].value)))
        kept = Dataset()
        for keyword in KEPT:
            if keyword in dataset:
                kept[keyword] = dataset[keyword]
        kept.PatientName = kept.PatientID = PSEUDONYM
        kept.PatientBirthDate = kept.AccessionNumber = kept.ReferringPhysicianName = kept.StudyTime = kept.StudyID = ""
        kept.StudyDate = kept.ContentDate = shifted_date(STUDY_DATE, SHIFT_DAYS)
        kept.PatientIdentityRemoved, kept.DeidentificationMethod = "YES", "Invented"
        kept.file_meta = dataset.file_meta
        kept.file_meta.MediaStorageSOPInstanceUID = kept.SOPInstanceUID
        kept.PixelData = bytes(2 * 16 * 16)
        kept.save_as(folder / f"{path.name}.dcm", enforce_file_format=True)
    return folder


KEPT = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality", "PatientSex",
    "Rows", "Columns", "PixelSpacing", "SliceThickness", "ImagePositionPatient", "ImageOrientationPatient", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation", "InstanceNumber",
    "SeriesNumber", "ImageType", "PositionReferenceIndicator",
)  # fmt: skip


def results(folder: Path, images: Path, seed: str = "a seed") -> Path:
    """Write a segmentation, a report and a document of the de-identified ``images`` into ``folder``, and return it."""
    folder.mkdir(parents=True)
    origin = Origin(read_images(sorted(images.iterdir())), seed, "Test", "1.2.3", released=True)
    labels = np.zeros((len(origin.images), origin.images[0].Rows, origin.images[0].Columns), np.uint8)
    labels[1, 4:8, 5:9] = 1
    uid = origin.uid("tracking", "LAD")
    segments = segmentation(origin, labels, [Segment("LAD", VESSEL, uid)], "Lumen", ("test", ("123106", "DCM", "Filtering")))
    measured = Measured("LAD", uid, VESSEL, sites=(VESSEL,), numbers=(Number(LENGTH, 12.5, "mm"),), segment=1)
    made = {
        "segmentation.dcm": segments,
        "measurements.dcm": structured_report(origin, [measured], segments, VESSEL, "test"),
        "report.dcm": encapsulated_pdf(origin, b"%PDF-1.7 nothing", "A report", ("18748-4", "LN", "Diagnostic imaging study")),
    }
    for name, dataset in made.items():
        write_object(dataset, folder / name)
    return folder


def day_of(text: str) -> date:
    """Return a DICOM date."""
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
