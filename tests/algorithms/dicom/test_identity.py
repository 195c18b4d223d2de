"""What is remembered of a study is what its files say, and hostile or damaged ones cannot break it."""

from __future__ import annotations

import json

import pydicom
import pytest

from algorithms.contract.errors import DataError
from algorithms.dicom.identity import identity_of, remembered
from algorithms.dicom.pseudonym import replaced_uid
from tests.algorithms.dicom.ct_series import IDENTITY
from tests.algorithms.dicom.results.small import SECRET, STUDY_DATE, received


def test_the_identity_of_a_study_is_that_of_its_files(tmp_path):
    """Every UID by its pseudonym, and what an archive files by."""
    names = received(tmp_path / "study")
    identity = identity_of(tmp_path / "study", names, SECRET)
    datasets = [pydicom.dcmread(tmp_path / "study" / name) for name in names]
    uids = {
        str(d[k].value)
        for d in datasets
        for k in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
    }

    assert identity.uids == {replaced_uid(SECRET, uid): uid for uid in uids}
    assert len(uids) == 4 + 3
    for keyword in (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "AccessionNumber",
        "ReferringPhysicianName",
        "StudyDescription",
    ):
        assert identity.attributes[keyword] == IDENTITY[keyword]
    assert (identity.attributes["StudyDate"], identity.attributes["StudyTime"]) == (STUDY_DATE, "101112")


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        pytest.param("ISO_IR 100", "Müller^Jörg", id="Latin-1"),
        pytest.param("ISO_IR 144", "Люкceмбypг", id="Cyrillic"),
        pytest.param(["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", id="Japanese"),
        pytest.param(["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", id="Korean"),
        pytest.param("GB18030", "Wang^XiaoDong=王^小东", id="Chinese"),
        pytest.param("ISO_IR 192", "Ελένη^Παπά", id="Greek in UTF-8"),
    ],
)
def test_a_name_is_remembered_in_any_character_set(tmp_path, charset, name):
    """As text, with its component groups; it is written as UTF-8 when results are filed."""
    (file,) = received(tmp_path / "study", count=1)
    dataset = pydicom.dcmread(tmp_path / "study" / file)
    dataset.SpecificCharacterSet, dataset.PatientName = charset, name
    dataset.save_as(tmp_path / "study" / file)

    assert identity_of(tmp_path / "study", [file], SECRET).attributes["PatientName"] == name


def test_the_stages_inputs_say_which_files(tmp_path):
    """The chosen series and no other: its study is the case's."""
    names = received(tmp_path / "study")
    (tmp_path / "selection.json").write_text(json.dumps({"instances": names[:2]}))
    (tmp_path / "secret").write_text(SECRET.hex() + "\n")
    inputs = {"study": tmp_path / "study", "selection": tmp_path / "selection.json", "secret": tmp_path / "secret"}

    assert len(remembered(inputs).uids) == 2 + 3


def test_a_file_that_cannot_be_read_is_refused_without_a_value(tmp_path):
    """The message counts; names of files stay out of it."""
    names = received(tmp_path / "study")
    (tmp_path / "study" / "Muster").write_bytes(bytes(200))

    with pytest.raises(DataError, match="one of 5 files") as refused:
        identity_of(tmp_path / "study", [*names, "Muster"], SECRET)

    assert "Muster" not in str(refused.value)
