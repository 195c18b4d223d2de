"""The tasks of the DAG `reprocess`: find stale cases, answer them a few at a time, and compare.

Only ids and keys pass between them; what was chosen for a case is read from the results database when its run is started.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.standard.triggers.external_task import DagStateTrigger
from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.utils.state import DagRunState

from algorithms.contract.catalogue import pipeline as pipeline_called
from algorithms.contract.catalogue import pipelines
from algorithms.contract.errors import DataError
from operators import settings
from operators.links import DIFFERENCE_LINKS
from operators.reprocess.comparison import Answered, compare, record_reprocessed
from operators.reprocess.stale import Left, Stale, find, look_again
from operators.runs import dag_of, start_run

log = logging.getLogger(__name__)

FIND, ANSWER = "find", "answer"
"""Ids of the first two tasks."""

LEFT = "left"
"""XCom key of the cases that cannot be answered again."""

MOST_LEFT = 1000
"""Cases of that kind in an XCom; the log names them all."""

ALL = "all"
"""In the place of a pipeline's name: cases of every diagnostic."""

POLL_S = 10.0
"""How often the triggerer asks whether a run has ended: one small query a run that is waited for."""

LONGEST_WAIT = timedelta(days=7)
"""For a run to end; a run that somebody deletes never does, and the task then looks again at what is left to do."""

ENDED = [DagRunState.SUCCESS, DagRunState.FAILED]

Row = dict[str, str]
"""A stale case as it passes between tasks: pipeline, case_id, report_key, run_id."""


class Find(BaseOperator):
    """Return the stale cases, dealt into as many rows as may be worked on at once."""

    def execute(self, context: Context) -> list[list[Row]]:
        """Search as the form says; a dry run lists what it finds in the log and returns nothing to do."""
        here, wanted = settings.load(), context["params"]
        every = [p.name for p in pipelines().values() if p.unattended]
        names = every if wanted["pipeline"] == ALL else [wanted["pipeline"]]
        since, until = (datetime.fromisoformat(wanted[name]) if wanted[name] else None for name in ("since", "until"))
        found = find(
            here,
            [pipeline_called(name) for name in names],
            since=since,
            until=until,
            limit=wanted["limit"],
            refuse=tried_before,
        )
        for stale in found.stale:
            log.info("%s %s: from %s on, as run %s", stale.pipeline, stale.case_id, stale.begins_at, stale.run_id)
        for one in found.left:
            log.warning("%s %s: %s", one.pipeline, one.case_id, one.reason)
        log.info("looked at %d cases, %d to answer again, %d cannot be", found.looked_at, len(found.stale), len(found.left))
        if found.more:
            log.info("the search ended at its limit; the next run takes the rest")
        left = [{"pipeline": one.pipeline, "case_id": one.case_id, "reason": one.reason} for one in found.left[:MOST_LEFT]]
        context["ti"].xcom_push(key=LEFT, value=left)
        return [] if wanted["dry_run"] else dealt([_row(stale) for stale in found.stale], wanted["at_once"])


class AnswerAgain(BaseOperator):
    """Answer the cases of a row one after the other, each as a run of its diagnostic's DAG; wait for it without a worker.

    How a run ends is not this task's to judge: a case that is refused today has a red run and a report that says why.
    """

    ui_color = "#ffefeb"

    def __init__(self, *, cases: Sequence[Row], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cases = cases

    def execute(self, context: Context, event: Any = None, after: int = 0) -> int:
        """Start the next run that is needed and wait for it; return how many cases there were when all are done."""
        for number, case in enumerate(self.cases[after:], start=after + 1):
            if needs_run(case):
                dag_id = dag_of(case["pipeline"])
                log.info("waiting for run %s of %s, case %d of %d", case["run_id"], dag_id, number, len(self.cases))
                trigger = DagStateTrigger(dag_id, states=ENDED, run_ids=[case["run_id"]], poll_interval=POLL_S)
                self.defer(trigger=trigger, method_name="execute", kwargs={"after": number}, timeout=LONGEST_WAIT)
        return len(self.cases)


class Compare(BaseOperator):
    """Write the difference report of one diagnostic's cases; skipped where none was answered again."""

    ui_color = "#e8f7e4"
    operator_extra_links = DIFFERENCE_LINKS

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def execute(self, context: Context) -> dict[str, str | int]:
        """Return the first digits of the report's key, and what it counts."""
        here, pipeline, ti = settings.load(), pipeline_called(self.pipeline), context["ti"]
        rows = [case for row in ti.xcom_pull(task_ids=FIND) or () for case in row if case["pipeline"] == self.pipeline]
        left = [Left(**one) for one in ti.xcom_pull(task_ids=FIND, key=LEFT) or ()]
        cases = [Answered(case["case_id"], case["report_key"]) for case in rows]
        record_reprocessed(here, pipeline, cases)
        comparison = compare(here, pipeline, cases, left)
        if comparison is None:
            raise AirflowSkipException("no case of this diagnostic has a new report")
        return {
            "key": comparison.key,
            "cases": comparison.cases,
            "crossed": comparison.crossed,
            "changed": comparison.changed,
        }


def dealt(rows: Sequence[Row], at_once: int) -> list[list[Row]]:
    """Return ``rows`` dealt like cards to at most ``at_once`` players: each works on one at a time."""
    return [list(rows[start::at_once]) for start in range(min(at_once, len(rows)))]


def needs_run(case: Row) -> bool:
    """Return whether one must wait for the run of a case, started now unless it is there; nothing is done for one that is done.

    Raises
    ------
    DataError
        If the DAG is paused: its runs would wait for ever.
    TransientError
        If Airflow does not start the run.
    """
    pipeline, dag_id = pipeline_called(case["pipeline"]), dag_of(case["pipeline"])
    if RuntimeTaskInstance.get_dag(dag_id).is_paused:
        raise DataError(f"the DAG {dag_id} is paused; switch it on, then clear this task")
    judged, chosen = look_again(settings.load(), pipeline, case["case_id"])
    if not isinstance(judged, Stale):
        log.info("case %s has today's report by now", case["case_id"])
        return False
    if start_run(dag_id, case["run_id"], {"case_id": case["case_id"], **chosen}):
        return True
    # Another reprocess run has started it: wait for it like for one's own, but not for one that has ended.
    return not RuntimeTaskInstance.get_dr_count(dag_id, run_ids=[case["run_id"]], states=[str(state) for state in ENDED])


def tried_before(stale: Stale) -> str | None:
    """Return why a case must not be run: a run of the same name has ended and left it stale, as when publishing failed."""
    ended = [str(state) for state in ENDED]
    if RuntimeTaskInstance.get_dr_count(dag_of(stale.pipeline), run_ids=[stale.run_id], states=ended):
        return f"run {stale.run_id} has ended without a new report; see its log, and clear it once the cause is gone"
    return None


def _row(stale: Stale) -> Row:
    return {name: getattr(stale, name) for name in ("pipeline", "case_id", "report_key", "run_id")}
