"""Whole cases in the real images: in containers through the real DAG, and as the pod that Kubernetes would be given."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from algorithms.contract.case import Case, Home
from algorithms.contract.catalogue import pipeline
from algorithms.contract.errors import DataError, TransientError
from algorithms.contract.inbox import admit
from algorithms.contract.pipeline import Resources
from operators.runners.container import ContainerStage
from operators.runners.kubernetes import KubernetesStage
from tests.cases import Answer, answer, home_with_key_of, phantom, run_dag, written
from tests.docker.images import USER, engine
from tests.operators.airflow_home import DATA
from tests.services import Podman

pytestmark = [
    pytest.mark.slow,
    pytest.mark.system,
    pytest.mark.container,
    pytest.mark.timeout(3600),  # the first test of a session builds the images
    # The provider leaves the stream of a container's log open; in Airflow its process ends with the task.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

SETTINGS = {"flow_model": "reduced", "lumen_model": "fine"}
"""What is quick: these tests are about where a case is computed."""


@pytest.fixture(scope="module")
def podman(stage_image: str) -> Iterator[Podman]:
    with engine(stage_image) as running:
        yield running


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantom("coronary", tmp_path_factory.mktemp("phantom"), "--seed", "100", "--size", "small")


@pytest.fixture(scope="module")
def local(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """The case as processes of this machine answer it."""
    return answer("coronary", study, tmp_path_factory.mktemp("home"), *(f"{name}={value}" for name, value in SETTINGS.items()))


def give(folder: Path) -> None:
    """Give a folder to the user that the images run as: the containers of this test are not root, as the test itself is."""
    uid, gid = map(int, USER.split(":"))
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, gid)


def test_a_whole_case_in_containers_ends_in_the_bytes_of_a_local_one(
    study: Path, local: Answer, podman: Podman, tmp_path: Path
) -> None:
    """Every stage of a DAG run in the image of a stage, without root and without network; a report at the end."""
    home = home_with_key_of(local, tmp_path / "home")
    case = admit(study, "coronary", Home(home))
    give(home)
    place = {"runner": "container", "image": podman.image, "container_url": podman.socket, "container_user": USER}

    run_dag("coronary_ffr", case.case_id, home, tmp_path / "airflow", SETTINGS, **place)

    manifests = [json.loads(path.read_text()) for path in case.folder.glob("*/*/manifest.json")]
    (report,) = case.folder.glob("report/*/report.pdf")
    assert written(Path(local.summary["case"])) == written(case.folder)
    assert {m["image"] for m in manifests} == {podman.image}
    assert report.read_bytes().startswith(b"%PDF")
    assert podman.run("ps", "--all", "--quiet", "--filter", "label=heartwood.task") == ""


# -- single stages


@pytest.fixture
def letter(tmp_path: Path, podman: Podman, monkeypatch: pytest.MonkeyPatch) -> Case:
    """A case whose study is a letter, received where containers of the image may write."""
    settings = {
        "RUNNER": "container",
        "STUB": "False",
        "IMAGE": podman.image,
        "CONTAINER_URL": podman.socket,
        "CONTAINER_USER": USER,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"AIRFLOW__HEARTWOOD__{name}", value)
    monkeypatch.setattr("operators.stage.VISIBLE_S", 0)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "letter").write_text(str(tmp_path))
    case = admit(tmp_path / "study", "coronary", Home(DATA))
    give(DATA)
    return case


def told(stage: str, case: Case) -> dict[str, Any]:
    """Return what an operator of a stage is told."""
    return {"task_id": stage, "pipeline": "coronary", "stage": stage, "case_id": case.case_id, "parameters": {}}


def context(case: Case) -> Any:
    """Return the part of Airflow's context that a runner reads."""
    return {"ti": SimpleNamespace(dag_id="coronary_ffr", run_id=case.case_id, task_id="stage", map_index=-1)}


def test_what_is_wrong_with_a_study_is_said_through_the_container(letter: Case) -> None:
    """The sentence for the site is that of a local run; its kind is the exit code of the image's command."""
    with pytest.raises(DataError, match="DICOM"):
        ContainerStage(**told("receive", letter)).execute(context(letter))
    assert json.loads((letter.folder / "receive" / "failure.json").read_text())["kind"] == "data"


class Small(ContainerStage):
    """The container runner for a stage that declares too little memory."""

    @property
    def declared(self) -> Any:
        """The stage with 16 MiB, in which no Python can import anything of use."""
        return replace(pipeline("coronary").stage(self.stage), resources=Resources(memory_gib=1 / 64))


def test_a_kill_for_want_of_memory_travels_through_the_first_process_of_the_image(letter: Case) -> None:
    """The kernel kills Python and not tini, which ends with 137: transient, and counted for more memory at the next try."""
    with pytest.raises(TransientError, match="killed by signal 9, most often for want of memory"):
        Small(**told("receive", letter)).execute(context(letter))
    assert json.loads((letter.folder / "receive" / "failure.json").read_text())["kills"] == 1


def test_the_pod_that_kubernetes_would_be_given_leaves_a_manifest(
    study: Path, podman: Podman, tmp_path: Path, letter: Case
) -> None:
    """The operator's own manifest, run by podman: not root, read-only root, no capability, only the folders of the case."""
    case = admit(study, "coronary", Home(DATA))
    give(DATA)
    pod = KubernetesStage(**told("receive", case)).manifest()
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(pod))

    podman.run("kube", "play", "--network=host", str(tmp_path / "pod.yaml"))
    code = podman.run("wait", f"{pod['metadata']['name']}-stage")
    said = podman.run("logs", f"{pod['metadata']['name']}-stage")
    podman.run("kube", "down", str(tmp_path / "pod.yaml"))

    assert code.strip() == "0", said
    (manifest,) = (case.folder / "receive").glob("*/manifest.json")
    assert json.loads(manifest.read_text())["image"] == podman.image
