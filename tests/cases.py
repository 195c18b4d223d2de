"""Whole cases from a shell and as DAG runs, for the tests of every diagnostic."""

from __future__ import annotations

import html
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

from algorithms.contract.catalogue import pipelines

PROJECT = Path(__file__).resolve().parents[1]
REAL_DATA = os.environ.get("HEARTWOOD_REAL_DATA")


@dataclass(frozen=True)
class Answer:
    """What a shell got."""

    pipeline: str
    code: int
    summary: dict[str, Any]
    text: str
    home: Path

    @property
    def result(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(Path(self.summary["result"]).read_text())
        return result

    def checked(self) -> Answer:
        """Return this answer after holding it to its published schema and looking for the page and the PDF."""
        jsonschema.validate(self.result, json.loads((PROJECT / f"algorithms/{self.pipeline}/result.schema.json").read_text()))
        assert Path(self.summary["html"]).stat().st_size > 20_000
        assert Path(self.summary["pdf"]).read_bytes().startswith(b"%PDF")
        return self


def answer(pipeline: str, study: Path, home: Path, *settings: str) -> Answer:
    """Run the whole pipeline on ``study``; ``settings`` are ``name=value``."""
    command = [sys.executable, "-m", "algorithms", pipeline, "--home", str(home), "--input", str(study)]
    given = [text for setting in settings for text in ("--set", setting)]
    done = subprocess.run([*command, *given], cwd=PROJECT, capture_output=True, text=True, check=False)
    return Answer(pipeline, done.returncode, json.loads(done.stdout), done.stdout + done.stderr, home)


def phantom(pipeline: str, folder: Path, *choices: str) -> Path:
    """Return the study folder of a synthetic examination; ``truth`` lies beside it."""
    command = [sys.executable, "-m", "algorithms.phantom", pipeline, str(folder), *choices]
    subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return folder / "study"


def rejection(case: Answer) -> str:
    """Return the reason of a rejected case, after checking that it is a whole answer."""
    assert case.code == 65, case.text
    assert case.result["verdict"] == "rejected"
    case.checked()
    reason = case.result["reasons"][0]["message"]
    assert reason[1:] in html.unescape(Path(case.summary["html"]).read_text())  # a sentence of the page begins with a capital
    return str(reason)


def leaks(case: Answer, values: set[bytes]) -> list[str]:
    """Return where one of the values is found: in a file of the case, or in what the shell was told."""
    files = [p for p in (case.home / "cases").rglob("*") if p.is_file()]
    assert len(files) > 20
    found = [str(path.relative_to(case.home)) for path in files if any(value in path.read_bytes() for value in values)]
    return found + ["the log" for value in values if value in case.text.encode()]


def dag_run_of(case: Answer, dag_id: str, study: Path, folder: Path, **parameters: float | str) -> Path:
    """Answer the study of ``case`` again as a DAG run with the same key and ``parameters``; return the new case folder."""
    home = home_with_key_of(case, folder / "home")
    receive = [sys.executable, "-m", "algorithms", case.pipeline, "receive", str(study), "--home", str(home)]
    received = json.loads(subprocess.run(receive, cwd=PROJECT, stdout=subprocess.PIPE, check=True).stdout)
    assert case.summary["case_id"] == received["case_id"]
    run_dag(dag_id, received["case_id"], home, folder / "airflow", parameters)
    return home / "cases" / str(received["case_id"])


def home_with_key_of(case: Answer, home: Path) -> Path:
    """Return a new home that gives equal studies the ids and pseudonyms that the home of ``case`` gives them."""
    (home / "vault").mkdir(parents=True)
    (home / "vault" / "secret").write_text((case.home / "vault" / "secret").read_text())
    return home


def run_dag(
    dag_id: str,
    case_id: str,
    home: Path,
    airflow_home: Path,
    parameters: Mapping[str, float | str] | None = None,
    **settings: str,
) -> None:
    """Run a DAG in an Airflow of its own with ``parameters`` of the case; ``settings`` are those of ``[heartwood]``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    ours = {
        "AIRFLOW_HOME": str(airflow_home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__HEARTWOOD__HOME": str(home),
        **{f"AIRFLOW__HEARTWOOD__{name.upper()}": value for name, value in settings.items()},
        "PYTHONPATH": str(PROJECT),
        "PYTHONWARNINGS": "ignore",
    }
    for arguments in (
        ["db", "migrate"],
        ["dags", "test", dag_id, "--conf", json.dumps({"case_id": case_id} | dict(parameters or {}))],
    ):
        command = [sys.executable, "-m", "airflow", *arguments]
        done = subprocess.run(command, cwd=PROJECT, env=kept | ours, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def written(case: Path) -> dict[str, str]:
    """Return the sha256 of every artefact by stage and name."""
    manifests = [json.loads(path.read_text()) for path in case.glob("*/*/manifest.json")]
    assert len({m["stage"] for m in manifests}) == len(pipelines()[manifests[0]["pipeline"]].stages)
    return {f"{m['stage']}/{name}": w["sha256"] for m in manifests for name, w in m["outputs"].items()}
