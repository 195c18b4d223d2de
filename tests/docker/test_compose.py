"""The compose file of the whole system: every name in it exists, nothing listens to strangers, no secret is typed."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.configuration import conf

from operators.settings import PREFIX, Settings
from tests.faults.test_recommended import UNLISTED

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "docker/compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "heartwood-airflow" in service["image"]}

each_service = pytest.mark.parametrize("name", SERVICES)


def mounts(service: dict[str, Any]) -> list[tuple[str, str]]:
    """Return source and place of each mount."""
    return [(text.split(":")[0], text.split(":")[1]) for text in service.get("volumes", [])]


def test_it_is_the_whole_system() -> None:
    """What issue 4 asks for: Airflow's components, Celery, PostgreSQL, Redis, S3, SQS, Orthanc."""
    airflow = {"initialise", "api-server", "scheduler", "dag-processor", "triggerer", "worker"}

    assert set(OURS) == airflow
    assert set(SERVICES) - airflow == {"postgres", "redis", "s3", "sqs", "orthanc"}


@each_service
def test_a_service_names_only_what_exists(name: str) -> None:
    """Networks, secrets and volumes are declared below, mounted files lie beside, services that are waited for are there."""
    service = SERVICES[name]

    assert set(service["networks"]) <= set(COMPOSE["networks"])
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    for source, _ in mounts(service):
        assert (PROJECT / "docker" / source).is_file() if source.startswith(".") else source in COMPOSE["volumes"]
    for other, how in service.get("depends_on", {}).items():
        assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[other]
        assert how["condition"] != "service_completed_successfully" or SERVICES[other]["restart"] == "no"


def test_nothing_is_declared_that_nobody_uses() -> None:
    """A volume or a secret without a user is a leftover of a change."""
    used = {source for service in SERVICES.values() for source, _ in mounts(service) if not source.startswith(".")}

    assert used == set(COMPOSE["volumes"])
    assert {secret for service in SERVICES.values() for secret in service.get("secrets", [])} == set(COMPOSE["secrets"])


@each_service
def test_a_service_gets_the_secrets_that_it_reads_and_no_other(name: str) -> None:
    """Redis need not know the password of the database; /run/secrets/NAME is where a secret is mounted."""
    service = SERVICES[name]
    text = yaml.safe_dump([service.get(key) for key in ("environment", "command", "volumes")])
    read = set(re.findall(r"/run/secrets/([\w.]+)", text)) | {
        found for source, _ in mounts(service) if source.startswith(".") for found in _secrets_in(PROJECT / "docker" / source)
    }

    by_the_image_itself = {"login.json"} if name == "initialise" else {"orthanc_users.json"} if name == "orthanc" else set()
    assert read | by_the_image_itself == set(service.get("secrets", []))


def _secrets_in(path: Path) -> set[str]:
    return set(re.findall(r"/run/secrets/([\w.]+)", path.read_text()))


def test_only_loopback_is_listened_on() -> None:
    """Airflow's login and DICOM have no encryption of their own here: a proxy or a tunnel comes before the network."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert len(ports) == 3
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert [n for n, service in SERVICES.items() if "ports" in service] == [
        n for n, s in SERVICES.items() if "door" in s["networks"]
    ]


@pytest.mark.parametrize("name", OURS)
def test_a_variable_of_heartwood_is_a_real_setting(name: str) -> None:
    """A misspelt one would stop every component at its start; one that is read by command must be known as a secret."""
    known = {field.name: field.metadata["secret"] for field in fields(Settings)}
    named = [variable.removeprefix(PREFIX).lower() for variable in OURS[name]["environment"] if variable.startswith(PREFIX)]

    assert len(named) >= 5
    assert {option.removesuffix("_cmd") for option in named} - set(known) == set()
    assert [option for option in named if option.endswith("_cmd") and not known[option.removesuffix("_cmd")]] == []


@pytest.mark.parametrize("name", OURS)
def test_a_variable_of_airflow_is_a_real_option(name: str) -> None:
    """Airflow itself says nothing of one that it does not know, and keeps its default."""
    for variable in OURS[name]["environment"]:
        if not variable.startswith("AIRFLOW__"):
            continue
        _, section, option = variable.lower().split("__")
        if section != "heartwood" and (section, option) not in UNLISTED:
            known = option.removesuffix("_cmd")
            assert known in conf.configuration_description[section]["options"], variable
            assert not option.endswith("_cmd") or (section, known) in conf.sensitive_config_values


@each_service
def test_no_secret_is_typed(name: str) -> None:
    """Passwords and keys come from files; the environment is shown by `docker inspect`."""
    typed = {
        n: v for n, v in SERVICES[name].get("environment", {}).items() if re.search("PASSWORD|SECRET_?KEY|JWT|FERNET|CONN$", n)
    }

    assert [n for n in typed if not n.endswith(("_FILE", "_CMD", "_PASSWORDS_FILE"))] == []


@each_service
def test_an_image_is_one_version(name: str) -> None:
    """`latest` of somebody else's would change under a running hospital; our own is what was built here, or what is set."""
    tag = SERVICES[name]["image"].rpartition(":")[2]

    assert name in OURS or re.search(r"\d", tag)


@pytest.mark.parametrize("name", [n for n in SERVICES if n not in {"initialise", "sqs", "orthanc"}])
def test_a_server_says_whether_it_is_well(name: str) -> None:
    """Those of the two other servers are in their images, or have no program to ask with."""
    assert {"test", "interval", "timeout", "retries"} <= set(SERVICES[name]["healthcheck"])


def test_every_component_sees_the_same_home() -> None:
    """The case folder is the only channel between a task and its stage, and the portal reads it too."""
    homes = {place for service in OURS.values() for source, place in mounts(service) if source == "home"}

    assert homes == {OURS["worker"]["environment"][f"{PREFIX}HOME"]}
    assert [n for n, service in OURS.items() if "home" not in [source for source, _ in mounts(service)]] == []


def test_secrets_are_made_once_and_for_this_user(tmp_path: Path) -> None:
    """Every file that the compose file names, different each time, in a folder that nobody else may look into."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        shutil.copy(PROJECT / "docker/secrets.sh", folder)
        subprocess.run(["bash", str(folder / "secrets.sh")], check=True, capture_output=True)
    made = [{path.name: path.read_text() for path in (folder / "secrets").iterdir()} for folder in folders]
    subprocess.run(["bash", str(folders[0] / "secrets.sh")], check=True, capture_output=True)

    assert {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()} <= set(made[0])
    assert {name for name, text in made[0].items() if made[1][name] == text} == {"s3_user"}
    assert {path.name: path.read_text() for path in (folders[0] / "secrets").iterdir()} == made[0]
    assert stat.S_IMODE((folders[0] / "secrets").stat().st_mode) == 0o700


def test_secrets_never_reach_a_commit_or_a_build() -> None:
    """Both ignore the folder in which they are made."""
    assert "/docker/secrets/" in (PROJECT / ".gitignore").read_text().splitlines()
    assert "docker/secrets" in (PROJECT / ".dockerignore").read_text().splitlines()
