"""What else a scanner leaves in the study of a coronary CT angiography: localizer, calcium score, dose report.

None of them can be answered with an FFR; a reader of the study has to choose.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from algorithms.phantom.coronary.dicom import (
    Series,
    add_pixels,
    dataset,
    derived_uid,
    identified,
    invented_identity,
    series_uid,
    write_series,
)
from algorithms.phantom.coronary.phantom import CoronaryPhantom, calcium_scan

CALCIUM = Series(3, "CaScore 3.0 Qr36 70 %", ("ORIGINAL", "PRIMARY", "AXIAL"), "Qr36", 3.0, 6, False)
LOCALIZER = 1
DOSE_REPORT = 501


def write_companions(phantom: CoronaryPhantom, folder: Path) -> None:
    """Write localizer, calcium-score series and dose report of ``phantom`` into ``folder``, beside the angiography."""
    folder.mkdir(parents=True, exist_ok=True)
    volume, grid = calcium_scan(phantom.person, phantom.variety)
    write_series(phantom, volume, grid, CALCIUM, folder)
    _write_localizer(phantom, folder)
    _write_dose_report(phantom, folder)


def _write_localizer(phantom: CoronaryPhantom, folder: Path) -> None:
    """Write the frontal projection of the volume as a LOCALIZER (DICOM PS3.3 C.8.2.1.1.1)."""
    grid = phantom.grid
    projection = phantom.volume_hu.mean(axis=1, dtype=np.float32)[::-1]
    data = dataset(CTImageStorage, derived_uid(series_uid(phantom, LOCALIZER), 1))
    data.update(identified(phantom))
    data.Modality = "CT"
    data.SeriesInstanceUID = series_uid(phantom, LOCALIZER)
    data.SeriesNumber = LOCALIZER
    data.SeriesDescription = "Topogram 0.6 Tr20"
    data.BodyPartExamined = "CHEST"
    data.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    data.InstanceNumber = 1
    data.AcquisitionNumber = 1
    data.KVP = "100"
    data.ConvolutionKernel = "Tr20"
    data.SliceThickness = "0.6"
    top = grid.origin_mm[2] + grid.spacing_mm[0] * (grid.shape[0] - 1)
    data.ImagePositionPatient = [f"{grid.origin_mm[0]:.2f}", "0.00", f"{top:.2f}"]
    data.ImageOrientationPatient = ["1", "0", "0", "0", "0", "-1"]
    add_pixels(data, np.rint(projection).astype(np.int16), (grid.spacing_mm[0], grid.spacing_mm[2]))
    data.RescaleType = "US"  # a projection has no Hounsfield units (DICOM PS3.3 C.11.1.1.2)
    data.save_as(folder / f"S{LOCALIZER:03d}_0001.dcm", enforce_file_format=True)


def _write_dose_report(phantom: CoronaryPhantom, folder: Path) -> None:
    """Write a screen of text with the patient's name burned in, as scanners do."""
    from PIL import Image, ImageDraw

    identity = invented_identity(phantom)
    screen = Image.new("L", (512, 512), 0)
    lines = [identity.PatientName.replace("^", ", "), f"ID {identity.PatientID}   born {identity.PatientBirthDate}",
             identity.InstitutionName, "", "Total DLP 231 mGy cm", "Topogram  100 kV", "CaScore  120 kV  CTDIvol 1.9 mGy",
             "CorCTA   100 kV  CTDIvol 14.2 mGy"]  # fmt: skip
    ImageDraw.Draw(screen).multiline_text((16, 16), "\n".join(lines), fill=255, spacing=8)
    data = dataset(SecondaryCaptureImageStorage, derived_uid(series_uid(phantom, DOSE_REPORT), 1))
    data.update(identified(phantom))
    moment = identity.study + datetime.timedelta(minutes=20)
    data.Modality = "CT"
    data.ConversionType = "WSD"
    data.SeriesInstanceUID = series_uid(phantom, DOSE_REPORT)
    data.SeriesNumber = DOSE_REPORT
    data.SeriesDescription = "Patient Protocol"
    data.BodyPartExamined = "CHEST"
    data.PatientOrientation = ""
    del data.FrameOfReferenceUID, data.PositionReferenceIndicator
    data.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    data.BurnedInAnnotation = "YES"
    data.SeriesTime = data.ContentTime = moment.strftime("%H%M%S")
    data.InstanceNumber = 1
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = 512, 512
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.add_new((0x7FE0, 0x0010), "OB", screen.tobytes())
    data.save_as(folder / f"S{DOSE_REPORT:03d}_0001.dcm", enforce_file_format=True)
