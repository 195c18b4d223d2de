"""The tasks of the intake DAGs: count what waits, and admit one arrival each."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowRuntimeError, AirflowSkipException, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun

from algorithms.contract.errors import DataError, TransientError
from operators import settings
from operators.intake.admission import Admitted, admit_next
from operators.intake.triggers import CaseEndTrigger, ready_to_take
from operators.intake.ways import arrivals, uploads

log = logging.getLogger(__name__)

BATCH = 10
"""Most arrivals that one run of an intake DAG admits; the next run takes those that came later or were too many."""


class Waiting(BaseOperator):
    """Return a number for each arrival that waits, so that a task is mapped for each."""

    def __init__(self, *, way: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.way = way

    def execute(self, context: Context) -> list[int]:
        """Count what waits now; the event that started the run may be old, and other runs may have tasks for it."""
        waiting, ready = arrivals(self.way, settings.load()).waiting(), ready_to_take(self.dag_id)
        log.info("%d arrivals wait in the %s, and %d tasks to take them", waiting, self.way, ready)
        return list(range(1, min(waiting - ready, BATCH) + 1))


class Admit(BaseOperator):
    """Admit one arrival and start its case; with a pool, hold the slot until the case has ended.

    Parameters
    ----------
    way
        Queue or folder.
    number
        Which of the tasks of this run it is; any of them takes any arrival.
    hold
        Whether the task ends with the case's run only.
    """

    ui_color = "#fdf3dc"

    def __init__(self, *, way: str, number: int, hold: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.way = way
        self.number = number
        self.hold = hold

    def execute(self, context: Context) -> dict[str, str]:
        """Return the case's id and the id of its run."""
        here = settings.load()
        outcome = admit_next(arrivals(self.way, here), uploads(self.way, here), here, start_run)
        if outcome is None:
            raise AirflowSkipException("nothing has arrived")
        if self.hold and outcome.state == "started":
            trigger = CaseEndTrigger(dag_of(outcome.pipeline), outcome.run_id, here.intake_poll_s, asdict(outcome))
            self.defer(trigger=trigger, method_name="ended")
        return asdict(outcome)

    def ended(self, context: Context, event: Any = None) -> None:
        """Never called: the trigger ends the task itself."""


def start_run(admitted: Admitted) -> bool:
    """Start the DAG run of a case from inside a task, and return whether there was none of this id.

    This is what `TriggerDagRunOperator` asks for when it ends; here it has to come before the arrival is released.

    Raises
    ------
    TransientError
        If Airflow does not start it: its API is out of reach, or the DAG is not parsed yet.
    """
    conf = {"case_id": admitted.case_id, **admitted.parameters}
    request = TriggerDagRun(dag_id=dag_of(admitted.pipeline), run_id=admitted.run_id, conf=conf)
    try:
        answer = task_runner.SUPERVISOR_COMMS.send(request)
    except AirflowRuntimeError as error:
        raise TransientError(f"Airflow did not start the run of case {admitted.case_id}: {error.error.error.value}") from error
    if not isinstance(answer, ErrorResponse):
        return True
    if answer.error != ErrorType.DAGRUN_ALREADY_EXISTS:
        raise TransientError(f"Airflow did not start the run of case {admitted.case_id}: {answer.error.value}")
    return False


def dag_of(pipeline: str) -> str:
    """Return the id of the DAG that answers cases with a pipeline: its file in dags/ begins with the pipeline's name."""
    found = sorted((settings.ROOT / "dags").glob(f"{pipeline}_*.py"))
    if not found:
        raise DataError("this deployment answers no cases of that pipeline; send the examination to another one")
    return Path(found[0]).stem
