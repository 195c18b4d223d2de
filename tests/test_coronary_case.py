"""Whole coronary cases from a shell: from DICOM to a report, with no truth as input."""

from __future__ import annotations

import html
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pydicom
import pytest

PROJECT = Path(__file__).resolve().parents[1]
SCHEMA = json.loads((PROJECT / "algorithms/coronary/result.schema.json").read_text())
REAL_DATA = os.environ.get("HEARTWOOD_REAL_DATA")


@dataclass(frozen=True)
class Answer:
    """What a shell got."""

    code: int
    summary: dict[str, Any]
    text: str
    home: Path

    @property
    def result(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(Path(self.summary["result"]).read_text())
        return result


def answer(study: Path, home: Path) -> Answer:
    """Run the whole pipeline on ``study``."""
    command = [sys.executable, "-m", "algorithms", "coronary", "--home", str(home), "--input", str(study)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    return Answer(done.returncode, json.loads(done.stdout), done.stdout + done.stderr, home)


def phantom(folder: Path, seed: int, size: str) -> Path:
    """Return the study folder of a synthetic examination."""
    command = [sys.executable, "-m", "algorithms.phantom", "coronary", str(folder), "--seed", str(seed), "--size", size]
    subprocess.run([*command, "--difficulty", "easy"], cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
    return folder / "study"


def identifying_values(study: Path) -> set[bytes]:
    """Return the values of the study's headers that name a person, a place or an object."""
    dataset = pydicom.dcmread(next(p for p in sorted(study.rglob("*")) if p.is_file()), stop_before_pixels=True)
    keywords = ("PatientName", "PatientID", "AccessionNumber", "InstitutionName", "StudyInstanceUID", "SeriesInstanceUID")
    values = {str(dataset[k].value) for k in keywords if k in dataset}
    values |= {part for part in str(dataset.PatientName).replace("^", " ").split() if len(part) > 3}
    return {value.encode() for value in values if value}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    return phantom(tmp_path_factory.mktemp("phantom"), seed=100, size="medium")


@pytest.fixture(scope="module")
def case(study, tmp_path_factory) -> Answer:
    return answer(study, tmp_path_factory.mktemp("home"))


@pytest.mark.slow
def test_a_study_ends_in_an_answer_with_a_report(case):
    """The answer keeps its published schema; exit code 0 also for a case that is held for review."""
    assert case.code == 0, case.text
    assert case.result["verdict"] in {"answered", "held"}
    jsonschema.validate(case.result, SCHEMA)
    assert Path(case.summary["html"]).stat().st_size > 50_000
    assert Path(case.summary["pdf"]).read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_nothing_of_the_identity_leaves_the_vault(study, case):
    """Every byte of every artefact, manifest and log line; the original is deleted."""
    values = identifying_values(study)
    files = [p for p in (case.home / "cases").rglob("*") if p.is_file()]

    assert len(values) >= 5
    assert len(files) > 100
    assert not list(case.home.glob("inbox/*/study"))
    assert not [value for value in values if value in case.text.encode()]
    leaks = [path for path in files if any(value in path.read_bytes() for value in values)]
    assert [] == leaks


@pytest.mark.slow
def test_a_dag_run_gives_the_same_bytes_as_a_shell(study, case, tmp_path):
    """Results depend on content, parameters and key alone: not on the time, the place or who starts a stage."""
    home = tmp_path / "home"
    (home / "vault").mkdir(parents=True)
    (home / "vault" / "secret").write_text((case.home / "vault" / "secret").read_text())
    receive = [sys.executable, "-m", "algorithms", "coronary", "receive", str(study), "--home", str(home)]
    received = json.loads(subprocess.run(receive, cwd=PROJECT, stdout=subprocess.PIPE, check=True).stdout)

    run_dag(received["case_id"], home, tmp_path / "airflow")

    assert case.summary["case_id"] == received["case_id"]
    assert written(Path(case.summary["case"])) == written(home / "cases" / received["case_id"])


def run_dag(case_id: str, home: Path, airflow_home: Path) -> None:
    """Run the DAG ``coronary_ffr`` in an Airflow of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    ours = {
        "AIRFLOW_HOME": str(airflow_home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__HEARTWOOD__HOME": str(home),
        "PYTHONPATH": str(PROJECT),
        "PYTHONWARNINGS": "ignore",
    }
    test = ["dags", "test", "coronary_ffr", "--conf", json.dumps({"case_id": case_id})]
    for arguments in (["db", "migrate"], test):
        command = [sys.executable, "-m", "airflow", *arguments]
        subprocess.run(command, cwd=PROJECT, env=kept | ours, check=True, capture_output=True)


def written(case: Path) -> dict[str, str]:
    """Return the sha256 of every artefact by stage and name."""
    manifests = [json.loads(path.read_text()) for path in case.glob("*/*/manifest.json")]
    assert len(manifests) == 11
    return {f"{m['stage']}/{name}": w["sha256"] for m in manifests for name, w in m["outputs"].items()}


@pytest.mark.slow
def test_a_second_run_of_a_case_computes_nothing(study, case):
    """Everything is found by its key, although the original is received again; it is deleted again."""
    again = answer(study, case.home)

    assert again.code == 0
    assert again.summary["result"] == case.summary["result"]
    assert not list(case.home.glob("inbox/*/study"))


def rejection(case: Answer) -> str:
    """Return the reason of a rejected case, after checking that it is a whole answer."""
    assert case.code == 65, case.text
    assert case.result["verdict"] == "rejected"
    jsonschema.validate(case.result, SCHEMA)
    assert Path(case.summary["pdf"]).read_bytes().startswith(b"%PDF")
    reason = case.result["reasons"][0]["message"]
    assert html.escape(reason[1:]) in Path(case.summary["html"]).read_text()  # a sentence of the page begins with a capital
    return str(reason)


def test_an_empty_folder_ends_in_a_report(tmp_path):
    """A report is always written."""
    (tmp_path / "empty").mkdir()

    assert "no file" in rejection(answer(tmp_path / "empty", tmp_path / "home"))


def test_files_that_are_no_dicom_end_in_a_report(tmp_path):
    """The files' names do not come back, they may be names of people."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "Muster^Max.txt").write_text("a letter")

    case = answer(tmp_path / "in", tmp_path / "home")

    assert "DICOM" in rejection(case)
    assert "Muster" not in case.text


@pytest.mark.skipif(REAL_DATA is None, reason="HEARTWOOD_REAL_DATA names no folder")
def test_a_real_trunk_ct_without_a_whole_heart_is_rejected_with_what_to_send(tmp_path):
    """Twenty slices of 2 mm cover 40 mm; a heart needs three times that."""
    case = answer(Path(str(REAL_DATA)) / "ct_siemens_contrast", tmp_path / "home")

    reason = rejection(case)
    assert "20 slices" in reason
    assert "send" in reason
