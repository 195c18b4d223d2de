"""The metrics of Heartwood, sent as Airflow sends its own: StatsD, DogStatsD or OpenTelemetry, by its ``[metrics]`` options.

Each is declared here once: the documentation, the dashboard and the tests walk this list.  A metric never has more series than
there are stages, because every tag has a known set of values; what is not in it becomes "other".  A case id is no such value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from airflow.configuration import conf
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils

from algorithms.contract.catalogue import pipelines

OTHER = "other"
"""In the place of a value that a tag does not know: a name typed by somebody must not become a series."""

KINDS = ("data", "transient", "bug", "timeout")
"""Why a try of a task failed: who must act follows from it (docs/contract.md)."""

STATES = ("waiting", "running", "answered", "held", "rejected", "failed")
"""Where a case is: in Airflow's queue, being worked on, or what its report says."""

AROUND = ("publish", "complete")
"""Tasks of a case that are no stages."""


@dataclass(frozen=True)
class Metric:
    """One metric: its name below Airflow's prefix, ``counter``, ``gauge`` or ``timer``, unit, tags, and what it says."""

    name: str
    kind: str
    unit: str
    tags: tuple[str, ...]
    help: str

    def add(self, count: int = 1, **tags: str) -> None:
        """Count."""
        stats.incr(self.name, count, tags=self._known(tags))

    def set(self, value: float, **tags: str) -> None:
        """Say how much it is now."""
        stats.gauge(self.name, value, tags=self._known(tags))

    def took(self, seconds: float, **tags: str) -> None:
        """Say how long one took; it travels in milliseconds."""
        stats.timing(self.name, timedelta(seconds=seconds), tags=self._known(tags))

    def _known(self, given: Mapping[str, str]) -> dict[str, str]:
        if set(given) != set(self.tags):
            raise ValueError(f"metric {self.name} has the tags {', '.join(self.tags)}")
        return {name: value if value in values_of(name) else OTHER for name, value in given.items()}


CASES = Metric("heartwood.cases", "gauge", "cases", ("pipeline", "state"), "Cases by where they are.")
QUEUE_AGE = Metric("heartwood.queue_age_seconds", "gauge", "s", ("pipeline",), "How long the oldest waiting case has waited.")
RUNNING_AGE = Metric("heartwood.running_age_seconds", "gauge", "s", ("pipeline",), "How long the oldest running case has run.")
ANSWERS = Metric("heartwood.answers", "counter", "reports", ("pipeline", "state"), "Reports published, by what they say.")
CASE_DURATION = Metric(
    "heartwood.case.duration",
    "timer",
    "ms",
    ("pipeline", "state"),
    "From a case's entry into the queue to its published report.",
)
CASE_PRICE = Metric(
    "heartwood.case.price", "gauge", "currency", ("pipeline",), "Estimated price of the last published case's results."
)
STAGE_DURATION = Metric("heartwood.stage.duration", "timer", "ms", ("pipeline", "stage"), "What a run of the stage took.")
STAGE_CPU_TIME = Metric("heartwood.stage.cpu_time", "timer", "ms", ("pipeline", "stage"), "CPU time of a run of the stage.")
STAGE_MEMORY = Metric(
    "heartwood.stage.peak_memory_mib", "gauge", "MiB", ("pipeline", "stage"), "Peak memory of the stage's last run."
)
STAGE_MEMORY_SHARE = Metric(
    "heartwood.stage.memory_share", "gauge", "1", ("pipeline", "stage"), "The same as a share of what the stage declares."
)
STAGE_REUSED = Metric(
    "heartwood.stage.reused", "counter", "results", ("pipeline", "stage"), "Results that were there already, so nothing ran."
)
FAILURES = Metric(
    "heartwood.failures", "counter", "tries", ("pipeline", "stage", "kind"), "Tries of a task that failed, by who must act."
)

METRICS = (
    CASES,
    QUEUE_AGE,
    RUNNING_AGE,
    ANSWERS,
    CASE_DURATION,
    CASE_PRICE,
    STAGE_DURATION,
    STAGE_CPU_TIME,
    STAGE_MEMORY,
    STAGE_MEMORY_SHARE,
    STAGE_REUSED,
    FAILURES,
)


def values_of(tag: str) -> frozenset[str]:
    """Return every value that a tag may have, beside "other"."""
    if tag == "pipeline":
        return frozenset(pipelines())
    if tag == "stage":
        stages = {stage.name for pipeline in pipelines().values() for stage in pipeline.stages}
        return frozenset(stages | {f"{name}_items" for name in stages} | set(AROUND))
    return frozenset({"kind": KINDS, "state": STATES}[tag])


def prepare() -> None:
    """Make this process send metrics.

    Airflow does this in the tasks of a worker; it does not in ``dags test``, nor in a process of our own.
    """
    stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=conf.getboolean("metrics", "legacy_names_on"))
