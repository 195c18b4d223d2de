"""Where the cases of a deployment are now: the gauges that no task can send, because they tell of what does not run.

It reads Airflow's own database, as the scheduler does, and the results database; it goes on when the scheduler is down, which
is when the age of the queue matters most.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from sqlalchemy import func, select

from algorithms.contract.catalogue import called_after, pipelines
from operators.results.database import transaction
from operators.results.models import Case
from operators.settings import Settings
from operators.watch import metrics

PLACES = {"queued": "waiting", "running": "running"}
"""Airflow's state of a run, in our word for where its case is."""


@dataclass(frozen=True)
class Standing:
    """How many cases of a pipeline are where, and since when the oldest of them has been there."""

    cases: Mapping[str, int] = field(default_factory=dict)
    oldest: Mapping[str, datetime] = field(default_factory=dict)

    def age_seconds(self, place: str, now: datetime) -> float:
        """Return how long the oldest case has been in a place, 0 where there is none."""
        return max(0.0, (now - self.oldest[place]).total_seconds()) if place in self.oldest else 0.0


def tell(here: Settings) -> None:
    """Send where all cases are; a pipeline without a case says 0, so that a series never stops for want of cases."""
    now = datetime.now(UTC)
    running, answered = runs(), answers(here.results_url)
    for name in pipelines():
        standing = running.get(name, Standing())
        counts = {**standing.cases, **answered.get(name, {})}
        for state in metrics.STATES:
            metrics.CASES.set(counts.get(state, 0), pipeline=name, state=state)
        metrics.QUEUE_AGE.set(standing.age_seconds("waiting", now), pipeline=name)
        metrics.RUNNING_AGE.set(standing.age_seconds("running", now), pipeline=name)


def runs() -> dict[str, Standing]:
    """Return the standing of the cases that Airflow has not finished, by pipeline."""
    since = func.min(func.coalesce(DagRun.start_date, DagRun.queued_at, DagRun.run_after))
    query = select(DagRun.dag_id, DagRun.state, func.count(), since).where(DagRun.state.in_(PLACES))
    with create_session() as session:
        rows = [
            (str(dag), str(state), n, at) for dag, state, n, at in session.execute(query.group_by(DagRun.dag_id, DagRun.state))
        ]
    return _standings((called_after(dag), PLACES[state], n, at) for dag, state, n, at in rows)


def answers(url: str) -> dict[str, dict[str, int]]:
    """Return how many cases have which answer, by pipeline; one without any has failed."""
    with transaction(url) as connection:
        rows = connection.execute(select(Case.pipeline, Case.verdict, func.count()).group_by(Case.pipeline, Case.verdict)).all()
    found: dict[str, dict[str, int]] = {}
    for pipeline, verdict, number in rows:
        state = verdict if verdict in metrics.STATES else "failed"
        of_pipeline = found.setdefault(pipeline, {})
        of_pipeline[state] = of_pipeline.get(state, 0) + number
    return found


def _standings(rows: Iterable[tuple[str, str, int, datetime]]) -> dict[str, Standing]:
    """Put the DAGs of one pipeline together."""
    found: dict[str, Standing] = {}
    for pipeline, place, number, at in rows:
        before = found.get(pipeline, Standing())
        oldest = min(at, before.oldest.get(place, at))
        cases = {**before.cases, place: before.cases.get(place, 0) + number}
        found[pipeline] = Standing(cases, {**before.oldest, place: oldest})
    return found
