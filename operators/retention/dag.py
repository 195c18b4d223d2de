"""The DAG that keeps the times: each day, and whenever somebody triggers it with a case to be shredded.

::

    request -> shred -> expire -> seal -> complete

Each task runs whatever became of the one before; ``complete`` needs all of them, so the run is red when one failed.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseOperator, Context, Param, TriggerRule, chain

from algorithms.contract.case import CASE_ID
from operators import settings
from operators.credentials import deployment_store
from operators.results.audit import head
from operators.results.database import transaction
from operators.results.heads import publish_head
from operators.retention.inbox import expire
from operators.retention.shred import RESULTS, request, requests, shred
from operators.stage import RETRY_POLICY
from operators.watch import failure, notice

FIRST = datetime(2026, 1, 1, tzinfo=UTC)

DOC = """\
Deletes originals from the inbox after `inbox_days`, shreds the cases that somebody asked for, and puts the head of the audit
into the store.  See docs/operations.md, "Retention".
"""


class AskToShred(BaseOperator):
    """Record the request of the trigger form, if there is one."""

    template_fields = ("case_id", "results")

    def __init__(self, *, case_id: str, results: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case_id = case_id
        self.results = results

    def execute(self, context: Context) -> None:
        """Write it into the vault, so that nothing is lost when this run ends early."""
        if self.case_id:
            request(settings.load(), self.case_id, self.results)


class Shred(BaseOperator):
    """Do what was asked for, by form or by command, and what a killed run has left."""

    def execute(self, context: Context) -> int:
        """Return how many cases were shredded."""
        here = settings.load()
        store = deployment_store(here)
        asked_for = requests(here.home_folder)
        for asked in asked_for:
            shred(asked, here, store)
        return len(asked_for)


class Expire(BaseOperator):
    """Delete originals whose time is over."""

    def execute(self, context: Context) -> int:
        """Return how many entries of the inbox were deleted."""
        return expire(settings.load(), time.time()).entries


class Seal(BaseOperator):
    """Publish the head of the audit, so that a cut at its end is seen."""

    def execute(self, context: Context) -> int:
        """Return how many lines the audit has."""
        here = settings.load()
        with transaction(here.results_url) as connection:
            end = head(connection)
        publish_head(end, deployment_store(here))
        return end.count


def retention_dag() -> DAG:
    """Return the DAG; it is on from the start, since nothing would be deleted while it is paused."""
    here = settings.load()
    dag = DAG(
        "retention",
        schedule="@daily",
        start_date=FIRST,
        catchup=False,
        is_paused_upon_creation=False,
        max_active_runs=1,
        description="Deletes originals after their time, and shreds cases on request.",
        doc_md=DOC,
        tags=["heartwood", "retention"],
        render_template_as_native_obj=False,  # a case id may look like a number and must stay text
        params={
            "case_id": Param(
                "",
                type="string",
                pattern=f"^({CASE_ID.pattern})?$",
                maxLength=16,  # $ alone lets a line feed follow
                title="Case to shred",
                description="Its id; empty when none.  Its originals can never be read again.",
            ),
            "results": Param("keep", type="string", enum=list(RESULTS), title="Its results"),
        },
        default_args={
            "owner": "heartwood",
            "retries": here.retries,
            "retry_delay": timedelta(seconds=here.retry_delay_s),
            "retry_policy": RETRY_POLICY,
            "execution_timeout": timedelta(hours=2),
            "on_retry_callback": failure.count,
            "on_failure_callback": failure.count,
            "trigger_rule": TriggerRule.ALL_DONE,
        },
        on_failure_callback=notice.callbacks(here),
    )
    with dag:
        asked = AskToShred(task_id="request", case_id="{{ params.case_id }}", results="{{ params.results }}")
        tasks = [asked, Shred(task_id="shred"), Expire(task_id="expire"), Seal(task_id="seal")]
        chain(*tasks)
        tasks >> EmptyOperator(task_id="complete", trigger_rule=TriggerRule.ALL_SUCCESS)
    return dag
