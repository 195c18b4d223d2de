"""The phantom's study as DICOM files: a CT series with an invented identity.

Every identifier derives from the seed: equal phantoms are equal files.  The person is invented; the header looks like one
from a hospital, with names in a private block, in nested sequences and in free text, so that de-identification has work.
"""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from algorithms.phantom.coronary.paint import Grid
from algorithms.phantom.coronary.phantom import CoronaryPhantom
from algorithms.phantom.coronary.variety import KERNELS

IMPLEMENTATION_UID = "2.25.164813290452108374665201473382054117"
FAMILY = ("Lindqvist", "Moreau", "Okafor", "Tanaka", "Haugen", "Castellanos", "Wieczorek", "Brennan", "Petrov", "Achterberg")
GIVEN_FEMALE = ("Agneta", "Claire", "Ngozi", "Yumiko", "Ingrid", "Lucía", "Zofia", "Maeve", "Irina", "Femke")
GIVEN_MALE = ("Torbjörn", "Étienne", "Chidi", "Haruto", "Sverre", "Joaquín", "Stanisław", "Declan", "Nikolai", "Wouter")
HOSPITALS = ("Sankt Eskil Hospital", "Clinique des Tilleuls", "Harbour Heights Medical Centre", "Nordkapp General")
PHYSICIANS = ("Oduya^Marguerite^^Dr", "Strand^Halvor^^Dr", "Vasquez^Ramiro^^Dr", "Whitcombe^Eleanor^^Dr")


@dataclass(frozen=True)
class Identity:
    """An invented person, hospital and appointment."""

    PatientName: str
    PatientID: str
    PatientBirthDate: str
    PatientSex: str
    PatientAge: str
    PatientSize: float  # m
    PatientWeight: float  # kg
    AccessionNumber: str
    InstitutionName: str
    physician: str
    operator: str
    study: datetime.datetime


def invented_identity(phantom: CoronaryPhantom) -> Identity:
    """Return the identity that goes with the phantom's seed."""
    rng = np.random.default_rng([phantom.person.seed, 7])
    female = phantom.person.habit.female
    age = int(rng.integers(44, 79))
    study = datetime.datetime(2025, 1, 6, 7, 30) + datetime.timedelta(minutes=int(rng.integers(0, 300 * 1440)))
    birth = datetime.date(study.year - age, 1, 1) + datetime.timedelta(days=int(rng.integers(0, 330)))
    age = study.year - birth.year - ((study.month, study.day) < (birth.month, birth.day))
    height = float(rng.normal(1.64 if female else 1.78, 0.06))
    given = str(rng.choice(GIVEN_FEMALE if female else GIVEN_MALE))
    doctors = [str(d) for d in rng.choice(PHYSICIANS, 2, replace=False)]
    return Identity(
        PatientName=f"{rng.choice(FAMILY)}^{given}",
        PatientID=f"MRN{int(rng.integers(10**6, 10**7))}",
        PatientBirthDate=birth.strftime("%Y%m%d"),
        PatientSex="F" if female else "M",
        PatientAge=f"{age:03d}Y",
        PatientSize=round(height, 2),
        PatientWeight=round(float(rng.normal(26.0, 3.0)) * height**2, 1),
        AccessionNumber=f"ACC{int(rng.integers(10**7, 10**8))}",
        InstitutionName=str(rng.choice(HOSPITALS)),
        physician=doctors[0],
        operator=doctors[1],
        study=study,
    )


def derived_uid(*parts: object) -> str:
    """Return the UID below 2.25 that belongs to ``parts``."""
    digest = hashlib.sha256("/".join(str(p) for p in parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


@dataclass(frozen=True)
class Series:
    """What the headers of one CT series share."""

    number: int
    description: str
    image_type: tuple[str, ...]
    kernel: str
    thickness_mm: float
    minutes: int  # after the start of the study
    contrast: bool


ANGIOGRAPHY = Series(5, "CorCTA 0.75 Bv40 BestDiast 75 %", ("ORIGINAL", "PRIMARY", "AXIAL"), "Bv40", 0.75, 14, True)


def write_study(phantom: CoronaryPhantom, folder: Path) -> None:
    """Write the angiography of ``phantom`` into ``folder``, one file an instance (Explicit VR Little Endian)."""
    kernel, thickness_mm = KERNELS[phantom.variety.kernel].name, phantom.variety.slice_thickness_mm
    description = f"CorCTA {thickness_mm:.2f} {kernel} BestDiast 75 %"
    series = replace(ANGIOGRAPHY, description=description, kernel=kernel, thickness_mm=round(thickness_mm, 3))
    write_series(phantom, phantom.volume_hu, phantom.grid, series, folder)


def write_series(phantom: CoronaryPhantom, volume_hu: np.ndarray, grid: Grid, series: Series, folder: Path) -> None:
    """Write ``volume_hu`` (Z, Y, X) int16 on ``grid`` as one axial CT series of the phantom's study."""
    folder.mkdir(parents=True, exist_ok=True)
    common = identified(phantom)
    for number, pixels in enumerate(volume_hu, start=1):
        data = dataset(CTImageStorage, derived_uid(series_uid(phantom, series.number), number))
        data.update(common)
        _describe_series(data, phantom, series, number)
        z = grid.origin_mm[2] + (number - 1) * grid.spacing_mm[0]
        data.ImagePositionPatient = [f"{grid.origin_mm[0]:.2f}", f"{grid.origin_mm[1]:.2f}", f"{z:.2f}"]
        data.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
        data.SliceLocation = f"{z:.2f}"
        data.SpacingBetweenSlices = f"{grid.spacing_mm[0]:g}"
        data.ReconstructionDiameter = f"{grid.spacing_mm[1] * grid.shape[1]:.3f}"
        add_pixels(data, pixels, grid.spacing_mm[1:])
        data.save_as(folder / f"S{series.number:03d}_{number:04d}.dcm", enforce_file_format=True)


def series_uid(phantom: CoronaryPhantom, number: int) -> str:
    """Return the UID of the study's series ``number``; size and difficulty make a series of their own."""
    return derived_uid("series", phantom.person.seed, phantom.size, phantom.difficulty, number)


def dataset(sop_class: str, sop_instance: str) -> FileDataset:
    """Return an empty instance with its file meta information."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "HEARTWOOD_PH_1"
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID = sop_class
    data.SOPInstanceUID = sop_instance
    return data


def identified(phantom: CoronaryPhantom) -> Dataset:
    """Return patient, study and equipment: what is the same in every instance of the study."""
    identity = invented_identity(phantom)
    data = Dataset()
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = identity.study.strftime("%Y%m%d")
    data.StudyTime = identity.study.strftime("%H%M%S")
    data.Manufacturer = "Heartwood"
    data.ManufacturerModelName = "CCTA phantom"
    data.DeviceSerialNumber = "00042"
    data.SoftwareVersions = "phantom 1"
    data.StationName = "CTAWP01"
    data.InstitutionName = identity.InstitutionName
    data.InstitutionAddress = "12 Invented Road"
    data.InstitutionalDepartmentName = "Radiology"
    data.ReferringPhysicianName = identity.physician
    data.PerformingPhysicianName = identity.operator
    data.OperatorsName = "Tech^Invented"
    data.StudyDescription = "CT coronary angiography"
    data.StudyInstanceUID = derived_uid("study", phantom.person.seed)
    data.StudyID = str(10000 + phantom.person.seed % 90000)
    data.FrameOfReferenceUID = derived_uid("frame", phantom.person.seed)
    data.PositionReferenceIndicator = ""
    data.PatientPosition = "HFS"
    _add_person(data, identity)
    return data


def _add_person(data: Dataset, identity: Identity) -> None:
    """Add who the patient is, at the top, in nested sequences, in free text and in a private block."""
    data.AccessionNumber = identity.AccessionNumber
    data.PatientName = identity.PatientName
    data.PatientID = identity.PatientID
    data.IssuerOfPatientID = "HIS"
    data.PatientBirthDate = identity.PatientBirthDate
    data.PatientSex = identity.PatientSex
    data.PatientAge = identity.PatientAge
    data.PatientSize = f"{identity.PatientSize:.2f}"
    data.PatientWeight = f"{identity.PatientWeight:.1f}"
    data.PatientAddress = "7 Nowhere Lane"
    data.PatientTelephoneNumbers = "+00 555 0100"
    data.PatientComments = f"chest pain; {identity.PatientName.replace('^', ', ')} prefers afternoon calls"
    request = Dataset()
    request.AccessionNumber = identity.AccessionNumber
    request.RequestedProcedureDescription = f"CCTA for {identity.PatientName.split('^')[0]}"
    request.RequestedProcedureID = "RP" + identity.AccessionNumber[3:]
    request.ScheduledProcedureStepID = "SPS1"
    request.RequestingPhysician = identity.physician
    data.RequestAttributesSequence = Sequence([request])
    other = Dataset()
    other.PatientID = "X" + identity.PatientID
    other.TypeOfPatientID = "TEXT"
    data.OtherPatientIDsSequence = Sequence([other])
    person = Dataset()
    person.PersonName = identity.PatientName
    block = data.private_block(0x0029, "HEARTWOOD PHANTOM 1.0", create=True)
    block.add_new(0x01, "LO", identity.PatientName.replace("^", " "))
    block.add_new(0x02, "SH", identity.PatientID)
    block.add_new(0x03, "DS", "42.5")
    block.add_new(0x04, "OB", f"Patient={identity.PatientName};ID={identity.PatientID}".encode().ljust(96, b"\0"))
    block.add_new(0x05, "SQ", Sequence([person]))


def _describe_series(data: Dataset, phantom: CoronaryPhantom, series: Series, number: int) -> None:
    """Add series, acquisition and contrast (DICOM PS3.3 C.8.2.1, C.7.6.4) of instance ``number``."""
    start = invented_identity(phantom).study + datetime.timedelta(minutes=series.minutes)
    data.Modality = "CT"
    data.SeriesInstanceUID = series_uid(phantom, series.number)
    data.SeriesNumber = series.number
    data.SeriesDescription = series.description
    data.ProtocolName = "CorCTA"
    data.BodyPartExamined = "HEART"
    data.ImageType = list(series.image_type)
    data.SeriesTime = start.strftime("%H%M%S")
    data.AcquisitionTime = data.ContentTime = (start + datetime.timedelta(seconds=0.05 * number)).strftime("%H%M%S.%f")
    data.AcquisitionNumber = series.number
    data.InstanceNumber = number
    data.SliceThickness = f"{series.thickness_mm:g}"
    data.KVP = "100" if series.contrast else "120"
    data.ScanOptions = "HELIX"
    data.DataCollectionDiameter = "500"
    data.GantryDetectorTilt = "0"
    data.TableHeight = "142"
    data.RotationDirection = "CW"
    data.ExposureTime = "280"
    data.XRayTubeCurrent = "520"
    data.Exposure = "146"
    data.FilterType = "FLAT"
    data.ConvolutionKernel = series.kernel
    data.HeartRate = "61"
    data.NominalPercentageOfCardiacPhase = 75.0
    if series.contrast:
        data.ContrastBolusAgent = "Iohexol 350"
        data.ContrastBolusRoute = "IV"
        data.ContrastBolusVolume = "70"


def add_pixels(data: Dataset, pixels_hu: np.ndarray, spacing_mm: tuple[float, ...]) -> None:
    """Add ``pixels_hu`` (Y, X) as 12 unsigned bits with rescale, spacing (y, x) and a window for vessels."""
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = pixels_hu.shape
    data.PixelSpacing = [f"{s:.6f}" for s in spacing_mm]
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.WindowCenter, data.WindowWidth = "250", "900"
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = "-1024", "1", "HU"
    data.add_new((0x7FE0, 0x0010), "OW", (pixels_hu + 1024).astype("<u2").tobytes())
