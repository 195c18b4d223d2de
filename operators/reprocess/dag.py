"""The DAG `reprocess`.

::

    find -> answer, one task for each case that may be worked on at once -> compare, one task a diagnostic -> complete

Runs of a diagnostic's DAG have no priority among themselves.  New cases go first because few old ones are let in: as many as
the form says, and fewer than the diagnostic works on at once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param, TriggerRule

from algorithms.contract.catalogue import pipelines
from operators import settings
from operators.links import COMPARE
from operators.reprocess.tasks import ALL, ANSWER, FIND, AnswerAgain, Compare, Find
from operators.settings import Settings
from operators.stage import RETRY_POLICY

MOST = 1000
"""Cases of one run: their ids and keys pass through an XCom."""

DOC = """\
Answers cases again whose newest report is not the one that today's code, parameters and weights would give, then compares old
and new values in a report of its own.  Old reports stay.  See docs/operations.md, "Reprocessing".
"""

DOC_FIND = (
    "Looks for stale cases, those first that were recorded first.  Its log names each, and each that cannot be answered again."
)
DOC_ANSWER = "Starts a run of the diagnostic's DAG for one case after the other, and waits for it in the triggerer."
DOC_COMPARE = "Pairs the values of old and new reports; the report says who crossed a decision limit or changed group."


def reprocess_dag() -> DAG:
    """Return the DAG; it runs by hand, and by a schedule where one is set."""
    here = settings.load()
    dag = DAG(
        "reprocess",
        schedule=here.reprocess_schedule or None,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        description="Answers old cases again with today's code, parameters and weights, and compares.",
        doc_md=DOC,
        params=_params(here),
        tags=["heartwood"],
        max_active_runs=1,
        render_template_as_native_obj=False,
        default_args={
            "owner": "heartwood",
            "retries": here.retries,
            "retry_delay": timedelta(seconds=here.retry_delay_s),
            "retry_policy": RETRY_POLICY,
            "weight_rule": "absolute",  # the least weight: a task of a new case is never behind these
        },
    )
    with dag:
        found = Find(task_id=FIND, doc_md=DOC_FIND, execution_timeout=timedelta(hours=1))
        answer = AnswerAgain.partial(task_id=ANSWER, doc_md=DOC_ANSWER).expand(cases=found.output)
        compare = Compare.partial(
            task_id=COMPARE,
            doc_md=DOC_COMPARE,
            execution_timeout=timedelta(hours=1),
            trigger_rule=TriggerRule.ALL_DONE,
            map_index_template="{{ task.pipeline }}",
        ).expand(pipeline=sorted(pipelines()))
        complete = EmptyOperator(task_id="complete", trigger_rule=TriggerRule.NONE_FAILED)
        answer >> compare >> complete
        answer >> complete
    return dag


def _params(here: Settings) -> dict[str, Param]:
    at_once = max(1, here.max_active_runs - 1)
    time: dict[str, Any] = {"type": ["null", "string"], "format": "date-time"}
    return {
        "pipeline": Param(ALL, type="string", enum=[ALL, *sorted(pipelines())], title="Diagnostic"),
        "since": Param(None, title="Recorded since", description="Only cases first recorded at or after this time.", **time),
        "until": Param(None, title="Recorded until", description="Only cases first recorded before this time.", **time),
        "limit": Param(
            min(here.reprocess_limit, MOST),
            type="integer", minimum=1, maximum=MOST, title="Most cases",
            description="Where the search ends; the next run takes the rest.",
        ),
        "at_once": Param(
            min(here.reprocess_at_once, at_once),
            type="integer", minimum=1, maximum=at_once, title="Cases at once",
            description="Fewer than the diagnostic works on at once, so that new cases need not wait for old ones.",
        ),
        "dry_run": Param(False, type="boolean", title="Only look", description="List the cases in the log and run none."),
    }  # fmt: skip
