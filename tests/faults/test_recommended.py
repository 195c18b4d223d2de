"""What docs/operations.md recommends for many machines is what the tests of faults run with, and Airflow knows it."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from airflow.configuration import conf

from algorithms.contract.catalogue import pipelines
from tests.cases import PROJECT
from tests.faults.cluster import RECOMMENDED

UNLISTED = {("scheduler", "num_stuck_in_queued_retries"), ("celery_broker_transport_options", "visibility_timeout")}
"""Options that Airflow reads and does not list; the first is looked for in its source below."""


def documented() -> dict[tuple[str, str], tuple[str, str]]:
    """Return recommended value and Airflow's default by section and option."""
    rows = re.findall(
        r"^\| `\[(\w+)\] (\w+)` \| `(\S+)` \| (\S+) \|", (PROJECT / "docs/operations.md").read_text(), re.MULTILINE
    )
    return {(section, option): (value, default) for section, option, value, default in rows}


def test_the_documented_settings_are_those_that_are_tested() -> None:
    """A figure of recovery is worth nothing when the deployment is told other settings."""
    tested = {tuple(name.removeprefix("AIRFLOW__").lower().split("__")): value for name, value in RECOMMENDED.items()}

    assert tested == {option: value for option, (value, _) in documented().items()}


def test_the_whole_system_on_one_machine_has_them() -> None:
    """The compose file is what most people begin with."""
    compose = yaml.safe_load((PROJECT / "docker/compose.yaml").read_text())

    for name, service in compose["services"].items():
        if "AIRFLOW__CORE__EXECUTOR" in service.get("environment", {}):
            assert RECOMMENDED.items() <= service["environment"].items(), name


def test_the_documented_defaults_are_airflows() -> None:
    """An upgrade of Airflow that changes or drops an option is found here."""
    for (section, option), (_, default) in documented().items():
        if (section, option) not in UNLISTED:
            assert float(conf.configuration_description[section]["options"][option]["default"]) == float(default)


def test_the_unlisted_option_is_still_read() -> None:
    """Airflow's scheduler calls it intentionally undocumented; without it a minute without workers fails queued cases."""
    import airflow.jobs.scheduler_job_runner as scheduler

    assert 'key="num_stuck_in_queued_retries"' in Path(str(scheduler.__file__)).read_text()


def test_no_stage_may_run_longer_than_redis_waits() -> None:
    """Redis hands out a message again that was not acknowledged in time, while its stage still runs."""
    longest = max(stage.resources.timeout_s for pipeline in pipelines().values() for stage in pipeline.stages)

    assert longest < int(documented()["celery_broker_transport_options", "visibility_timeout"][0])
