"""Which series of a study is taken, and what a study says that cannot be taken."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom.fileset import FileSet
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import EnhancedCTImageStorage, MRImageStorage

from algorithms.contract.case import Home
from algorithms.contract.errors import DataError
from algorithms.contract.inbox import admit
from algorithms.coronary import receive
from algorithms.dicom.headers import Folder, Header, read_header
from tests.algorithms.dicom.ct_series import assert_nameless, image
from tests.algorithms.dicom.ct_series import write_series as write_any_series

REAL_DATA = os.environ.get("HEARTWOOD_REAL_DATA")


def folder_of(study: Path) -> Folder:
    """Return what `read_folder` does, in this process: a child for every test would cost a second each."""
    headers, others = [], []
    for path in sorted(study.iterdir()):
        fields = read_header(str(study), path.name)
        if isinstance(fields, str):
            others.append(fields)
        else:
            headers.append(Header(file=path.name, **fields))
    return Folder(tuple(headers), *(others.count(kind) for kind in ("not DICOM", "directory", "deflated", "unreadable")))


def select(study: Path, wanted: int = 0) -> dict:
    return receive.select(folder_of(study), study, wanted)


def chosen(selection: dict) -> dict:
    (entry,) = [entry for entry in selection["series"] if entry["chosen"]]
    return entry


write_series = partial(write_any_series, step_mm=3.0)


def small(slices: int = 30, seed: int = 0) -> np.ndarray:
    """Return slices that differ from one another: headers are what counts here."""
    return np.random.default_rng(seed).integers(-100, 300, (slices, 8, 8)).astype(np.int16)


def change(**values: object):
    def edit(dataset, _number):
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return edit


def refusal(study: Path, wanted: int = 0) -> str:
    with pytest.raises(DataError) as failure:
        select(study, wanted)
    assert_nameless(str(failure.value))
    return str(failure.value)


@pytest.mark.parametrize(
    ("worse", "slices", "rule"),
    [
        pytest.param({"SliceThickness": 3.0}, 30, "slices of 1 mm or less", id="calcium score"),
        pytest.param({"ContrastBolusAgent": ""}, 30, "contrast agent stated", id="without contrast"),
        pytest.param({"ImageType": ["DERIVED", "PRIMARY", "AXIAL"]}, 30, "original reconstruction", id="derived"),
        pytest.param({"SeriesDescription": "CorCTA 15 %"}, 30, "quiet cardiac phase", id="moving phase"),
        pytest.param({"ConvolutionKernel": "Bv59"}, 30, "smooth or medium kernel", id="stent kernel"),
        pytest.param({"SeriesDescription": "CorCTA 82 %"}, 30, "nearer to 75 % of the R-R interval", id="later phase"),
        pytest.param({}, 20, "covers a heart", id="part of the heart"),
        pytest.param({}, 28, "more slices", id="shorter"),
    ],
)
def test_the_better_series_is_chosen_and_the_rule_is_named(tmp_path, worse, slices, rule):
    """Series 1 is a 74 % diastolic, smooth, thin, contrasted original; series 2 is as good but for one thing."""
    write_series(tmp_path, small())
    write_series(tmp_path, small(slices, seed=1), change(**worse), series=2, prefix="b")

    selection = select(tmp_path)

    assert selection["instances"] == [f"{n:06d}" for n in range(1, 31)]
    assert rule in chosen(selection)["reason"]
    assert rule in selection["series"][1]["reason"]


def test_phases_of_one_series_are_told_apart_by_their_percentage(tmp_path):
    """A multi-phase reconstruction is one series; 40 % and 75 % must not be stacked into one volume."""
    write_series(tmp_path, small(), change(NominalPercentageOfCardiacPhase=40.0), prefix="a")

    def later(dataset, number):
        dataset.NominalPercentageOfCardiacPhase = 75.0
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.75.{number}"

    write_series(tmp_path, small(seed=1), later, prefix="b")

    selection = select(tmp_path)

    assert {entry["facts"]["phase_percent"] for entry in selection["series"]} == {40.0, 75.0}
    assert chosen(selection)["facts"]["phase_percent"] == 75.0
    assert all(name.startswith("b") for name in selection["instances"])


def test_a_person_may_ask_for_another_series(tmp_path):
    """The list is in the order of preference, so series 2 is the next best."""
    write_series(tmp_path, small())
    write_series(tmp_path, small(seed=1), change(ConvolutionKernel="Bv59"), series=2, prefix="b")

    selection = select(tmp_path, wanted=2)

    assert chosen(selection)["facts"]["kernel"] == "Bv59"
    assert "asked for" in chosen(selection)["reason"]
    assert "series 3 was asked for and the study has 2" in refusal(tmp_path, wanted=3)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        pytest.param({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer", id="localizer"),
        pytest.param({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, "derived reformat", id="reformat"),
        pytest.param({"BurnedInAnnotation": "YES"}, "burned-in text", id="burned-in text"),
        pytest.param({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "not axial", id="coronal"),
        pytest.param({"SOPClassUID": EnhancedCTImageStorage}, "enhanced multi-frame CT is not read", id="multi-frame"),
        pytest.param({"Rows": 4096, "Columns": 4096}, "4096 x 4096", id="huge matrix"),
        pytest.param({"ImagePositionPatient": None}, "no position or orientation", id="no geometry"),
    ],
)
def test_a_series_that_is_no_axial_volume_is_refused_with_the_reason(tmp_path, values, reason):
    """Each is refused by the header alone, and is never the answer to a study that has nothing better."""
    write_series(tmp_path, small(5), change(**values))

    message = refusal(tmp_path)

    assert reason in message
    assert "send the coronary CT series" in message
    assert reason in refusal(tmp_path, wanted=0)


def test_a_folder_without_dicom_says_so(tmp_path):
    """Pictures and text are counted, and the person learns what to send."""
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff" * 100)
    (tmp_path / "b.txt").write_text("notes")

    assert "none of 2 files is a DICOM image; send the CT series as DICOM files" in refusal(tmp_path)


def test_mr_instead_of_ct_says_what_was_found(tmp_path):
    """Sent by mistake more often than one would think."""
    write_series(tmp_path, small(12), change(Modality="MR", SOPClassUID=MRImageStorage))

    assert refusal(tmp_path) == "the study holds 12 MR instances and no CT image; send the coronary CT series"


@pytest.mark.parametrize(
    ("values", "found"),
    [
        pytest.param({"PatientID": "OTHER1"}, "images of 2 patients", id="identifier"),
        pytest.param({"PatientName": "Kranich^Otto"}, "2 patient names", id="name"),
        pytest.param({"PatientBirthDate": "19700101"}, "2 birth dates", id="birth date"),
        pytest.param({"StudyInstanceUID": "1.2.3.4"}, "2 studies", id="study"),
    ],
)
def test_two_patients_or_studies_are_never_mixed(tmp_path, values, found):
    """One wrong image in the folder is enough: the answer would be another person's."""
    write_series(tmp_path, small(10))
    write_series(tmp_path, small(1), change(**values), series=2, prefix="b")

    assert found in refusal(tmp_path)


def test_spellings_of_one_name_are_one_patient(tmp_path):
    """A workstation that writes the name in capitals or with trailing separators has not changed the patient."""
    write_series(tmp_path, small(10))
    write_series(tmp_path, small(3), change(PatientName="QUASTENFLOSSER^OTTOKAR^^^"), series=2, prefix="b")

    assert len(select(tmp_path)["series"]) == 2


def test_copies_of_an_instance_are_dropped_with_a_note(tmp_path):
    """An export that was interrupted and repeated holds some files twice."""
    write_series(tmp_path, small())
    shutil.copy(tmp_path / "000007", tmp_path / "copy")

    selection = select(tmp_path)

    assert len(selection["instances"]) == 30
    assert selection["notes"] == ["1 copies of the same instance were dropped"]


def test_one_uid_with_two_images_is_damage(tmp_path):
    """SOPInstanceUID is unique by definition (PS3.3 C.12.1): one of the two images is not what it says."""
    write_series(tmp_path, small())
    write_series(tmp_path, small(seed=1), prefix="b", keep=range(7, 8))

    assert "2 different images share one SOPInstanceUID (instance number 7)" in refusal(tmp_path)


def test_a_slice_with_another_image_at_its_position_is_refused(tmp_path):
    """Two phases that nothing in the header tells apart cannot be one volume."""
    write_series(tmp_path, small())

    def other(dataset, _number):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"

    write_series(tmp_path, small(seed=1), other, prefix="b", keep=range(7, 8))

    assert "instances 7 and 7 show different images of one position" in refusal(tmp_path)


def test_the_same_slice_under_another_uid_is_dropped(tmp_path):
    """Some archives give a copy a new UID; pixels and position are the same."""
    write_series(tmp_path, small())

    def renamed(dataset, _number):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"

    write_series(tmp_path, small(), renamed, prefix="b", keep=range(7, 8))

    assert select(tmp_path)["notes"] == ["1 slices with the position and pixels of another were dropped"]


def test_a_truncated_file_is_counted(tmp_path):
    """A broken transfer: the header is whole, the pixels end early."""
    write_series(tmp_path, small())
    whole = (tmp_path / "000015").read_bytes()
    (tmp_path / "000015").write_bytes(whole[:-40])

    assert refusal(tmp_path) == "1 of 30 instances of the series end before their pixels do; ask the site to resend it"


def test_missing_pixel_data_is_counted(tmp_path):
    """Some exports hold headers only."""

    def bare(dataset, number):
        if number < 4:
            del dataset.PixelData

    write_series(tmp_path, small(), bare)

    assert refusal(tmp_path) == "3 of 30 instances of the series hold no pixel data; ask the site to resend it"


def test_hostile_names_and_uids_reach_no_output(tmp_path):
    """Newlines, template braces, markup and path characters in header values: nothing of them is in the selection."""
    values = {
        "PatientName": "Quasten\nflosser^{{ 7*7 }}",
        "SeriesInstanceUID": "../../etc/passwd",
        "ConvolutionKernel": "<b>{{x}}",
        "SeriesDescription": "Quastenflosser 75 %\n{{ 7 }}",
    }
    write_series(tmp_path, small(), change(**values))

    text = json.dumps(select(tmp_path))

    assert_nameless(text)
    assert not [part for part in ("{{", "passwd", "<b>", "flosser", "..") if part in text]


def test_damaged_and_hostile_files_are_counted_not_fatal(tmp_path):
    """A deflated bomb, garbage behind the magic word, a directory and endless nesting beside a good series."""
    study = write_series(tmp_path / "study", small())
    (study / "x1").write_bytes(deflated_bomb())
    nested = b"\x08\x00\x40\x11" + b"SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    good = (study / "000001").read_bytes()
    (study / "x2").write_bytes(good[: good.index(b"\x08\x00\x16\x00UI")] + nested * 20000)
    (study / "x3").write_bytes(b"\0" * 128 + b"DICM" + bytes(range(256)) * 4)
    out = tmp_path / "out"
    out.mkdir()

    measured = receive.run({"study": study}, out)

    selection = json.loads((out / "selection.json").read_text())
    assert measured["instances"] == 30
    assert measured["unreadable_files"] == 3
    assert any("deflated" in note for note in selection["notes"])


def test_a_dicomdir_is_no_image_and_names_no_files_for_us(tmp_path):
    """A disc from another hospital: its directory counts as such, and images that it does not list are read too."""
    listed = write_series(tmp_path / "listed", small())
    disc = FileSet()
    for path in sorted(listed.iterdir()):
        disc.add(path)
    disc.write(tmp_path / "disc")
    disc._stage["t"].cleanup()  # else pydicom leaves that to the garbage collector, with a warning
    for number, pixels in enumerate(small(12), start=101):
        image(pixels, number, series=9).save_as(tmp_path / "disc" / f"STRAY{number}", enforce_file_format=True)
    (tmp_path / "disc" / "AUTORUN.INF").write_bytes(b"[autorun]")
    home = Home(tmp_path / "home")
    study = admit(tmp_path / "disc", "coronary", home).input_path("study", home)

    measured = receive.run({"study": study}, tmp_path)

    selection = json.loads((tmp_path / "selection.json").read_text())
    assert (30, 42, 2) == tuple(measured[name] for name in ("instances", "dicom_files", "series"))
    assert {"1 files are not DICOM and were ignored", "1 DICOM directory files were ignored"} <= set(selection["notes"])


def deflated_bomb() -> bytes:
    """Return a small file that inflates to 200 MB."""
    packer = zlib.compressobj(9, wbits=-15)
    body = b"".join(packer.compress(b"\0" * 2**20) for _ in range(200)) + packer.flush()
    head = image(small(1)[0], 1)
    head.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    buffer = BytesIO()
    buffer.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(buffer, head.file_meta)
    return buffer.getvalue() + body


@pytest.mark.skipif(REAL_DATA is None, reason="HEARTWOOD_REAL_DATA names no folder of real studies")
def test_a_real_siemens_series_is_read(tmp_path):
    """20 JPEG 2000 slices of 3 mm with empty identifiers; its UIDs are only in the file meta header."""
    measured = receive.run({"study": Path(str(REAL_DATA)) / "ct_siemens_contrast"}, tmp_path)

    facts = chosen(json.loads((tmp_path / "selection.json").read_text()))["facts"]
    assert measured["instances"] == 20
    assert facts["kernel"] == "Br38f"
    assert facts["coverage_mm"] == 40.0
