"""No identifying value anywhere: whole cases with planted identities through a real Airflow, then a search of all that it left.

Two Celery workers, a scheduler, a DAG processor and a web server on PostgreSQL and Redis; real stages on small phantoms.
Everything that they write is searched: logs, databases (XCom, rendered templates, DAG conf, results), case folders, store,
metrics, messages about failures.  Left out are the inbox and the vault, where identities belong.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases import PROJECT, phantom
from tests.faults.cluster import Cluster, cluster
from tests.planted import Needles, found_below, needles, of_slides, of_study
from tests.services import POSTGRES, statsd, webhook

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(2400)]

OUR_WORDS = {"Invented"}
"""The phantom's technician is called so, and every prostate report says by itself that it rests on invented men."""

SETTINGS = {"coronary_ffr": {"flow_model": "reduced", "lumen_model": "fine"}}
"""Flow in three dimensions and a second network would take most of the time and write nothing that the others do not."""

STUMBLES = '''\
"""A fault for one case: its stage stumbles over a value of the header and says so, as libraries do."""
import sys
from pathlib import Path

case_id = Path(__file__).with_name("stumbles").read_text()
if {"algorithms", "deidentify"} <= set(sys.orig_argv) and case_id in " ".join(sys.orig_argv):
    import algorithms.coronary.deidentify as stage

    def stumble(*_, **__):
        name = Path(__file__).with_name("name").read_text()
        try:
            int(name)
        except ValueError as error:
            raise KeyError(name) from error

    stage.run = stumble
'''


def named(study: Path, folder: Path, name: str) -> Path:
    """Return the study with its folder and files called by the person, as sites send it."""
    place = folder / f"{name} examination"
    place.mkdir(parents=True)
    for number, path in enumerate(sorted(p for p in study.rglob("*") if p.is_file())):
        path.rename(place / (path.name if path.suffix in {".svs", ".json"} else f"{name}_{number:04d}.dcm"))
    return place


def received(airflow: Cluster, pipeline: str, study: Path) -> str:
    """Return the id of the case that the study becomes."""
    command = [sys.executable, "-m", "algorithms", pipeline, "receive", str(study), "--home", str(airflow.home)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, check=False)
    if done.returncode:  # a refused study has a case too
        return max((airflow.home / "cases").iterdir(), key=lambda p: p.stat().st_mtime_ns).name
    return str(json.loads(done.stdout)["case_id"])


def dumped(airflow: Cluster, folder: Path) -> None:
    """Write all that the databases hold as text."""
    for database in ("airflow", "celery", "heartwood"):
        address = ["-h", "127.0.0.1", "-p", str(airflow.database.port), "-U", "heartwood", database]
        text = subprocess.run([str(POSTGRES / "pg_dump"), "--inserts", *address], capture_output=True, check=True).stdout
        assert text.count(b"INSERT INTO") > (5 if database == "heartwood" else 0)
        (folder / f"{database}.sql").write_bytes(text)


def test_no_planted_value_is_anywhere(tmp_path: Path) -> None:
    """An answered case of each diagnostic, one that stumbles over a name, and one that is refused."""
    heart = named(phantom("coronary", tmp_path / "heart", "--seed", "100"), tmp_path / "sent/heart", "Quastenflosser^Ottokar")
    other = named(phantom("coronary", tmp_path / "other", "--seed", "101"), tmp_path / "sent/other", "Zaunkoenig^Emil")
    slides = phantom("prostate", tmp_path / "slides", "--seed", "1")
    letter = tmp_path / "sent/letter"
    letter.mkdir()
    (letter / "Wanderfalke^Berta 19511224.txt").write_text("a letter about Wanderfalke, Berta")
    typed = {"Quastenflosser", "Ottokar", "Zaunkoenig", "Wanderfalke", "Berta", "19511224"}
    values = of_study(heart) | of_study(other) | of_slides(slides) | typed
    values -= OUR_WORDS
    assert len(values) > 300
    fault = tmp_path / "fault"
    fault.mkdir()
    (fault / "sitecustomize.py").write_text(STUMBLES)
    (fault / "name").write_text("Zaunkoenig^Emil")
    (fault / "stumbles").write_text("no case yet")

    with statsd() as metrics, webhook() as (port, messages):
        settings = metrics.environment | {
            "AIRFLOW_CONN_ON_CALL": f"http://127.0.0.1:{port}",
            "AIRFLOW__HEARTWOOD__NOTIFY": "http:on_call",
            "PYTHONPATH": f"{fault}:{PROJECT}",
            "PYTHONWARNINGS": "default",
        }
        with cluster(tmp_path / "cluster", **settings) as airflow:
            cases = [
                ("coronary_ffr", received(airflow, "coronary", heart)),
                ("prostate_risk", received(airflow, "prostate", slides)),
            ]
            cases += [("coronary_ffr", received(airflow, "coronary", letter))]
            stumbling = received(airflow, "coronary", other)
            (fault / "stumbles").write_text(stumbling)
            cases += [("coronary_ffr", stumbling)]
            runs = [airflow.trigger(dag_id, case_id, **SETTINGS.get(dag_id, {})) for dag_id, case_id in cases]
            states = airflow.wait_for_runs(runs, patience_s=900, limit_s=2000)
            airflow.wait("both messages", lambda: len(messages) == 2)
            dumped(airflow, tmp_path / "cluster")
        (tmp_path / "cluster" / "metrics").write_bytes(b"\n".join(metrics.datagrams))
        (tmp_path / "cluster" / "messages").write_bytes(b"\n".join(messages))

    assert [states[run] for run in runs] == ["success", "success", "failed", "failed"]
    check_searched(tmp_path / "cluster", stumbling)
    wanted: Needles = needles(values)
    home = tmp_path / "cluster" / "home"
    assert found_below(home / "inbox", wanted)  # where they belong: the refused letter stays for the site to look at
    assert found_below(tmp_path / "cluster", wanted, but=[home / "inbox", home / "vault"]) == []


def check_searched(folder: Path, stumbling: str) -> None:
    """Hold the search to what it must have seen: it would prove nothing on an empty folder."""
    logs = [path.read_text(errors="replace") for path in folder.rglob("*.log")]
    failure = json.loads((folder / "home/cases" / stumbling / "deidentify/failure.json").read_text())
    told = [json.loads(line) for line in (folder / "messages").read_text().splitlines()]
    dump = (folder / "airflow.sql").read_text()

    assert sum("stage deidentify " in log for log in logs) >= 3
    assert failure["message"] == "KeyError"
    assert "int(name)" in failure["traceback"]
    assert {(t["stage"], t["kind"]) for t in told} == {("receive", "data"), ("deidentify", "bug")}
    assert all(table in dump for table in ("INSERT INTO public.xcom", "INSERT INTO public.rendered_task_instance_fields"))
    assert b"heartwood.stage.duration" in (folder / "metrics").read_bytes()
    assert list((folder / "home/store").rglob("cost.json"))
