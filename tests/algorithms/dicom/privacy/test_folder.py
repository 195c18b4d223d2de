"""The command on a folder of everything: what comes out, what is refused, and that nothing of a person is told anywhere."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.config import disable_value_validation

from algorithms.contract.case import Home
from algorithms.contract.errors import DataError
from algorithms.contract.identity import recall, record_of
from algorithms.dicom import deidentify
from algorithms.dicom.identity import identity_of
from algorithms.dicom.privacy.folder import deidentify_folder
from algorithms.dicom.privacy.policy import DEFAULT
from tests.algorithms.dicom.ct_series import IDENTITY, ROOT, assert_nameless, image, write_series

PIXELS = np.random.default_rng(0).integers(-100, 300, (4, 16, 16)).astype(np.int16)
SECRET = bytes(range(32))


def other_patient(dataset, number):
    dataset.PatientID, dataset.PatientName = "ZK4410", "Zaunkoenig^Emil"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.88", "1.2.3.88.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.88.1.{number}"


def second_study(dataset, number):
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{ROOT}.77", f"{ROOT}.77.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.77.1.{number}"
    dataset.StudyDate = "20260401"
    if number == 2:
        dataset.PatientID = ""  # a reconstruction that lost it: still the patient of its study


def bomb() -> bytes:
    data = deflated_head()
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return data + (packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)) * 400 + packer.flush()


def deflated_head() -> bytes:
    syntax = b"1.2.840.10008.1.2.1.99"
    element = b"\x02\0\x10\0UI" + struct.pack("<H", len(syntax)) + syntax
    return b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL\x04\0" + struct.pack("<L", len(element)) + element


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> tuple[Path, Path, Path, dict]:
    """Two patients, three studies, and one of each kind of file that is refused; run once."""
    folder = tmp_path_factory.mktemp("mixed")
    source = folder / "in"
    write_series(source / "Quastenflosser", PIXELS)
    write_series(source / "deep/er", PIXELS, second_study, series=2)
    write_series(source / "other", PIXELS, other_patient)
    (source / "letter of Quastenflosser.txt").write_text("Quastenflosser")
    (source / "empty").write_bytes(b"")
    (source / "bomb").write_bytes(bomb())
    with disable_value_validation():
        for name, changes in {
            "capture": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
            "sheet": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
            "burned": {"BurnedInAnnotation": "YES"},
        }.items():
            dataset = image(PIXELS[0], 50)
            for keyword, value in changes.items():
                setattr(dataset, keyword, value)
            dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
            dataset.save_as(source / name, enforce_file_format=True)
    cut = sorted((source / "other").iterdir())[0]
    cut.write_bytes(cut.read_bytes()[:700])
    summary = deidentify_folder(source, folder / "out", SECRET, DEFAULT, folder / "quarantine")
    return source, folder / "out", folder / "quarantine", summary


def test_patients_and_studies_are_told_apart_and_named_anew(mixed):
    """OUT/<patient>/<study>/<series>/0001.dcm; the name of no folder and no file is one of the input's."""
    _, out, _, summary = mixed

    files = sorted(str(path.relative_to(out)) for path in out.rglob("*.dcm"))
    assert (summary["patients"], summary["studies"], summary["series"], summary["files_written"]) == (2, 3, 3, 11)
    assert len(files) == 11
    assert {Path(name).name for name in files} == {"0001.dcm", "0002.dcm", "0003.dcm", "0004.dcm"}
    for name in files:
        dataset = pydicom.dcmread(out / name, stop_before_pixels=True)
        assert Path(name).parts[:3] == (dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID)


def test_dates_of_one_patient_keep_their_distance_over_studies(mixed):
    """14 March and 1 April 2026 are 18 days apart, and stay so; the image without PatientID moves with its study."""
    _, out, _, _ = mixed
    dates: dict[str, set[str]] = {}
    for path in out.rglob("*.dcm"):
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        dates.setdefault(dataset.PatientID, set()).add(dataset.StudyDate)

    days = sorted(np.datetime64(f"{d[:4]}-{d[4:6]}-{d[6:]}") for d in max(dates.values(), key=len))
    assert len(days) == 2
    assert days[1] - days[0] == np.timedelta64(18, "D")


def test_refused_files_are_counted_and_kept_with_their_reason(mixed):
    """One of each kind; what is kept is byte for byte what was sent, under a name that says nothing."""
    source, _, quarantine, summary = mixed

    assert summary["files_read"] == 18
    assert summary["refused"] == {
        "burned-in text": 1, "damaged": 1, "localizer": 1, "not DICOM": 2, "secondary capture": 1, "too large": 1
    }  # fmt: skip
    kept = sorted(quarantine.glob("*.dcm"))
    originals = {path.read_bytes() for path in source.rglob("*") if path.is_file()}
    assert len(kept) == 7
    assert all(path.read_bytes() in originals for path in kept)
    for path in kept:
        assert path.stat().st_mode & 0o077 == 0
        assert len(path.stem) == 32
        assert_nameless(path.with_suffix(".json").read_text())


def test_nothing_of_a_person_is_in_the_output(mixed):
    """All bytes of images, privacy.json and summary, and all names."""
    _, out, _, summary = mixed
    written = b"".join(path.read_bytes() + str(path).encode() for path in out.rglob("*") if path.is_file())
    written = (written + json.dumps(summary).encode()).lower()

    for value in [*IDENTITY.values(), ROOT, "Zaunkoenig", "ZK4410", "20260314"]:
        for part in value.replace("^", " ").split():
            if len(part) > 4:
                assert part.lower().encode() not in written, part


def test_each_study_has_a_privacy_manifest(mixed):
    """Actions by keyword, policy, edition, counts and what the search found; no values."""
    _, out, _, _ = mixed

    documents = [json.loads(path.read_text()) for path in out.glob("*/*/privacy.json")]
    assert len(documents) == 3
    assert {document["edition"] for document in documents} == {"2024e"}
    assert sum(document["files"] for document in documents) == 11
    assert all(document["scan"]["values_found"] == 0 for document in documents)
    assert all(document["attributes"]["PatientName"] == {"D": document["files"]} for document in documents)


def test_a_second_run_gives_the_same_bytes(mixed, tmp_path):
    """Names, UIDs, dates and files hang on content and key alone."""
    source, out, _, summary = mixed

    again = deidentify_folder(source, tmp_path / "out", SECRET, DEFAULT, None)

    assert again == summary
    first = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert {p.relative_to(tmp_path / "out"): p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == first


def test_a_value_that_is_found_stops_its_patient_and_no_other(tmp_path):
    """16-bit pixels that spell the name: nothing of that patient is written, all of the other one."""

    def spelt(dataset, number):
        dataset.BitsStored, dataset.HighBit = 16, 15
        if number == 2:
            dataset.PixelData = dataset.PixelData[:100] + b"QUASTENFLOSSER" + dataset.PixelData[114:]

    write_series(tmp_path / "in/a", PIXELS, spelt)
    write_series(tmp_path / "in/b", PIXELS, other_patient)

    summary = deidentify_folder(tmp_path / "in", tmp_path / "out", SECRET, DEFAULT, tmp_path / "q")

    assert summary["patients_stopped"] == 1
    assert "PatientName in 1 files" in summary["values_found_in"]
    assert summary["files_written"] == 4
    assert summary["refused"] == {"value found in output": 4}
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 4


def test_what_an_option_keeps_is_no_leak(tmp_path):
    """UIDs and the institution stay on purpose, wherever else they stand."""

    def repeated(dataset, _number):
        dataset.InstitutionalDepartmentName = "Radiologie"
        dataset.ImageComments = f"{IDENTITY['InstitutionName']} {ROOT}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID

    write_series(tmp_path / "in", PIXELS, repeated)
    policy = {"version": 1, "options": ["retain_uids", "retain_institution_identity", "retain_full_dates"]}

    summary = deidentify_folder(tmp_path / "in", tmp_path / "out", SECRET, policy, None)

    assert (summary["patients_stopped"], summary["files_written"]) == (0, 4)


@pytest.mark.parametrize("options", [DEFAULT["options"], [*DEFAULT["options"], "retain_uids"]], ids=["default", "UIDs kept"])
def test_the_vault_remembers_who_each_study_is_about(tmp_path, options):
    """Found by the StudyInstanceUID of the output; what was refused is not in it, and no file of the vault can be read."""

    def capture(dataset, number):
        if number == 4:
            dataset.ImageType = ["DERIVED", "SECONDARY", "SCREEN SAVE"]

    write_series(tmp_path / "in/one", PIXELS, capture)
    write_series(tmp_path / "in/other", PIXELS[:2], other_patient)
    home = Home(tmp_path / "home")
    policy = DEFAULT | {"options": options}
    summary = deidentify_folder(tmp_path / "in", tmp_path / "out", SECRET, policy, None, home=home)
    outputs = [pydicom.dcmread(path) for path in sorted((tmp_path / "out").rglob("0001.dcm"))]
    found = [recall(home, record_of(home, str(data.StudyInstanceUID))) for data in outputs]
    found.sort(key=lambda identity: identity.attributes["PatientID"])

    wanted = [identity_of(tmp_path / "in", names, SECRET) for names in
              ([f"one/00000{n}" for n in (1, 2, 3)], ["other/000001", "other/000002"])]  # fmt: skip
    assert [identity.attributes for identity in found] == [identity.attributes for identity in wanted]
    assert [sorted(i.uids.values()) for i in found] == [sorted(i.uids.values()) for i in wanted]
    assert {str(data.SOPInstanceUID) for data in outputs} <= {uid for identity in found for uid in identity.uids}
    assert (summary["studies_remembered"], len(found[0].uids)) == (2, 3 + 3)
    for path in home.vault.rglob("*"):
        assert path.is_dir() or not [value for value in IDENTITY.values() if value.encode() in path.read_bytes()]


def test_a_key_is_made_once_for_its_owner_only(tmp_path):
    """64 hexadecimal digits, mode 0600; the second call reads it."""
    key = deidentify.key_of(tmp_path / "keys/site.key")

    assert (tmp_path / "keys/site.key").stat().st_mode & 0o777 == 0o600
    assert len(key) == 32
    assert deidentify.key_of(tmp_path / "keys/site.key") == key


@pytest.mark.parametrize(
    ("content", "mode", "found"), [("ab" * 32, 0o640, "mode 0640, wanted 0600"), ("secret", 0o600, "holds no key")]
)
def test_a_key_that_others_can_read_or_that_is_none_is_refused(tmp_path, content, mode, found):
    """Who has the key can test whether a pseudonym belongs to an identifier."""
    path = tmp_path / "key"
    path.write_text(content)
    path.chmod(mode)

    with pytest.raises(DataError, match=found):
        deidentify.key_of(path)


def test_the_command_writes_its_summary_and_refuses_a_full_folder(tmp_path, capsys):
    """One line of JSON on standard output; a second run into the same folder would mix two results."""
    write_series(tmp_path / "in", PIXELS)
    words = [str(tmp_path / "in"), str(tmp_path / "out"), "--key-file", str(tmp_path / "key")]

    assert deidentify.run(words) == 0

    assert json.loads(capsys.readouterr().out)["files_written"] == 4
    with pytest.raises(DataError, match="OUT is not empty"):
        deidentify.run(words)


@pytest.mark.parametrize(
    ("places", "found"),
    [
        pytest.param({"--key-file": "out/key"}, "the key file lies in OUT", id="key in OUT"),
        pytest.param({"--quarantine": "out/q"}, "the quarantine lies in OUT", id="quarantine in OUT"),
        pytest.param({"--quarantine": "link/q"}, "the quarantine lies in OUT", id="quarantine in OUT by a link"),
        pytest.param({"--quarantine": "in/q"}, "the quarantine lies in IN", id="quarantine in IN"),
        pytest.param({"--vault": "out"}, "the vault lies in OUT", id="vault in OUT"),
        pytest.param({"--vault": "in"}, "the vault lies in IN", id="vault in IN"),
        pytest.param({"out": "in/out"}, "OUT lies in IN", id="OUT in IN"),
        pytest.param({"out": "."}, "IN lies in OUT", id="IN in OUT"),
    ],
)
def test_originals_and_results_must_be_apart(tmp_path, places, found):
    """OUT is handed on whole, and IN is read whole: neither key nor originals may be in the one, no result in the other."""
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    given = {"out": "out", "--key-file": "key", "--quarantine": "q"} | places
    words = [str(tmp_path / "in"), str(tmp_path / given.pop("out"))]

    with pytest.raises(DataError, match=found):
        deidentify.run([*words, *(word for name, place in given.items() for word in (name, str(tmp_path / place)))])

    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "link"]


def test_a_folder_without_images_ends_with_65(tmp_path, capsys):
    """A person must act; the summary says why each file was refused."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "Quastenflosser.txt").write_text("a letter")

    code = deidentify.run([str(tmp_path / "in"), str(tmp_path / "out"), "--key-file", str(tmp_path / "key")])

    printed = capsys.readouterr()
    assert code == 65
    assert json.loads(printed.out)["refused"] == {"not DICOM": 1}
    assert_nameless(printed.out + printed.err)
