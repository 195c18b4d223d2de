"""Structured reports under the option Clean Structured Content: the tree is rebuilt from codes, numbers and listed words."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileDataset

from algorithms.dicom.privacy.folder import deidentify_folder
from algorithms.dicom.privacy.graphics import MOST_OPEN, Drawn
from algorithms.dicom.privacy.syntax import Refused
from tests.algorithms.dicom.ct_series import IDENTITY, ROOT
from tests.algorithms.dicom.privacy.cleaning import deidentified
from tests.algorithms.dicom.privacy.multiframe import code, file_of, item
from tests.algorithms.dicom.privacy.reports import (
    BASIC,
    COMPREHENSIVE,
    COMPREHENSIVE_3D,
    DOSE,
    ENHANCED,
    content,
    everything,
    measured,
    report,
)
from tests.algorithms.dicom.results import small

DCIODVFY = Path("/usr/bin/dciodvfy")
POLICY = {
    "version": 1, "options": ["retain_modified_dates", "retain_patient_characteristics", "clean_structured_content"],
    "words": ["calcified", "plaque", "LAD"],
}  # fmt: skip
FINDING = ("121071", "DCM", "Finding")
DISTANCE = ("121206", "DCM", "Distance")
SECRET_WORD = "Xanthippe"
IN = "CONTAINS"


def output(dataset: FileDataset, policy: dict = POLICY) -> tuple[bytes, FileDataset]:
    clean, _ = deidentified(file_of(dataset), policy=policy)
    return clean, pydicom.dcmread(BytesIO(clean))


def items_of(dataset: Dataset) -> Iterator[Dataset]:
    """Yield the items of a report's content, at any depth."""
    for one in dataset.get("ContentSequence", []):
        yield one
        yield from items_of(one)


def only(*children: Dataset, policy: dict = POLICY) -> tuple[bytes, list[Dataset]]:
    """Return the output of a report with these items, and its items."""
    clean, dataset = output(report(*children), policy)
    return clean, list(items_of(dataset))


def test_no_planted_identity_is_left():
    """Names stand in texts, meanings, names of persons, the verifying observer, and beside known codes."""
    clean, _ = output(report(*everything()))

    found = clean.lower()
    for value in [*IDENTITY.values(), ROOT, "Quastenflosser", "Ottokar", "7301942", "20260314", "093215", "99OWN", "Berta"]:
        assert value.lower().encode() not in found, value


def test_what_means_something_stays():
    """Numbers with units, codes, listed words, shapes and references, in their order and relations."""
    _, dataset = output(report(*everything()))

    kept = [(one.ValueType, one.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in one else "")
            for one in items_of(dataset)]  # fmt: skip
    assert kept == [
        ("CODE", "Observer Type"), ("UIDREF", "Device Observer UID"), ("DATETIME", "DateTime Started"), ("DATE", "Study Date"),
        ("CONTAINER", "Findings"), ("TEXT", "Finding"), ("NUM", "Distance"), ("SCOORD", ""), ("IMAGE", ""),
        ("CONTAINER", ""), ("NUM", "Distance"),
    ]  # fmt: skip
    by_type = {one.ValueType: one for one in reversed(list(items_of(dataset)))}
    assert by_type["TEXT"].TextValue == "Calcified plaque LAD"
    assert by_type["NUM"].MeasuredValueSequence[0].NumericValue == 12.25
    assert list(by_type["SCOORD"].GraphicData) == [1.5, 2.5, 10.25, 2.5]
    assert by_type["DATE"].Date == by_type["DATETIME"].DateTime == dataset.StudyDate
    assert (
        by_type["IMAGE"].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        == (
            dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        ).ReferencedSOPInstanceUID
    )


@pytest.mark.skipif(not DCIODVFY.exists(), reason="dciodvfy (Debian package dicom3tools) is not installed")
@pytest.mark.parametrize("options", [POLICY["options"], ["clean_structured_content"]])
def test_no_error_against_the_standard_is_new(tmp_path, options):
    """The phantom has none, and its output has none."""
    dataset = report(*everything())
    files = {"input": file_of(dataset), "output": output(dataset, {**POLICY, "options": options})[0]}
    errors = {}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        told = subprocess.run([DCIODVFY, str(tmp_path / name)], capture_output=True, text=True, check=False)
        errors[name] = [line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error")]

    assert errors == {"input": [], "output": []}


@pytest.mark.parametrize("sop_class", [BASIC, ENHANCED, COMPREHENSIVE, COMPREHENSIVE_3D, DOSE])
def test_reports_pass_with_the_option_and_are_refused_without(sop_class):
    """PS3.15 E.3.4: who does not choose to clean content may not let it out."""
    dataset = report(content(IN, "CODE", FINDING, ConceptCodeSequence=code("80891009", "SCT", "Heart")),
                     sop_class=sop_class)  # fmt: skip

    _, clean = output(dataset)
    with pytest.raises(Refused, match="report"):
        output(dataset, {"version": 1, "options": ["retain_modified_dates"]})

    assert clean.SOPClassUID == sop_class
    assert "113104" in {one.CodeValue for one in clean.DeidentificationMethodCodeSequence}


@pytest.mark.parametrize("kind", ["KO", "mammography", "chest CAD"])
def test_other_documents_are_refused(kind):
    """Only what was looked at passes."""
    number = {"KO": "59", "mammography": "50", "chest CAD": "65"}[kind]

    with pytest.raises(Refused):
        output(report(sop_class=f"1.2.840.10008.5.1.4.1.1.88.{number}"))


def test_a_report_with_pixels_is_refused():
    """Nothing looks at them."""
    dataset = report()
    dataset.add_new(0x7FE00010, "OW", b"Xanthippe ")

    with pytest.raises(Refused, match="pixel data"):
        output(dataset)


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(content(IN, "TEXT", FINDING, TextValue=SECRET_WORD), id="text"),
        pytest.param(content(IN, "TEXT", ("1", "99OWN", SECRET_WORD), TextValue="plaque"), id="name of a concept"),
        pytest.param(content(IN, "TEXT", ("7301942", "SCT", "Heart"), TextValue="plaque"), id="code that is none"),
        pytest.param(content(IN, "PNAME", ("121008", "DCM", "Person Observer Name"), PersonName=SECRET_WORD), id="person"),
        pytest.param(content(IN, "CODE", FINDING, ConceptCodeSequence=code("1", "99OWN", SECRET_WORD)), id="code"),
        pytest.param(content(IN, "CODE", FINDING, ConceptCodeSequence=item(
            LongCodeValue=f"{SECRET_WORD} and more letters", CodingSchemeDesignator="SCT", CodeMeaning="Heart",
        )), id="long code"),
        pytest.param(content(IN, "CODE", FINDING, ConceptCodeSequence=item(
            URNCodeValue=f"urn:{SECRET_WORD}", CodeMeaning="Heart",
        )), id="URN code"),
        pytest.param(content(IN, "NUM", DISTANCE, MeasuredValueSequence=measured("5", "{Xanthippe}")), id="unit"),
        pytest.param(content(IN, "NUM", DISTANCE, MeasuredValueSequence=measured("73019427301942")), id="long number"),
        pytest.param(content(IN, "NUM", DISTANCE, MeasuredValueSequence=measured(["7", "30", "19", "42"])), id="numbers"),
        pytest.param(content(IN, "NUM", DISTANCE, MeasuredValueSequence=pydicom.Sequence([measured("7"), measured("8")])),
                     id="two values"),
        pytest.param(content(IN, "NUM", ("121033", "DCM", "Subject Age"), MeasuredValueSequence=measured("93", "a")),
                     id="age above 89"),
        pytest.param(content(IN, "NUM", ("121033", "DCM", "Subject Age"), MeasuredValueSequence=measured("1150", "mo")),
                     id="age above 89 in months"),
        pytest.param(content(IN, "DATE", ("121031", "DCM", "Subject Birth Date"), Date="19511224"), id="birth"),
        pytest.param(content(IN, "DATETIME", ("122165", "DCM", "DateTime of Death"), DateTime="20260314"), id="death"),
        pytest.param(content(IN, "DATE", ("11976-8", "LN", "Ovulation date"), Date="20260301"), id="ovulation"),
        pytest.param(content(IN, "TIME", ("111061", "DCM", "Study Time"), Time="093215"), id="time"),
        pytest.param(content(IN, "TCOORD", FINDING, TemporalRangeType="POINT", ReferencedDateTime="20260314"), id="moment"),
        pytest.param(content(IN, "Xanthippe", FINDING), id="unknown type"),
        pytest.param(item(RelationshipType="CONTAINS", ReferencedContentItemIdentifier=[1, 2]), id="reference by position"),
        pytest.param(item(TextValue=SECRET_WORD), id="no type"),
        pytest.param(content(SECRET_WORD, "CODE", FINDING, ConceptCodeSequence=code("80891009", "SCT", "Heart")), id="bond"),
        pytest.param(content(IN, "IMAGE", None, ReferencedSOPSequence=item(
            ReferencedSOPClassUID=SECRET_WORD, ReferencedSOPInstanceUID=f"{ROOT}.1",
        )), id="reference to a class that is none"),
    ],
)  # fmt: skip
def test_an_item_that_may_identify_goes_with_what_hangs_on_it(one):
    """The item beside it stays; what is below it goes, because it would mean something else alone."""
    with disable_value_validation():
        one.ContentSequence = pydicom.Sequence([content(IN, "NUM", DISTANCE, MeasuredValueSequence=measured("3"))])
        clean, kept = only(one, content(IN, "NUM", DISTANCE, MeasuredValueSequence=measured("4")))

    assert [item.MeasuredValueSequence[0].NumericValue for item in kept] == [4]
    assert SECRET_WORD.lower().encode() not in clean.lower()
    assert b"7301942" not in clean


def test_what_stands_beside_the_value_of_an_item_goes():
    """A text in a number, a name in a code, private attributes, rational and floating numbers with more digits."""
    number = content(IN, "NUM", DISTANCE, MeasuredValueSequence=measured("4"))
    with disable_value_validation():
        number.TextValue, number.PersonName, number.UID = "plaque", SECRET_WORD, f"{ROOT}.1"
        number.add_new(0x00291010, "LO", SECRET_WORD)
        number.MeasuredValueSequence[0].FloatingPointValue = 4.0001234567
        number.MeasuredValueSequence[0].UnformattedTextValue = SECRET_WORD
        clean, kept = only(number)

    assert {element.keyword for element in kept[0]} == {
        "RelationshipType", "ValueType", "ConceptNameCodeSequence", "MeasuredValueSequence"
    }  # fmt: skip
    assert {element.keyword for element in kept[0].MeasuredValueSequence[0]} == {"NumericValue", "MeasurementUnitsCodeSequence"}
    assert SECRET_WORD.encode() not in clean


def test_characteristics_of_the_patient_need_their_option():
    """Sex, age and weight are the patient's wherever they stand (PS3.16 TID 1007)."""
    items = [
        content("HAS OBS CONTEXT", "CODE", ("121032", "DCM", "Subject Sex"), ConceptCodeSequence=code("F", "DCM", "Female")),
        content("HAS OBS CONTEXT", "NUM", ("121033", "DCM", "Subject Age"), MeasuredValueSequence=measured("74", "a")),
    ]
    without = {**POLICY, "options": ["clean_structured_content"]}

    assert len(only(*items)[1]) == 2
    assert only(*items, policy=without)[1] == []


def test_a_title_that_no_list_holds_becomes_a_plain_one():
    """The root must have a title (PS3.3 C.17.3)."""
    clean, dataset = output(report(title=("7301942", "99OWN", SECRET_WORD)))

    assert dataset.ConceptNameCodeSequence[0].CodeMeaning == "Diagnostic Imaging Report"
    assert SECRET_WORD.encode() not in clean
    assert dataset.VerificationFlag == "UNVERIFIED"
    assert "VerifyingObserverSequence" not in dataset


def test_a_site_may_add_codes_of_its_own():
    """With the meaning that the site's list gives, not the file's."""
    policy = {**POLICY, "codes": [{"scheme": "99OWN", "code": "P1", "meaning": "Plaque score"}]}
    one = content(IN, "NUM", ("P1", "99OWN", SECRET_WORD), MeasuredValueSequence=measured("4"))

    clean, kept = only(one, policy=policy)

    assert kept[0].ConceptNameCodeSequence[0].CodeMeaning == "Plaque score"
    assert SECRET_WORD.encode() not in clean


def test_words_in_another_script_are_written_in_utf_8():
    """SpecificCharacterSet says so at the top, where no other text needs it."""
    dataset = report(content(IN, "TEXT", FINDING, TextValue="Plaque größer, Ottokar"))
    dataset.SpecificCharacterSet = "ISO_IR 100"

    _, clean = output(dataset, {**POLICY, "words": ["größer"]})

    assert clean.ContentSequence[0].TextValue == "größer"


@pytest.mark.parametrize(
    ("kind", "points", "stays"),
    [
        pytest.param("POINT", [1, 2], True, id="point"),
        pytest.param("POLYLINE", [1, 2, 3, 4], True, id="length"),
        pytest.param("POLYLINE", [1, 2, 3, 4, 5, 0], True, id="angle"),
        pytest.param("POLYLINE", [1, 2, 3, 4, 5, 0, 9, 9], False, id="stroke"),
        pytest.param("POLYLINE", [1, 2, 3, 4, 5, 0, 1, 2], True, id="outline"),
        pytest.param("CIRCLE", [1, 2, 3, 4], True, id="circle"),
        pytest.param("CIRCLE", [1, 2, 3, 4, 5, 6], False, id="circle of three points"),
        pytest.param("ELLIPSE", [1, 2, 3, 4, 5, 6, 7, 8], True, id="ellipse"),
        pytest.param("MULTIPOINT", list(range(2 * MOST_OPEN + 2)), False, id="grid of dots"),
        pytest.param("POLYLINE", [1, 2, 3], False, id="odd number"),
        pytest.param("XANTHIPPE", [1, 2], False, id="unknown"),
    ],
)
def test_a_shape_stays_where_it_cannot_write(kind, points, stays):
    """Letters are strokes, dots or heaps of lines."""
    assert Drawn().admits(kind, points, 2) is stays


def test_heaps_of_lines_end():
    """Twenty lines measure; more could spell."""
    lines = [content(IN, "SCOORD", None, GraphicType="POLYLINE", GraphicData=[n, 0.0, n, 9.0]) for n in range(40)]

    assert len(only(*lines)[1]) == MOST_OPEN


def test_the_command_lets_it_out_proved(tmp_path):
    """The output holds no pixels, and the proof knows that it need not."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one").write_bytes(file_of(report(*everything())))

    summary = deidentify_folder(tmp_path / "in", tmp_path / "out", bytes(range(32)), POLICY, None)

    assert (summary["files_written"], summary["files_refused"], summary["patients_stopped"]) == (1, 0, 0)


def test_a_report_of_measurements_that_highdicom_wrote_can_be_read_by_it_again(tmp_path):
    """TID 1500 with a segmentation, as this project writes it: the number, its unit and what it was measured in are there."""
    import highdicom as hd

    small.received(tmp_path / "received")
    images = small.deidentified(tmp_path / "images", tmp_path / "received")
    written = small.results(tmp_path / "results", images) / "measurements.dcm"
    (tmp_path / "clean").write_bytes(deidentified(written.read_bytes(), policy=POLICY)[0])

    (group,) = hd.sr.srread(tmp_path / "clean").content.get_volumetric_roi_measurement_groups()
    (number,) = group.get_measurements()

    assert (number.value, number.unit.value) == (12.5, "mm")
    assert group.tracking_identifier == "LAD"
    assert group.referenced_segment.referenced_sop_class_uid == "1.2.840.10008.5.1.4.1.1.66.4"
