"""Results are the patient's again: filed under name, number and study, with every reference right, and never in silence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from fhir.resources.R4B.bundle import Bundle

from algorithms.contract.case import Home
from algorithms.contract.errors import DataError
from algorithms.contract.identity import Identity, record_of, remember
from algorithms.dicom.identity import identity_of
from algorithms.report import fhir
from edge.audit import append, audit_path, broken
from edge.fhir_identity import reidentify_bundle
from edge.pseudonyms import write_pseudonyms
from edge.reidentify import Wanted, reidentify_results
from tests.algorithms.dicom.ct_series import IDENTITY
from tests.algorithms.dicom.results import small
from tests.algorithms.dicom.results.small import day_of

PROJECT = Path(__file__).resolve().parents[2]
DCIODVFY = Path("/usr/bin/dciodvfy")
CASE_ID = "0123456789abcdef"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with the home, the originals, the pseudonymous images and the results of one case."""
    folder = tmp_path_factory.mktemp("case")
    names = small.received(folder / "originals")
    home = Home(folder / "home")
    home.vault.mkdir(parents=True)
    (home.vault / "secret").write_text(small.SECRET.hex() + "\n")
    remember(home, CASE_ID, identity_of(folder / "originals", names, small.SECRET))
    small.results(folder / "results", small.deidentified(folder / "images", folder / "originals"))
    reidentify_results(home, Wanted(folder / "results", CASE_ID), folder / "out")
    return folder


def objects(folder):
    """Return the DICOM objects in a folder by name."""
    return {path.name: pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))}


def test_results_carry_the_identity_of_the_original_study(made):
    """What an archive files by is equal, text by text, and nothing claims any more that it was removed."""
    original = pydicom.dcmread(made / "originals" / "000001")

    for dataset in objects(made / "out").values():
        for keyword in (
            "PatientName",
            "PatientID",
            "PatientBirthDate",
            "StudyInstanceUID",
            "AccessionNumber",
            "StudyDate",
            "StudyTime",
            "StudyID",
        ):
            assert dataset[keyword].value == original[keyword].value, keyword
        assert "PatientIdentityRemoved" not in dataset
        assert dataset.ContentDate == small.STUDY_DATE
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert objects(made / "out")["report.dcm"].AcquisitionDateTime == small.STUDY_DATE + "000000"


def test_every_reference_leads_to_an_original_image_or_another_result(made):
    """And no pseudonymous UID is left in any byte."""
    out = objects(made / "out")
    originals = {str(pydicom.dcmread(path).SOPInstanceUID) for path in (made / "originals").iterdir()}
    known = originals | {str(dataset.SOPInstanceUID) for dataset in out.values()}
    pseudonymous = {
        str(d[k].value)
        for d in objects(made / "images").values()
        for k in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
    }
    pseudonymous |= {str(dataset.SOPInstanceUID) for dataset in objects(made / "results").values()}

    referenced = set()
    for dataset in out.values():
        dataset.walk(lambda _, e: referenced.add(str(e.value)) if e.keyword == "ReferencedSOPInstanceUID" else None)
    assert referenced <= known
    assert originals <= referenced
    for path in (made / "out").iterdir():
        content = path.read_bytes()
        assert not [uid for uid in pseudonymous if uid.encode() in content], path.name
        assert small.PSEUDONYM.encode() not in content


def test_measurements_pixels_and_document_are_untouched(made):
    """The identity alone changes."""
    before, after = (hd.seg.segread(made / folder / "segmentation.dcm") for folder in ("results", "out"))
    report = hd.sr.srread(made / "out" / "measurements.dcm").content
    (group,) = report.get_volumetric_roi_measurement_groups()

    assert np.array_equal(before.pixel_array, after.pixel_array)
    assert [number.value for number in group.get_measurements()] == [12.5]
    assert group.tracking_uid == after.get_tracking_ids()[0][1]
    assert (
        objects(made / "out")["report.dcm"].EncapsulatedDocument == objects(made / "results")["report.dcm"].EncapsulatedDocument
    )


@pytest.fixture(scope="module")
def bundles(made):
    """Return a bundle of the case, with the objects as series of its study, before and after."""
    results = objects(made / "results")
    study = str(results["report.dcm"].StudyInstanceUID)
    named = fhir.namer("a seed")
    patient = fhir.patient(named("patient"), small.PSEUDONYM, "M")
    device = fhir.device(named("device"), "Test", "1.2.3")
    imaging = {
        "resourceType": "ImagingStudy", "id": named("study"), "status": "available", "started": "2023-05-21",
        "identifier": [{"system": fhir.DICOM_UID, "value": f"urn:oid:{study}"}], "subject": fhir.reference(patient),
        "series": [
            {
                "uid": str(d.SeriesInstanceUID), "modality": {"system": fhir.SYSTEMS["DCM"], "code": str(d.Modality)},
                "instance": [{"uid": str(d.SOPInstanceUID), "sopClass": {"code": f"urn:oid:{d.SOPClassUID}"}}],
            }
            for d in results.values()
        ],
    }  # fmt: skip
    value = fhir.quantity(0.81, "1")
    about = {"patient": patient, "device": device, "study": imaging}
    code = fhir.coded(("371842003", "SCT", "Fractional flow reserve"))
    observation = fhir.observation(named("LAD"), code, about, status="final", when="2023-05-21", value=value)
    before = fhir.bundle(named("bundle"), [patient, device, imaging, observation])
    identity = identity_of(made / "originals", [path.name for path in sorted((made / "originals").iterdir())], small.SECRET)
    return before, reidentify_bundle(before, identity, small.SECRET)


def test_the_bundle_is_about_the_patient_and_names_the_objects_as_the_archive_does(made, bundles):
    """Study and series as they are filed, the study's own day, and a bundle that is still valid."""
    patient, _, imaging, observation = (entry["resource"] for entry in bundles[1]["entry"])
    out = objects(made / "out")

    Bundle.model_validate(bundles[1])
    assert patient["identifier"][0]["value"] == IDENTITY["PatientID"]
    assert patient["name"] == [{"family": "Quastenflosser", "given": ["Ottokar"]}]
    assert patient["birthDate"] == "1951-12-24"
    assert imaging["identifier"][0]["value"] == f"urn:oid:{out['report.dcm'].StudyInstanceUID}"
    assert imaging["identifier"][1]["value"] == IDENTITY["AccessionNumber"]
    assert [(s["uid"], s["instance"][0]["uid"]) for s in imaging["series"]] == [
        (str(d.SeriesInstanceUID), str(d.SOPInstanceUID)) for d in out.values()
    ]
    assert imaging["started"] == observation["effectiveDateTime"] == day_of(small.STUDY_DATE).isoformat()
    assert observation["valueQuantity"]["value"] == 0.81


def test_nothing_in_the_patients_bundle_leads_back_to_the_pseudonymous_one(bundles):
    """Neither pseudonym nor id nor UID; references still lead to a resource."""
    before, after = (json.dumps(bundle) for bundle in bundles)
    ids = {entry["resource"]["id"] for entry in bundles[0]["entry"]} | {bundles[0]["id"]}
    uids = {part for part in before.replace('"', " ").replace("urn:oid:", " ").split() if part.startswith("2.25.")}

    assert len(ids) == 5
    assert len(uids) >= 7
    assert not [value for value in ids | uids | {small.PSEUDONYM} if value in after]
    known = {entry["fullUrl"] for entry in bundles[1]["entry"]}
    assert {bundles[1]["entry"][3]["resource"][name]["reference"] for name in ("subject", "device")} <= known


def test_a_bundle_of_another_study_is_refused(bundles):
    """As the objects are."""
    with pytest.raises(DataError, match="of another study"):
        reidentify_bundle(bundles[0], Identity({"PatientID": "4711"}, {"2.25.1": "1.2.3"}), small.SECRET)


def test_the_same_results_are_filed_under_the_same_uids(made, tmp_path):
    """A second try of a delivery must not make a second report in the archive."""
    reidentify_results(Home(made / "home"), Wanted(made / "results", CASE_ID), tmp_path / "again")

    for name in objects(made / "out"):
        assert (made / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@pytest.mark.skipif(not DCIODVFY.exists(), reason="dciodvfy (dicom3tools) is not installed")
def test_an_independent_validator_finds_no_error_after_it(made):
    """Empty values that become full, and UTF-8, are where an error would come in."""
    for path in sorted((made / "out").glob("*.dcm")):
        said = subprocess.run([DCIODVFY, path], capture_output=True, text=True, check=False)
        assert [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")] == [], path.name


def test_who_asked_is_written_before_anything_is_looked_up(made, tmp_path):
    """Also when nothing comes of it: the case is not known here."""
    home = Home(tmp_path / "home")

    with pytest.raises(DataError, match="nothing is remembered here"):
        reidentify_results(home, Wanted(made / "results", "f" * 16), tmp_path / "out")

    (line,) = audit_path(home).read_text().splitlines()
    told = json.loads(line)
    assert (told["action"], told["case_id"], told["objects"]) == ("reidentify", "f" * 16, 3)
    assert told["who"]
    assert not (tmp_path / "out").exists()


def test_without_an_audit_nothing_is_looked_up(made, tmp_path):
    """A folder stands where the file should be: not even root can write the line."""
    home = Home(tmp_path / "home")
    remember(home, CASE_ID, Identity({"PatientID": "x"}, {}))
    audit_path(home).mkdir()

    with pytest.raises(DataError, match="audit of the vault cannot be written"):
        reidentify_results(home, Wanted(made / "results", CASE_ID), tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_results_of_another_study_are_refused_and_leave_nothing(made, tmp_path):
    """One patient's name on another one's result is the worst that this command could do."""
    home = Home(tmp_path / "home")
    remember(home, CASE_ID, Identity({"PatientID": "4711"}, {"2.25.1": "1.2.3"}))

    with pytest.raises(DataError, match="of another study") as refused:
        reidentify_results(home, Wanted(made / "results", CASE_ID), tmp_path / "out")

    assert "4711" not in str(refused.value)
    assert list((tmp_path / "out").iterdir()) == []


def with_platform(made, folder, attributes=None):
    """Return an appliance's home, that of a platform whose originals are ``made``'s, and the study as the appliance knows it.

    Its UIDs have a "7." before those of ``made``'s originals.
    """
    names = [path.name for path in (made / "originals").iterdir()]
    second = identity_of(made / "originals", names, small.SECRET)
    hospital, platform = Home(folder / "hospital"), Home(folder / "platform")
    firsts = {first: f"7.{first}" for first in second.uids.values()}
    study = str(pydicom.dcmread(made / "originals" / names[0]).StudyInstanceUID)
    remember(hospital, record_of(hospital, study), Identity({"PatientID": "4711", "StudyDate": "20260214"}, firsts))
    told = {"PatientID": small.PSEUDONYM, "PatientName": small.PSEUDONYM, "StudyDate": "20230102"}
    remember(platform, CASE_ID, Identity(attributes or told, second.uids))
    return hospital, platform, f"7.{study}"


def test_results_of_a_study_that_was_sent_to_a_platform_come_home_in_one_step(made, tmp_path):
    """Pseudonyms of pseudonyms become the originals, on the original's day; the platform's file alone leads nowhere."""
    hospital, platform, study = with_platform(made, tmp_path)
    write_pseudonyms(platform, CASE_ID, tmp_path / "p.json")

    reidentify_results(hospital, Wanted(made / "results", pseudonyms=tmp_path / "p.json"), tmp_path / "out")

    for dataset in objects(tmp_path / "out").values():
        assert (dataset.PatientID, dataset.StudyInstanceUID, dataset.StudyDate) == ("4711", study, "20260214")
    report = objects(tmp_path / "out")["measurements.dcm"]
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    named = [str(item.ReferencedSOPInstanceUID) for series in evidence for item in series.ReferencedSOPSequence]
    assert [uid.startswith("7.") for uid in named].count(True) == 4
    assert [json.loads(line)["action"] for line in audit_path(platform).read_text().splitlines()] == ["pseudonyms"]
    assert "4711" not in (tmp_path / "p.json").read_text()
    assert (tmp_path / "p.json").stat().st_mode & 0o077 == 0


def test_results_that_carry_the_first_pseudonyms_name_their_study_themselves(made, tmp_path):
    """As those of a study that the command has de-identified; no case has to be named."""
    home = Home(tmp_path / "home")
    names = [path.name for path in (made / "originals").iterdir()]
    identity = identity_of(made / "originals", names, small.SECRET)
    study = str(objects(made / "results")["report.dcm"].StudyInstanceUID)
    remember(home, record_of(home, study), identity)

    reidentify_results(home, Wanted(made / "results"), tmp_path / "out")

    assert {d.PatientID for d in objects(tmp_path / "out").values()} == {IDENTITY["PatientID"]}


def test_a_study_that_nobody_knows_any_more_is_said_so(made, tmp_path):
    """Another home, or the record was destroyed in time; or the file is of another case, or none."""
    (tmp_path / "other").write_text('{"uids": {"2.25.1": "2.25.2"}}')
    (tmp_path / "torn").write_text('{"uids": [')
    wrong = {"none": "cannot be read", "other": "of another case", "torn": "is none"}

    with pytest.raises(DataError, match="knows no study of these results"):
        reidentify_results(Home(tmp_path / "home"), Wanted(made / "results"), tmp_path / "out")
    for name, message in wrong.items():
        with pytest.raises(DataError, match=message):
            reidentify_results(Home(tmp_path / "home"), Wanted(made / "results", pseudonyms=tmp_path / name), tmp_path / "out")


@pytest.mark.parametrize("name", [{"PatientID": "4711"}, {}, {"PatientName": "HWABCDEFGHIJ", "PatientID": "HWABCDEFGHI1"}])
def test_no_file_of_pseudonyms_is_made_of_a_case_that_came_with_an_identity(made, tmp_path, name):
    """It would hold the original UIDs; 1 is no digit of a pseudonym."""
    _, platform, _ = with_platform(made, tmp_path, name | {"StudyDate": "20260214"})

    with pytest.raises(DataError, match="under the name of a person"):
        write_pseudonyms(platform, CASE_ID, tmp_path / "p.json")
    assert not (tmp_path / "p.json").exists()


def test_a_line_of_the_audit_that_was_changed_shows(tmp_path):
    """Each line holds the hash of the one before."""
    home = Home(tmp_path / "home")
    for number in range(4):
        append(home, "reidentify", CASE_ID, number)
    whole = broken(home)
    lines = audit_path(home).read_text().splitlines()
    audit_path(home).write_text("\n".join([lines[0], lines[1].replace('"objects": 1', '"objects": 7'), *lines[2:]]) + "\n")
    changed = broken(home)
    audit_path(home).write_text("\n".join([lines[0], *lines[2:]]) + "\n")

    assert (whole, changed, broken(home)) == (None, 3, 2)


def test_from_a_shell_it_says_a_count_and_no_value(made, bundles, tmp_path):
    """One line of JSON; neither output nor log holds a value of the patient."""
    (tmp_path / "fhir.json").write_text(json.dumps(bundles[0]))
    command = [sys.executable, "-m", "edge.reidentify", "--case", CASE_ID, "--results", str(made / "results")]
    command += ["--fhir", str(tmp_path / "fhir.json")]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out"), "--home", str(made / "home")],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"case_id": CASE_ID, "objects": 4}
    assert json.loads((tmp_path / "out" / "fhir.json").read_text()) == bundles[1]
    assert not [value for value in IDENTITY.values() if value in done.stdout + done.stderr]
