"""The tasks of the intake DAGs: count what waits, and admit one arrival each."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from operators import settings
from operators.intake.admission import Admitted, admit_next
from operators.intake.triggers import CaseEndTrigger, ready_to_take
from operators.intake.ways import arrivals, uploads
from operators.runs import dag_of, start_run

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
        outcome = admit_next(arrivals(self.way, here), uploads(self.way, here), here, start_case)
        if outcome is None:
            raise AirflowSkipException("nothing has arrived")
        if self.hold and outcome.state == "started":
            trigger = CaseEndTrigger(dag_of(outcome.pipeline), outcome.run_id, here.intake_poll_s, asdict(outcome))
            self.defer(trigger=trigger, method_name="ended")
        return asdict(outcome)

    def ended(self, context: Context, event: Any = None) -> None:
        """Never called: the trigger ends the task itself."""


def start_case(admitted: Admitted) -> bool:
    """Start the DAG run of a case, and return whether there was none of its id: before the arrival is released."""
    conf = {"case_id": admitted.case_id, **admitted.parameters}
    return start_run(dag_of(admitted.pipeline), admitted.run_id, conf)
