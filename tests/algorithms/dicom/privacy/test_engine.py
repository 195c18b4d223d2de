"""What comes out: what the analysis needs as it was, the marks of what was done, and values with no room for a text."""

from __future__ import annotations

import struct
import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian

from algorithms.dicom.privacy.values import grouped_age
from tests.algorithms.dicom.ct_series import image
from tests.algorithms.dicom.privacy.cleaning import PIXELS, deidentified, encoded, output, planted


def test_what_the_analysis_needs_is_kept_bit_for_bit():
    """Pixels, geometry, rescale and the allowed patient characteristics are those of the input."""
    original = image(PIXELS, 7)

    _, dataset = output(encoded(original))

    assert dataset.PixelData == original.PixelData
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept",
                    "Rows", "Columns", "SliceThickness", "KVP", "ConvolutionKernel", "PatientSex", "PatientAge", "PatientSize",
                    "PatientWeight", "Manufacturer", "ManufacturerModelName", "InstanceNumber", "ImageType"):  # fmt: skip
        assert dataset[keyword].value == original[keyword].value, keyword


def test_the_marks_of_deidentification_are_written():
    """PS3.15 E.1.1 step 6 and 7: the flag, the method and its codes of CID 7050."""
    _, dataset = output(encoded(image(PIXELS, 7)))

    codes = [(item.CodeValue, item.CodingSchemeDesignator) for item in dataset.DeidentificationMethodCodeSequence]
    assert dataset.PatientIdentityRemoved == "YES"
    assert dataset.LongitudinalTemporalInformationModified == "MODIFIED"
    assert codes == [("113100", "DCM"), ("113107", "DCM"), ("113108", "DCM")]
    assert dataset.PatientBirthDate == dataset.AccessionNumber == dataset.StudyTime == ""
    assert dataset.PatientName == dataset.PatientID
    assert str(dataset.PatientID).startswith("HW")


def test_uids_are_replaced_consistently():
    """A reference to an image must point to that image's new UID, and an image's UID is in its file meta header too."""
    _, seventh = output(encoded(image(PIXELS, 7)))
    _, first = output(encoded(image(PIXELS, 1)))

    assert seventh.SOPInstanceUID == seventh.file_meta.MediaStorageSOPInstanceUID
    assert seventh.ReferencedImageSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert seventh.SeriesInstanceUID == first.SeriesInstanceUID != seventh.StudyInstanceUID
    assert all(
        str(uid).startswith("2.25.") for uid in (seventh.SOPInstanceUID, seventh.StudyInstanceUID, seventh.FrameOfReferenceUID)
    )
    assert UID(seventh.SOPInstanceUID).is_valid


def test_dates_keep_their_distance():
    """One offset per patient: a scan five days after the study is five days after it still."""

    def later(dataset):
        dataset.AcquisitionDate = "20260319"

    _, dataset = output(planted(later))

    study, acquired = (np.datetime64(f"{d[:4]}-{d[4:6]}-{d[6:]}") for d in (dataset.StudyDate, dataset.AcquisitionDate))
    assert acquired - study == np.timedelta64(5, "D")
    assert 366 <= (np.datetime64("2026-03-14") - study).astype(int) <= 3653


@pytest.mark.parametrize(("age", "grouped"), [("074Y", "074Y"), ("089Y", "089Y"), ("090Y", "090Y"), ("104Y", "090Y"),
                                              ("006M", "006M"), ("1200", None), ("74", None), ("", None)])  # fmt: skip
def test_ages_above_89_are_one_group(age, grouped):
    """45 CFR 164.514(b)(2)(i)(C)."""
    assert grouped_age(age) == grouped


def test_a_missing_age_is_computed_before_the_birth_date_goes():
    """Born on 24 December 1951, scanned on 14 March 2026: 74 years."""

    def ageless(dataset):
        del dataset.PatientAge

    assert output(planted(ageless))[1].PatientAge == "074Y"


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_uncompressed_encodings_give_the_same_pixels(syntax):
    """All uncompressed input leaves as Explicit VR Little Endian."""

    def change(dataset):
        dataset.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()

    with disable_value_validation():
        dataset = image(PIXELS, 7)
        change(dataset)
        bare = Dataset()
        bare.update(dataset)
        bare.file_meta = dataset.file_meta
        buffer = BytesIO()
        pydicom.dcmwrite(buffer, bare, enforce_file_format=True)

    _, read = output(buffer.getvalue())

    assert read.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert read.PixelData == image(PIXELS, 7).PixelData
    assert read.ImagePositionPatient == [-95, -95, 6]


def test_spare_bits_of_the_pixels_are_cleared():
    """An old overlay lives in the bits above the 12 stored ones: it may draw a name over the image."""

    def overlaid(dataset):
        dataset.PixelData = (np.frombuffer(dataset.PixelData, "<u2") | 0x8000).tobytes()

    clean, outcome = deidentified(planted(overlaid))

    assert pydicom.dcmread(BytesIO(clean)).PixelData == image(PIXELS, 7).PixelData
    assert outcome.actions["PixelData", "C"] == 1


@pytest.mark.parametrize(
    ("keyword", "value", "written"),
    [
        pytest.param("KVP", "120.719480317", "120.719", id="a date in the decimals"),
        pytest.param("KVP", "120.5", "120.5", id="a plain number"),
        pytest.param("CTDIvol", struct.unpack("<d", b"zxqwkvY@")[0], 101.85, id="letters in a mantissa"),
        pytest.param("SpiralPitchFactor", struct.unpack("<d", b"19480317")[0], None, id="digits as a tiny number"),
        pytest.param("PixelSpacing", ["0.3515625", "0.48828125"], [0.3515625, 0.48828125], id="geometry keeps its digits"),
        pytest.param("PixelPaddingValue", [0x6F6F, 0x6F6F], None, id="too many values"),
        pytest.param("KVP", ["120", "19480317"], None, id="too many decimal strings"),
        pytest.param("ManufacturerModelName", "SOMATOM Definition AS+", "SOMATOM Definition AS+", id="a model"),
        pytest.param("ManufacturerModelName", "Aquilion ONE", "Aquilion ONE", id="another model"),
        pytest.param("ManufacturerModelName", "Brilliance 64", "Brilliance 64", id="a model with a number"),
        pytest.param("ManufacturerModelName", "SOMATOM Kormoran", None, id="a name behind a model"),
        pytest.param("ManufacturerModelName", "SOMATOM 1948/03/17", None, id="a date behind a model"),
    ],
)
def test_a_value_has_no_room_for_a_text(keyword, value, written):
    """Six digits are more than a tube voltage has; a model is built from its maker's words; by hand from 7, 9 and 10 digits."""

    def changed(dataset):
        setattr(dataset, keyword, value)

    dataset = output(planted(changed))[1]

    found = dataset.get(keyword)
    assert (list(found) if isinstance(written, list) else found or None) == written


def test_a_reference_without_its_target_goes():
    """PS3.3 table 10-11: class and instance are both required; half a reference would be an error that the input had not."""

    def halved(dataset):
        dataset.ReferencedImageSequence[0].ReferencedSOPClassUID = ""

    assert "ReferencedImageSequence" not in output(planted(halved))[1]


@pytest.mark.parametrize("dciodvfy", ["/usr/bin/dciodvfy"])
@pytest.mark.parametrize("body_part", ["HEART", ""])
def test_no_error_against_the_standard_is_new(tmp_path, dciodvfy, body_part):
    """dicom3tools' validator, on the input and on the output."""
    if not Path(dciodvfy).exists():
        pytest.skip("dicom3tools are not installed")

    def named(dataset):
        dataset.BodyPartExamined = body_part

    data = planted(named)
    errors = []
    for name, content in (("in", data), ("out", output(data)[0])):
        (tmp_path / name).write_bytes(content)
        told = subprocess.run([dciodvfy, str(tmp_path / name)], capture_output=True, text=True, check=False)
        assert "CTImage" in told.stderr
        errors.append({line for line in told.stderr.splitlines() if line.startswith("Error")})

    assert errors[1] <= errors[0]
