"""The phantom's study as DICOM files: a CT series with an invented identity, and on request what else a scanner sends.

Every identifier derives from the seed: equal phantoms are equal files.  The person is invented; the header looks like one
from a hospital, with names in a private block, in nested sequences and in free text, so that de-identification has work.
"""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from algorithms.phantom.coronary import CoronaryPhantom

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


def write_study(phantom: CoronaryPhantom, folder: Path) -> None:
    """Write the study of ``phantom`` into ``folder``, one file an instance (Explicit VR Little Endian)."""
    folder.mkdir(parents=True, exist_ok=True)
    identity = invented_identity(phantom)
    series = derived_uid("series", phantom.person.seed, phantom.size, phantom.difficulty)
    for number, pixels in enumerate(phantom.volume_hu, start=1):
        image = _ct_image(phantom, identity, series, number, pixels)
        image.save_as(folder / f"CT{number:04d}.dcm", enforce_file_format=True)


def _dataset(sop_class: str, sop_instance: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = sop_instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = "HEARTWOOD_PH_1"
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID = sop_class
    data.SOPInstanceUID = sop_instance
    return data


def _identify(data: Dataset, phantom: CoronaryPhantom, identity: Identity) -> None:
    """Add patient, study and equipment: what is the same in every instance of the study."""
    moment = identity.study
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = moment.strftime("%Y%m%d")
    data.StudyTime = moment.strftime("%H%M%S")
    data.AccessionNumber = identity.AccessionNumber
    data.Modality = "CT"
    data.Manufacturer = "Heartwood"
    data.InstitutionName = identity.InstitutionName
    data.InstitutionAddress = "12 Invented Road"
    data.ReferringPhysicianName = identity.physician
    data.StationName = "CTAWP01"
    data.StudyDescription = "CT coronary angiography"
    data.InstitutionalDepartmentName = "Radiology"
    data.PerformingPhysicianName = identity.operator
    data.OperatorsName = "Tech^Invented"
    data.ManufacturerModelName = "CCTA phantom"
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
    data.DeviceSerialNumber = "00042"
    data.SoftwareVersions = "phantom 1"
    data.StudyInstanceUID = derived_uid("study", phantom.person.seed)
    data.StudyID = str(10000 + phantom.person.seed % 90000)
    data.FrameOfReferenceUID = derived_uid("frame", phantom.person.seed)
    data.PositionReferenceIndicator = ""
    data.PatientPosition = "HFS"
    request = Dataset()
    request.AccessionNumber = identity.AccessionNumber
    request.RequestedProcedureDescription = f"CCTA for {identity.PatientName.split('^')[0]}"
    request.RequestedProcedureID = "RP" + identity.AccessionNumber[3:]
    request.ScheduledProcedureStepID = "SPS1"
    request.RequestingPhysician = identity.physician
    other = Dataset()
    other.PatientID = "X" + identity.PatientID
    other.TypeOfPatientID = "TEXT"
    person = Dataset()
    person.PersonName = identity.PatientName
    data.RequestAttributesSequence = Sequence([request])
    data.OtherPatientIDsSequence = Sequence([other])
    block = data.private_block(0x0029, "HEARTWOOD PHANTOM 1.0", create=True)
    block.add_new(0x01, "LO", identity.PatientName.replace("^", " "))
    block.add_new(0x02, "SH", identity.PatientID)
    block.add_new(0x03, "DS", "42.5")
    block.add_new(0x04, "OB", f"Patient={identity.PatientName};ID={identity.PatientID}".encode().ljust(96, b"\0"))
    block.add_new(0x05, "SQ", Sequence([person]))


def _ct_image(phantom: CoronaryPhantom, identity: Identity, series: str, number: int, pixels: np.ndarray) -> FileDataset:
    grid = phantom.grid
    data = _dataset(CTImageStorage, derived_uid(series, number))
    _identify(data, phantom, identity)
    data.SeriesInstanceUID = series
    data.SeriesNumber = 5
    data.SeriesDescription = "CorCTA 0.75 Bv40 BestDiast 75 %"
    data.ProtocolName = "CorCTA"
    data.BodyPartExamined = "HEART"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    moment = identity.study + datetime.timedelta(minutes=14, seconds=0.05 * number)
    data.SeriesTime = (identity.study + datetime.timedelta(minutes=14)).strftime("%H%M%S")
    data.AcquisitionTime = data.ContentTime = moment.strftime("%H%M%S.%f")
    data.ContrastBolusAgent = "Iohexol 350"
    data.ContrastBolusRoute = "IV"
    data.ContrastBolusVolume = "70"
    data.ScanOptions = "HELIX"
    data.KVP = "100"
    data.DataCollectionDiameter = "500"
    data.ReconstructionDiameter = f"{grid.spacing_mm[1] * grid.shape[1]:.3f}"
    data.GantryDetectorTilt = "0"
    data.TableHeight = "142"
    data.RotationDirection = "CW"
    data.ExposureTime = "280"
    data.XRayTubeCurrent = "520"
    data.Exposure = "146"
    data.FilterType = "FLAT"
    data.ConvolutionKernel = "Bv40"
    data.HeartRate = "61"
    data.CardiacNumberOfImages = "1"
    data.NominalPercentageOfCardiacPhase = 75.0
    data.SliceThickness = f"{max(0.75, grid.spacing_mm[0]):g}"
    data.SpacingBetweenSlices = f"{grid.spacing_mm[0]:g}"
    data.AcquisitionNumber = 3
    data.InstanceNumber = number
    z = grid.origin_mm[2] + (number - 1) * grid.spacing_mm[0]
    data.ImagePositionPatient = [f"{grid.origin_mm[0]:.2f}", f"{grid.origin_mm[1]:.2f}", f"{z:.2f}"]
    data.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    data.SliceLocation = f"{z:.2f}"
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape
    data.PixelSpacing = [f"{grid.spacing_mm[1]:.6f}", f"{grid.spacing_mm[2]:.6f}"]
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.WindowCenter, data.WindowWidth = "250", "900"
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = "-1024", "1", "HU"
    data.add_new((0x7FE0, 0x0010), "OW", (pixels + 1024).astype("<u2").tobytes())
    return data
