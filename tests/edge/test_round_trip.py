"""The whole way against a real archive: a study is stored there, its results come back and are found under it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import highdicom as hd
import pydicom
import pytest

from algorithms.contract.case import Home
from algorithms.contract.execute import execute
from algorithms.contract.identity import remember
from algorithms.contract.inbox import admit
from algorithms.contract.store import open_store
from algorithms.coronary.pipeline import PIPELINE
from algorithms.dicom.identity import identity_of
from edge.deliver import deliver, objects_of
from edge.deliver import main as deliver_command
from edge.pseudonyms import main as pseudonyms_command
from edge.receipts import open_receipts
from edge.reidentify import Wanted, reidentify_results
from tests.algorithms.dicom.ct_series import IDENTITY, ROOT, assert_nameless, chest_hu, write_series
from tests.algorithms.dicom.results import small
from tests.edge.appliances import running, site, until, uploads
from tests.edge.images import send
from tests.services import orthanc

PROJECT = Path(__file__).resolve().parents[2]
CASE_ID = "0123456789abcdef"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def archive():
    """An Orthanc of this test's own."""
    with orthanc() as running:
        yield running


def query(archive, path, **wanted):
    """Return what QIDO-RS finds, as data sets."""
    request = urllib.request.Request(
        f"{archive.dicomweb}/{path}?{urllib.parse.urlencode(wanted)}", headers={"Accept": "application/dicom+json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return [pydicom.Dataset.from_json(entry) for entry in json.loads(response.read() or b"[]")]


def fetched(archive, uid, folder):
    """Return the file of an object as the archive gives it back."""
    (found,) = json.loads(
        urllib.request.urlopen(
            urllib.request.Request(
                f"{archive.url}/tools/find", json.dumps({"Level": "Instance", "Query": {"SOPInstanceUID": uid}}).encode()
            ),
            timeout=60,
        ).read()
    )
    path = folder / f"{uid}.dcm"
    path.write_bytes(urllib.request.urlopen(f"{archive.url}/instances/{found}/file", timeout=60).read())
    return path


@pytest.mark.parametrize("way", ["C-STORE", "STOW-RS"])
def test_results_are_found_under_the_original_study(archive, tmp_path, way):
    """Stored by dcmtk, de-identified, answered, filed again, delivered, and found by QIDO under UID and accession number."""
    originals = tmp_path / "originals"
    names = small.received(originals)
    host, _, port = archive.address.partition("@")[2].partition(":")
    sent = ["/usr/bin/storescu", "-aec", "ARCHIVE", host, port, *(str(originals / name) for name in names)]
    subprocess.run(sent, check=True, capture_output=True)
    home = Home(tmp_path / "home")
    home.vault.mkdir(parents=True)
    (home.vault / "secret").write_text(small.SECRET.hex() + "\n")
    remember(home, CASE_ID, identity_of(originals, names, small.SECRET))
    results = small.results(tmp_path / "results", small.deidentified(tmp_path / "images", originals), seed=way)

    reidentify_results(home, Wanted(results, CASE_ID), tmp_path / "out")
    with open_receipts(tmp_path / "receipts") as receipts:
        address = archive.address if way == "C-STORE" else archive.dicomweb
        done = deliver(objects_of(tmp_path / "out", preliminary=False), address, receipts)

    study = str(pydicom.dcmread(originals / names[0]).StudyInstanceUID)
    series = query(archive, f"studies/{study}/series", includefield="SeriesDescription")
    (found,) = query(archive, "studies", AccessionNumber=IDENTITY["AccessionNumber"], includefield="PatientName")
    assert done == {"there_before": 0, "sent": 3, "refused": 0, "failed": 0}
    assert {entry.Modality for entry in series} == {"CT", "SEG", "SR", "DOC"}
    assert (found.StudyInstanceUID, found.PatientName) == (study, IDENTITY["PatientName"])
    for path in objects_of(tmp_path / "out", preliminary=False):
        uid = str(pydicom.dcmread(path).SOPInstanceUID)
        assert pydicom.dcmread(fetched(archive, uid, tmp_path)) == pydicom.dcmread(path)
    report = next(entry for entry in query(archive, f"studies/{study}/instances", Modality="SR"))
    content = hd.sr.srread(fetched(archive, str(report.SOPInstanceUID), tmp_path)).content
    (group,) = content.get_volumetric_roi_measurement_groups()
    assert [number.value for number in group.get_measurements()] == [12.5]


def test_from_a_shell_a_case_is_filed_and_delivered_once(archive, tmp_path):
    """The two commands that a hospital runs; the second delivery sends nothing."""
    originals = tmp_path / "originals"
    names = small.received(originals)
    home = Home(tmp_path / "home")
    home.vault.mkdir(parents=True)
    (home.vault / "secret").write_text(small.SECRET.hex() + "\n")
    remember(home, CASE_ID, identity_of(originals, names, small.SECRET))
    small.results(tmp_path / "results", small.deidentified(tmp_path / "images", originals), seed="shell")

    def run(module, *arguments):
        command = [sys.executable, "-m", module, *map(str, arguments)]
        return json.loads(subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE).stdout)

    out = tmp_path / "out"
    run("edge.reidentify", "--case", CASE_ID, "--results", tmp_path / "results", "--out", out, "--home", home.root)
    told = [run("edge.deliver", "--results", out, "--to", archive.address, "--receipts", tmp_path / "r") for _ in range(2)]

    assert [(line["sent"], line["there_before"]) for line in told] == [(3, 0), (0, 3)]


def answered(at, folder):
    """Return the platform's home, its case of the one upload, and results of the images that it de-identified once more."""
    store = open_store(at.config.send.store)
    (upload,) = until(lambda: uploads(store))
    received = folder / "received"
    received.mkdir()
    for number, content in enumerate(at.opened(store, upload)):
        (received / str(number)).write_bytes(content)
    home = Home(folder / "platform")
    case = admit(received, PIPELINE.name, home)
    done = [execute(PIPELINE, PIPELINE.stage(name), case, home, {}) for name in ("receive", "deidentify")]
    return home, case, small.results(folder / "results", done[-1].folder / "dicom")


def test_what_the_appliance_sent_comes_home_in_one_step(archive, tmp_path, caplog, capsys):
    """Appliance, platform with pseudonyms of its own, results, and one command at the hospital; QIDO finds them."""
    caplog.set_level(logging.INFO)
    at = site(tmp_path, complete={"stable_s": 3})
    study = f"{ROOT}.2"  # the archive has one of the tests before
    originals = write_series(tmp_path / "originals", chest_hu(8), lambda data, _: setattr(data, "StudyInstanceUID", study))
    with running(at, None):
        send(at.config.listen.port, [pydicom.dcmread(path) for path in sorted(originals.iterdir())])
        until(lambda: at.counts().get("announced"))
    home, case, results = answered(at, tmp_path)

    told = ["--case", case.case_id, "--home", str(home.root), "--out", str(tmp_path / "pseudonyms.json")]
    assert 0 == pseudonyms_command(told)
    sent = ["--results", str(results), "--home", str(at.config.home), "--pseudonyms", str(tmp_path / "pseudonyms.json")]
    assert 0 == deliver_command([*sent, "--to", archive.dicomweb, "--receipts", str(tmp_path / "receipts")])

    (found,) = query(archive, "studies", StudyInstanceUID=study, includefield="PatientName,AccessionNumber")
    assert (found.PatientName, found.AccessionNumber) == (IDENTITY["PatientName"], IDENTITY["AccessionNumber"])
    assert {"SEG", "SR", "DOC"} <= {str(entry.Modality) for entry in query(archive, f"studies/{study}/series")}
    report = next(entry for entry in query(archive, f"studies/{study}/instances", Modality="SR"))
    filed = pydicom.dcmread(fetched(archive, str(report.SOPInstanceUID), tmp_path))
    referenced = {str(item.ReferencedSOPInstanceUID) for item in filed.CurrentRequestedProcedureEvidenceSequence[0]
                  .ReferencedSeriesSequence[0].ReferencedSOPSequence}  # fmt: skip
    assert referenced <= {f"{ROOT}.1.{number}" for number in range(1, 9)}
    assert str(filed.StudyDate) == "20260314"
    assert [] == [path for path in (at.config.home / "delivering").iterdir() if path.is_dir()]
    assert_nameless(caplog.text + "".join(capsys.readouterr()) + (tmp_path / "pseudonyms.json").read_text())
