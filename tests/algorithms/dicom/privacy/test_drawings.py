"""Presentation states under the option Clean Graphics: shapes that measure stay, whatever writes goes."""

from __future__ import annotations

import subprocess
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import FileDataset

from algorithms.dicom.privacy.folder import deidentify_folder
from algorithms.dicom.privacy.graphics import MOST_OPEN
from algorithms.dicom.privacy.needles import wanted
from algorithms.dicom.privacy.policy import policy_of
from algorithms.dicom.privacy.proof import Proof
from algorithms.dicom.privacy.syntax import Refused
from tests.algorithms.dicom.ct_series import IDENTITY, ROOT
from tests.algorithms.dicom.privacy.cleaning import deidentified
from tests.algorithms.dicom.privacy.drawings import drawing, shape
from tests.algorithms.dicom.privacy.multiframe import file_of, item

DCIODVFY = Path("/usr/bin/dciodvfy")
POLICY = {"version": 1, "options": ["retain_modified_dates", "clean_graphics"]}
LENGTH = [1.0, 2.0, 10.5, 2.0]


def output(dataset: FileDataset, policy: dict = POLICY) -> tuple[bytes, FileDataset]:
    clean, _ = deidentified(file_of(dataset), policy=policy)
    return clean, pydicom.dcmread(BytesIO(clean))


def shapes_of(dataset: FileDataset) -> list[tuple[str, list[float]]]:
    objects = [one for annotation in dataset.get("GraphicAnnotationSequence", []) for one in annotation.GraphicObjectSequence]
    return [(one.GraphicType, list(one.GraphicData)) for one in objects]


def test_no_planted_identity_is_left():
    """Names stand in labels, descriptions, layers, texts, and the identifiers of shapes."""
    traced = shape("CIRCLE", [4.0, 4.0, 6.0, 4.0], TrackingID="Quastenflosser", TrackingUID=f"{ROOT}.6",
                   CompoundGraphicSequence=item(CompoundGraphicType="Ottokar"))  # fmt: skip

    clean, dataset = output(drawing(shape("POLYLINE", LENGTH), traced, texts=("Quastenflosser, Ottokar",)))

    found = clean.lower()
    for value in [*IDENTITY.values(), ROOT, "Quastenflosser", "Ottokar", "Zaunkoenig", "20260314", "093215"]:
        assert value.lower().encode() not in found, value
    assert shapes_of(dataset) == [("POLYLINE", LENGTH), ("CIRCLE", [4.0, 4.0, 6.0, 4.0])]
    assert {one.GraphicLayer for one in dataset.GraphicLayerSequence} == {dataset.GraphicAnnotationSequence[0].GraphicLayer}
    assert dataset.PresentationCreationDate == dataset.StudyDate
    assert "113103" in {one.CodeValue for one in dataset.DeidentificationMethodCodeSequence}


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(shape("POLYLINE", [1, 1, 3, 9, 5, 1, 7, 9, 9, 1]), id="a W"),
        pytest.param(shape("INTERPOLATED", [9, 1, 1, 3, 9, 7, 1, 9]), id="an S"),
        pytest.param(shape("POLYLINE", LENGTH[:3]), id="half a point"),
        pytest.param(shape("CIRCLE", [1, 1, 2, 2, 3, 3]), id="circle of three points"),
        pytest.param(item(GraphicAnnotationUnits="PIXEL", GraphicDimensions=2, GraphicType="POINT"), id="no data"),
        pytest.param(item(GraphicAnnotationUnits="PIXEL", GraphicDimensions=2, NumberOfGraphicPoints=1, GraphicType="POINT",
                          GraphicData=[7301942.0, 1951.0]), id="number that is no place"),
        pytest.param(shape("XANTHIPPE", LENGTH), id="unknown shape"),
    ],
)  # fmt: skip
def test_a_shape_that_may_write_goes(one):
    """With its annotation where that has no other; beside others it alone."""
    assert shapes_of(output(drawing(one))[1]) == []
    assert shapes_of(output(drawing(shape("POLYLINE", LENGTH), one))[1]) == [("POLYLINE", LENGTH)]


def test_heaps_of_lines_end():
    """Straight lines can spell a name if they are many."""
    lines = [shape("POLYLINE", [float(n), 0.0, float(n), 9.0]) for n in range(2 * MOST_OPEN)]

    assert len(shapes_of(output(drawing(*lines))[1])) == MOST_OPEN


def test_texts_alone_leave_no_annotation():
    """An annotation without a shape would stand against the standard."""
    assert "GraphicAnnotationSequence" not in output(drawing(texts=("Quastenflosser",)))[1]


def test_overlays_never_pass():
    """A bitmap can spell a name, and no reading of it proves that it does not."""
    dataset = drawing(shape("POLYLINE", LENGTH))
    with disable_value_validation():
        dataset.add_new(0x60000010, "US", 4)
        dataset.add_new(0x60003000, "OW", b"Ottokars Bild ..")
        dataset.add_new(0x60004000, "LT", "Quastenflosser")

    clean, read = output(dataset)

    assert not [element for element in read if element.tag.group >> 8 == 0x60]
    assert b"Ottokar" not in clean


def test_presentation_states_are_refused_without_the_option():
    """PS3.15 E.3.3."""
    with pytest.raises(Refused, match="presentation state"):
        output(drawing(shape("POLYLINE", LENGTH)), {"version": 1, "options": ["retain_modified_dates"]})


@pytest.mark.parametrize("options", [POLICY["options"], ["clean_graphics"]])
def test_what_the_standard_wants_passes_the_proof(options):
    """A label, a date of creation: fixed ones where no option keeps any; the proof knows that they are ours."""
    clean, engine = deidentified(file_of(drawing(shape("POLYLINE", LENGTH))), policy={"version": 1, "options": options})
    policy = policy_of({"version": 1, "options": options})
    public = [*policy.public_words(), *engine.retained]

    assert Proof(wanted(engine.taken, public, [], ["20190521"]), policy.allowed()).leaks(clean) == set()


@pytest.mark.skipif(not DCIODVFY.exists(), reason="dciodvfy (Debian package dicom3tools) is not installed")
@pytest.mark.parametrize("options", [POLICY["options"], ["clean_graphics"], ["clean_graphics", "retain_full_dates"]])
def test_no_error_against_the_standard_is_new(tmp_path, options):
    """The phantom has none, and its output has none."""
    dataset = drawing(shape("POLYLINE", LENGTH), texts=("Ottokar",))
    files = {"input": file_of(dataset), "output": output(dataset, {"version": 1, "options": options})[0]}
    errors = {}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        told = subprocess.run([DCIODVFY, str(tmp_path / name)], capture_output=True, text=True, check=False)
        errors[name] = [line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error")]

    assert errors == {"input": [], "output": []}


def test_the_command_lets_it_out_proved(tmp_path):
    """Nothing taken out is found in the output."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one").write_bytes(file_of(drawing(shape("POLYLINE", LENGTH), texts=("Ottokar",))))

    summary = deidentify_folder(tmp_path / "in", tmp_path / "out", bytes(range(32)), POLICY, None)

    assert (summary["files_written"], summary["files_refused"], summary["patients_stopped"]) == (1, 0, 0)
