"""The whole stage: what is written, what is said of it, and that a leak stops the case."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pydicom
import pytest

from algorithms.contract.errors import DataError
from algorithms.coronary import deidentify, receive
from tests.algorithms.dicom.ct_series import IDENTITY, ROOT, assert_nameless, write_series

REAL_DATA = os.environ.get("HEARTWOOD_REAL_DATA")
PIXELS = np.random.default_rng(0).integers(-100, 300, (6, 16, 16)).astype(np.int16)


def run(study: Path, out: Path, secret: str = "ab" * 32, instances: list[str] | None = None) -> dict:
    out.mkdir(parents=True, exist_ok=True)
    names = instances or sorted(path.name for path in study.iterdir())
    (out / "selection.json").write_text(json.dumps({"instances": names}))
    (out / "secret").write_text(secret)
    return deidentify.run({"study": study, "selection": out / "selection.json", "secret": out / "secret"}, out)


def test_a_series_leaves_without_its_patient(tmp_path):
    """The plainest check there is: no planted value in any byte of any output, privacy.json included."""
    measured = run(write_series(tmp_path / "study", PIXELS), tmp_path / "out")

    files = sorted((tmp_path / "out" / "dicom").iterdir())
    written = b"".join(path.read_bytes() for path in files) + (tmp_path / "out" / "privacy.json").read_bytes()
    assert [path.name for path in files] == [f"{n:04d}.dcm" for n in range(1, 7)]
    for value in [*IDENTITY.values(), ROOT, "20260314"]:
        for part in value.replace("^", " ").split():
            if len(part) > 4:
                assert part.lower().encode() not in written.lower()
    assert measured["files"] == 6
    assert measured["values_found"] == 0
    assert measured["values_searched"] > 20


def test_privacy_json_says_what_was_done_to_each_attribute(tmp_path):
    """By keyword and count; the report shows it, so no value may be in it."""
    run(write_series(tmp_path / "study", PIXELS), tmp_path / "out")

    privacy = json.loads((tmp_path / "out" / "privacy.json").read_text())

    assert privacy["attributes"]["PatientName"] == {"D": 6}
    assert privacy["attributes"]["PatientBirthDate"] == {"Z": 6}
    assert privacy["attributes"]["StudyDescription"] == {"X": 6}
    assert privacy["attributes"]["SOPInstanceUID"] == {"U": 6}
    assert privacy["attributes"]["StudyDate"] == {"C": 6}
    assert privacy["scan"]["values_found"] == 0
    assert privacy["edition"] == "2024e"


def test_equal_input_gives_equal_bytes_and_another_secret_other_ones(tmp_path):
    """Reproducible for the case's key; without the secret nobody can compute a pseudonym or undo a date."""
    study = write_series(tmp_path / "study", PIXELS)
    for name, secret in (("a", "ab" * 32), ("b", "ab" * 32), ("c", "cd" * 32)):
        run(study, tmp_path / name, secret)

    first, again, other = (pydicom.dcmread(tmp_path / name / "dicom" / "0003.dcm") for name in "abc")

    assert all(
        (tmp_path / "a" / p).read_bytes() == (tmp_path / "b" / p).read_bytes() for p in ("dicom/0003.dcm", "privacy.json")
    )
    assert first == again
    for keyword in ("PatientID", "SOPInstanceUID", "StudyInstanceUID", "StudyDate"):
        assert first[keyword].value != other[keyword].value


def test_files_are_named_by_position(tmp_path):
    """Names of the input are gone, and a viewer that sorts by name shows the series from feet to head."""

    def upside_down(dataset, number):
        dataset.ImagePositionPatient = [-95, -95, 100 - number]

    run(write_series(tmp_path / "study", PIXELS, upside_down), tmp_path / "out")

    numbers = [int(pydicom.dcmread(p).InstanceNumber) for p in sorted((tmp_path / "out" / "dicom").iterdir())]
    assert numbers == [6, 5, 4, 3, 2, 1]


def test_a_name_in_the_pixels_stops_the_case(tmp_path):
    """The one place that is copied unread: full 16-bit pixels that spell the name are found by the search of the output."""

    def spelt(dataset, number):
        if number == 4:
            dataset.BitsStored, dataset.HighBit = 16, 15
            dataset.PixelData = dataset.PixelData[:100] + b"QUASTENFLOSSER" + dataset.PixelData[114:]

    with pytest.raises(DataError) as failure:
        run(write_series(tmp_path / "study", PIXELS, spelt), tmp_path / "out")

    assert "PatientName in 1 files" in str(failure.value)
    assert "the case is stopped" in str(failure.value)
    assert_nameless(str(failure.value))


def test_only_the_chosen_instances_leave(tmp_path):
    """A dose sheet of the same folder must not slip out with the series."""
    study = write_series(tmp_path / "study", PIXELS)

    run(study, tmp_path / "out", instances=["000002", "000003"])

    assert len(list((tmp_path / "out" / "dicom").iterdir())) == 2


def test_a_chosen_file_that_is_no_dicom_is_refused(tmp_path):
    """The selection was made of other files than these."""
    study = write_series(tmp_path / "study", PIXELS)
    (study / "000002").write_text("Quastenflosser")

    with pytest.raises(DataError, match="1 of 6 chosen files are not DICOM"):
        run(study, tmp_path / "out")


@pytest.mark.skipif(REAL_DATA is None, reason="HEARTWOOD_REAL_DATA names no folder of real studies")
def test_a_real_siemens_series_leaves_without_its_hospital(tmp_path):
    """JPEG 2000, private blocks, an address, a station, a serial number and dates; found in the input, gone from the output."""
    study = Path(str(REAL_DATA)) / "ct_siemens_contrast"
    receive.run({"study": study}, tmp_path)
    names = json.loads((tmp_path / "selection.json").read_text())["instances"]

    run(study, tmp_path / "out", instances=names)

    before = b"".join(path.read_bytes() for path in sorted(study.iterdir()))
    after = b"".join(path.read_bytes() for path in sorted((tmp_path / "out" / "dicom").iterdir()))
    for word in (b"Petersgraben", b"PETCT2", b"20221208", b"1.3.12.2.1107", b"QR_SNOWFOX", b"FDG_TK_KM", b"MEDCOM"):
        assert word in before
        assert word not in after
    pixels = [pydicom.dcmread(path).pixel_array for path in sorted((tmp_path / "out" / "dicom").iterdir())]
    original = [pydicom.dcmread(study / name).pixel_array for name in names]
    np.testing.assert_array_equal(pixels, original)
