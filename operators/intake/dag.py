"""The DAGs of intake, one a way that is switched on.

::

    (something arrives) -> waiting -> admit, one task an arrival

An intake DAG runs when its asset says that something waits: the triggerer looks, no run is spent on looking.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, AssetWatcher

from operators import settings
from operators.intake.operator import Admit, Waiting
from operators.intake.triggers import ArrivalTrigger
from operators.intake.ways import ways
from operators.settings import Settings
from operators.stage import RETRY_POLICY

RUNS = 100
"""Runs of one intake DAG at once: with a pool a run lasts as long as its cases, and the next one must not wait for that."""

RETRIES = 2

LONGEST_ADMISSION = timedelta(hours=6)
"""An examination of the largest size over a line of 100 Mbit/s."""

DOC = """\
Admits examinations that arrive unattended: each becomes one case and one run of its diagnostic's DAG, however often it is
announced.  What cannot be admitted becomes a dead letter: `python -m operators.intake list` shows them with the reason.
See docs/operations.md, "Intake".
"""


def intake_dags() -> list[DAG]:
    """Return a DAG for each way of intake that the settings switch on."""
    here = settings.load()
    return [intake_dag(way, here) for way in ways(here)]


def intake_dag(way: str, here: Settings) -> DAG:
    """Return the DAG that admits what arrives by one way."""
    dag_id = f"intake_{way}"
    trigger = ArrivalTrigger(way, dag_id, here.intake_poll_s)
    arrived = Asset(f"heartwood_{dag_id}", watchers=[AssetWatcher(name=f"heartwood_{dag_id}", trigger=trigger)])
    dag = DAG(
        dag_id,
        schedule=[arrived],
        description=f"Admits examinations that arrive in the {way}.",
        doc_md=DOC,
        tags=["heartwood", "intake"],
        max_active_runs=RUNS,
        default_args={
            "owner": "heartwood",
            "retries": RETRIES,
            "retry_delay": timedelta(seconds=here.retry_delay_s),
            "retry_policy": RETRY_POLICY,
        },
    )
    with dag:
        waiting = Waiting(task_id="waiting", way=way, doc_md="Counts the arrivals, at most ten a run.")
        Admit.partial(
            task_id="admit",
            way=way,
            hold=bool(here.intake_pool),
            doc_md="Fetches and verifies one examination, makes its case, starts its run and releases the arrival.",
            execution_timeout=LONGEST_ADMISSION,
            **({"pool": here.intake_pool} if here.intake_pool else {}),
        ).expand(number=waiting.output)
    return dag
