"""The deployment's settings: typed, documented, none misspelt in silence."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from operators import settings
from operators.settings import Settings
from tests.operators.airflow_home import PROJECT


@pytest.mark.parametrize("setting", fields(Settings), ids=lambda f: f.name)
def test_a_setting_is_documented_with_its_default(setting) -> None:
    """docs/operations.md is what an operator reads; a row is ``| `name` | default | what it does |``."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", (PROJECT / "docs/operations.md").read_text(), re.MULTILINE)
    documented = {name: (default, text) for name, default, text in rows}

    default = f"`{str(setting.default).lower() if isinstance(setting.default, bool) else setting.default}`"
    assert documented[setting.name] == (default if setting.default != "" else "empty", setting.metadata["help"])


def test_the_defaults_keep_everything_in_one_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop needs no configuration: cases, store and results lie below ./data of the checkout."""
    for name in ("HOME", "STUB", "RETRY_DELAY_S"):
        monkeypatch.delenv(f"AIRFLOW__HEARTWOOD__{name}")

    here = settings.load()

    assert here == Settings()
    assert here.home_folder.root == PROJECT / "data"
    assert here.store_uri == (PROJECT / "data/store").as_uri()
    assert here.results_url == f"sqlite:///{PROJECT}/data/results.db"


def test_settings_come_from_airflows_configuration_in_their_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``AIRFLOW__HEARTWOOD__<NAME>`` is how Airflow spells an option in the environment."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__RETRIES", "5")
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__STUB", "false")
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__STORE", "s3://bucket/prefix")

    here = settings.load()

    assert (here.retries, here.stub, here.store_uri) == (5, False, "s3://bucket/prefix")
    assert here.home_folder.cases == tmp_path / "cases"


def test_a_secret_is_read_by_the_command_that_the_deployment_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A database's password is in a file that only Airflow's user may read, not in the environment, which every child has."""
    (tmp_path / "url").write_text("postgresql+psycopg://heartwood:secret@database/heartwood")
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__RESULTS_CMD", f"cat {tmp_path / 'url'}")

    assert settings.load().results_url == "postgresql+psycopg://heartwood:secret@database/heartwood"


def test_a_misspelt_setting_stops_the_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silently keeping the default would write patients' reports to another place than the operator thinks."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__STOER", "s3://bucket")

    with pytest.raises(ValueError, match=r"no such setting in .heartwood.: stoer"):
        settings.load()


@pytest.mark.parametrize(("name", "value"), [("RETRIES", "many"), ("STUB", "perhaps"), ("PUBLISH_LIMIT_MIB", "all")])
def test_a_setting_of_the_wrong_type_names_itself(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """The message says which setting, and not its value, which may be a secret in the wrong place."""
    monkeypatch.setenv(f"AIRFLOW__HEARTWOOD__{name}", value)

    with pytest.raises(ValueError, match=name.lower()) as caught:
        settings.load()
    assert value not in str(caught.value)


@pytest.mark.parametrize("name", ["REGION", "SITE"])
def test_region_and_site_are_codes(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """They are shown in every table; a hospital's name would tell where a patient was."""
    monkeypatch.setenv(f"AIRFLOW__HEARTWOOD__{name}", "Sankt Anna")

    with pytest.raises(ValueError, match=f"{name.lower()} must be 1 to 32 lower-case letters"):
        settings.load()


def test_a_stage_is_pinned_to_a_place_by_variable_or_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mixed deployment: slides are encoded where the GPUs are, one diagnostic's ``report`` elsewhere than the other's."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__RUNNERS", "encode=kubernetes, prostate.report=ecs")
    # A name with a dot is possible for a process's environment, and is read as the file's option is.
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__RUNNER.FLOW", "container")

    here = settings.load()

    places = [("prostate", "encode"), ("prostate", "report"), ("coronary", "report"), ("coronary", "flow")]
    assert [here.runner_of(*place) for place in places] == ["kubernetes", "ecs", "local", "container"]


@pytest.mark.parametrize("pins", ["encod=kubernetes", "coronary.encode=ecs", "encode"])
def test_a_pin_that_pins_nothing_stops_the_deployment(monkeypatch: pytest.MonkeyPatch, pins: str) -> None:
    """A stage that silently stays on a worker without a GPU would run for hours there."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__RUNNERS", pins)

    with pytest.raises(ValueError, match=pins.partition("=")[0]):
        settings.load()
