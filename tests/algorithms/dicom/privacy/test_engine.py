"""Nothing that identifies gets through: every place where a name can hide, and what must stay as it was."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.config import disable_value_validation
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian

from algorithms.contract.errors import DataError
from algorithms.dicom.privacy.engine import Engine
from algorithms.dicom.privacy.policy import DEFAULT, policy_of
from algorithms.dicom.privacy.syntax import Refused
from algorithms.dicom.privacy.values import grouped_age
from tests.algorithms.dicom.ct_series import IDENTITY, ROOT, assert_nameless, image
from tests.algorithms.dicom.privacy.cleaning import SUBJECT, deidentified

PIXELS = np.random.default_rng(3).integers(-1000, 1500, (16, 16)).astype(np.int16)
SECRET_WORD = "Xanthippe"


def encoded(dataset: FileDataset) -> bytes:
    buffer = BytesIO()
    with disable_value_validation():
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def planted(change: Callable[[FileDataset], None]) -> bytes:
    with disable_value_validation():
        dataset = image(PIXELS, 7)
        change(dataset)
    return encoded(dataset)


def output(data: bytes) -> tuple[bytes, FileDataset]:
    clean, _ = deidentified(data)
    return clean, pydicom.dcmread(BytesIO(clean))


def assert_gone(word: str, clean: bytes) -> None:
    """Look for a word in the plainest way, in any case and in the encodings that matter."""
    for spelling in {word, word.upper(), word.lower()}:
        for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be", "shift_jis", "iso2022_jp"):
            try:
                raw = spelling.encode(encoding)
            except UnicodeEncodeError:
                continue
            assert raw not in clean


def test_no_planted_identity_is_left():
    """Every value of the invented identity, whole and in parts, is searched for in the raw bytes."""
    clean, _ = output(encoded(image(PIXELS, 7)))

    for value in [*IDENTITY.values(), ROOT]:
        for part in [value, *value.replace("^", " ").split()]:
            if len(part) > 3:
                assert_gone(part, clean)
    assert b"20260314" not in clean
    assert b"093215" not in clean
    assert b"Ultravist" not in clean


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


def hide_in_sequence(dataset):
    inner, middle, outer = Dataset(), Dataset(), Dataset()
    inner.PatientName = f"{SECRET_WORD}^A"
    inner.CodeMeaning = SECRET_WORD
    middle.RequestAttributesSequence = Sequence([inner])
    outer.ReferencedStudySequence = Sequence([middle])
    dataset.SourceImageSequence = Sequence([outer])
    dataset.RequestAttributesSequence = Sequence([outer])
    dataset.PerformedProtocolCodeSequence = Sequence([inner])


def hide_in_kept_sequence(dataset):
    dataset.ReferencedImageSequence[0].PurposeOfReferenceCodeSequence = Sequence([Dataset()])
    dataset.ReferencedImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeMeaning = SECRET_WORD
    dataset.ReferencedImageSequence[0].ReferencedSOPClassUID = SECRET_WORD


def hide_in_private(dataset):
    block = dataset.private_block(0x0029, f"MAKER {SECRET_WORD}", create=True)
    block.add_new(0x10, "LO", SECRET_WORD)
    block.add_new(0x11, "OB", f"\x01\x02 name={SECRET_WORD};\x00".encode())
    item = Dataset()
    item.PatientName = SECRET_WORD
    block.add_new(0x12, "SQ", Sequence([item]))


def hide_in_unknown(dataset):
    item = Dataset()
    item.PatientName = SECRET_WORD
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, item, implicit_vr=True, little_endian=True)
    dataset.add(
        DataElement(0x00111001, "UN", b"\xfe\xff\x00\xe0" + len(buffer.getvalue()).to_bytes(4, "little") + buffer.getvalue())
    )


def hide_in_wrong_vr(dataset):
    dataset.add(DataElement(0x00180050, "LO", SECRET_WORD))  # SliceThickness
    dataset.add(DataElement(0x00101010, "PN", SECRET_WORD))  # PatientAge
    dataset.add(DataElement(0x00200013, "LT", SECRET_WORD))  # InstanceNumber
    dataset.add(DataElement(0x00280030, "ST", f"{SECRET_WORD}\\0.5"))  # PixelSpacing


def hide_in_kept_text(dataset):
    dataset.PatientName = f"{SECRET_WORD}^A"
    dataset.ManufacturerModelName = f"CT of {SECRET_WORD}"
    dataset.Manufacturer = SECRET_WORD
    dataset.ConvolutionKernel = SECRET_WORD
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", SECRET_WORD]
    dataset.ContrastBolusAgent = SECRET_WORD
    dataset.PatientSex = SECRET_WORD
    dataset.BodyPartExamined = SECRET_WORD


def hide_in_overlay(dataset):
    dataset.add(DataElement(0x60000010, "US", 16))
    dataset.add(DataElement(0x60000022, "LO", SECRET_WORD))
    dataset.add(DataElement(0x60003000, "OW", SECRET_WORD.encode() + b"\0" * 23))
    dataset.add(DataElement(0x50000005, "US", 1))
    dataset.add(DataElement(0x50003000, "OW", SECRET_WORD.encode() + b"\0"))
    icon = Dataset()
    icon.BitsAllocated = 8
    icon.PixelData = SECRET_WORD.encode() + b"\0"
    dataset.IconImageSequence = Sequence([icon])


def hide_in_signature(dataset):
    item = Dataset()
    item.CertificateOfSigner = SECRET_WORD.encode() + b"\0"
    dataset.DigitalSignaturesSequence = Sequence([item])


def hide_behind(dataset):
    dataset.add(DataElement(0xFFFCFFFC, "OB", SECRET_WORD.encode() + b"\0"))


def hide_in_meta(dataset):
    dataset.file_meta.SourceApplicationEntityTitle = SECRET_WORD
    dataset.file_meta.PrivateInformationCreatorUID = "1.2.3"
    dataset.file_meta.PrivateInformation = SECRET_WORD.encode() + b"\0"
    dataset.preamble = (SECRET_WORD.encode() * 20)[:128]


def hide_in_uid(dataset):
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"../../{SECRET_WORD}"
    dataset.StudyInstanceUID = f"{SECRET_WORD}/../x"


def hide_in_name(dataset):
    dataset.PatientName = f"{SECRET_WORD}\n{{{{ 7*7 }}}}^<script>"


@pytest.mark.parametrize(
    "hide",
    [hide_in_sequence, hide_in_kept_sequence, hide_in_private, hide_in_unknown, hide_in_wrong_vr, hide_in_kept_text,
     hide_in_overlay, hide_in_signature, hide_behind, hide_in_meta, hide_in_uid, hide_in_name],
)  # fmt: skip
def test_a_name_is_gone_from_wherever_it_hid(hide):
    """Each place let something through in at least one of the tools that were measured (docs/privacy.md)."""
    data = planted(hide)

    clean, dataset = output(data)

    assert SECRET_WORD.encode() in data
    assert_gone(SECRET_WORD, clean)
    assert b"{{" not in clean
    assert b"script" not in clean
    assert dataset.PixelData == image(PIXELS, 7).PixelData


def test_bytes_after_the_dataset_are_not_copied():
    """Some archives append their own records; pydicom would read on and take them for elements."""
    data = encoded(image(PIXELS, 7))
    trailing = b"\xfc\xff\xfc\xffOB\0\0\x0a\0\0\0" + SECRET_WORD.encode() + b"\0"

    assert_gone(SECRET_WORD, output(data + trailing)[0])


def test_text_behind_the_last_pixel_is_cut():
    """Pixel Data may be longer than the matrix; what follows the last pixel is no pixel."""

    def longer(dataset):
        dataset.PixelData += SECRET_WORD.encode() + b"\0"

    clean, dataset = output(planted(longer))

    assert_gone(SECRET_WORD, clean)
    assert len(dataset.PixelData) == PIXELS.size * 2


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        pytest.param("ISO_IR 192", "Yamada^Tarou=山田^太郎=やまだ^たろう", id="utf-8"),
        pytest.param(["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", id="japanese"),
        pytest.param("ISO_IR 100", "Müßiggänger^Jörg", id="latin-1"),
        pytest.param("ISO_IR 144", "Люкceмбypг", id="cyrillic"),
    ],
)
def test_names_in_other_scripts_are_gone(character_set, name):
    """Three component groups, in the character sets of their countries."""

    def named(dataset):
        dataset.SpecificCharacterSet = character_set
        dataset.PatientName = name
        dataset.ImageComments = name.replace("^", " ")

    clean, dataset = output(planted(named))

    for part in name.replace("=", "^").split("^"):
        assert_gone(part, clean)
    assert "SpecificCharacterSet" not in dataset


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
    ("values", "found"),
    [
        pytest.param({"BurnedInAnnotation": "YES"}, "burned-in text", id="burned-in"),
        pytest.param({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "no original CT image", id="secondary capture"),
        pytest.param({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.67"}, "no original CT image", id="dose report"),
        pytest.param({"ConversionType": "WSD"}, "no original CT image", id="workstation"),
        pytest.param({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "no original CT image", id="screen save"),
        pytest.param({"BitsAllocated": 32}, "wanted 8 or 16", id="32 bits"),
    ],
)
def test_what_cannot_be_cleaned_is_refused(values, found):
    """Pixels that may show a name are never let through; the message says what to send."""

    def changed(dataset):
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    with pytest.raises(DataError, match=found) as failure:
        deidentified(planted(changed))

    assert "send" in str(failure.value)
    assert_nameless(str(failure.value))


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


def test_what_a_refused_file_said_is_noted_with_the_next_one():
    """Its elements are judged anew, so that the proof knows their texts; nothing of the refused file alone is searched for."""
    refused, accepted = image(PIXELS, 7), image(PIXELS, 8)
    refused.ImageType, refused.ImageComments = "SECONDARY", "Haubentaucher"
    engine = Engine(policy_of(DEFAULT), SUBJECT)

    with pytest.raises(Refused):
        engine.clean(encoded(refused))
    engine.clean(encoded(accepted))

    texts = {taken.text for taken in engine.fresh()}
    assert IDENTITY["PatientName"] in texts
    assert "Haubentaucher" not in texts


def test_a_text_that_swallowed_its_neighbour_makes_a_damaged_file():
    """One changed length: what follows is read as part of the value, and would count as taken out of it."""
    data = encoded(image(PIXELS, 7))
    place = data.index(b"\x08\0\x60\0CS\x02\0CT")
    longer = data[: place + 6] + (10 + len("SIEMENS ") + 0).to_bytes(2, "little") + data[place + 8 :]

    with pytest.raises(DataError, match="taken its neighbours in"):
        deidentified(longer)


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


TEXT_KEYWORDS = (
    "PatientName", "StudyDescription", "ImageComments", "ManufacturerModelName", "Manufacturer", "ConvolutionKernel",
    "PatientAge", "SliceThickness", "PatientSex", "ImageType", "StudyDate", "FrameOfReferenceUID", "RescaleType",
    "BodyPartExamined", "ProtocolName", "FilterType", "ScanOptions", "PatientID", "ContrastBolusAgent",
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    keywords=st.lists(st.sampled_from(TEXT_KEYWORDS), min_size=1, max_size=6, unique=True),
    prefix=st.text(st.characters(codec="latin-1", exclude_characters="\\^=\0"), max_size=6),
    vr=st.sampled_from(["LO", "PN", "LT", "SH", "UT", "OB", "CS"]),
)
def test_a_planted_word_never_survives(keywords, prefix, vr):
    """Any attribute, any text VR, any neighbouring characters, as long as the word is known as somebody's name."""

    def plant(dataset):
        dataset.OperatorsName = SECRET_WORD
        for keyword in keywords:
            value = f"{prefix}{SECRET_WORD}"
            dataset.add(
                DataElement(pydicom.datadict.tag_for_keyword(keyword), vr, value.encode("latin-1") if vr == "OB" else value)
            )
        dataset.SpecificCharacterSet = "ISO_IR 100"

    try:
        clean, _ = output(planted(plant))
    except Refused:  # an ImageType that no scanner writes
        return
    assert_gone(SECRET_WORD, clean)
