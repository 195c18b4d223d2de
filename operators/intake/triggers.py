"""What the triggerer watches for intake: whether something has arrived, and whether a case has ended.

`ArrivalTrigger` takes nothing from queue or folder, it only says that there is something: what a trigger yields is kept in
Airflow's database and shown to everybody, and a message taken while no task can be had would come nearer to being a dead
letter.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.standard.triggers.external_task import DagStateTrigger
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import BaseEventTrigger, TaskSuccessEvent, TriggerEvent
from airflow.utils.state import DagRunState

from algorithms.contract.errors import TransientError
from operators import settings
from operators.intake.ways import arrivals

ENDED = [DagRunState.SUCCESS, DagRunState.FAILED]
"""States of a DAG run that is over."""


class ArrivalTrigger(BaseEventTrigger):
    """Fires while something waits that no task of the intake DAG is about to take."""

    def __init__(self, way: str, dag_id: str, poll_s: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped, and inherited
        self.way = way
        self.dag_id = dag_id
        self.poll_s = poll_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class and arguments; they name the watch among all of this Airflow."""
        kind = f"{type(self).__module__}.{type(self).__qualname__}"
        return kind, {"way": self.way, "dag_id": self.dag_id, "poll_s": self.poll_s}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look every ``poll_s`` seconds, for ever."""
        while True:
            try:
                waiting = await asyncio.to_thread(self._waiting)
            except (TransientError, OSError) as error:
                self.log.warning("the %s of arrivals cannot be looked at: %s", self.way, error)
                waiting = 0
            if waiting and not await asyncio.to_thread(self._answered):
                self.log.info("%d arrivals wait in the %s", waiting, self.way)
                yield TriggerEvent({"waiting": waiting})  # type: ignore[no-untyped-call]
            await asyncio.sleep(self.poll_s)

    def _waiting(self) -> int:
        return arrivals(self.way, settings.load()).waiting()

    def _answered(self) -> bool:
        """Return whether a run is about to take what waits, or has tasks that wait for a slot: another would add to them."""
        queued = RuntimeTaskInstance.get_dr_count(self.dag_id, states=["queued"])
        counting = RuntimeTaskInstance.get_ti_count(
            self.dag_id, task_ids=["waiting"], states=["scheduled", "queued", "running"]
        )
        return bool(queued or counting or ready_to_take(self.dag_id))


def ready_to_take(dag_id: str) -> int:
    """Return how many tasks wait for a slot or a worker, to take an arrival each."""
    return RuntimeTaskInstance.get_ti_count(dag_id, task_ids=["admit"], states=["scheduled", "queued"])


class CaseEndTrigger(DagStateTrigger):
    """Ends the task that waits for it when a case's DAG run is over, well or not, without taking a worker for that."""

    def __init__(self, dag_id: str, run_id: str, poll_s: float, outcome: dict[str, Any]) -> None:
        super().__init__(dag_id, states=ENDED, run_ids=[run_id], poll_interval=poll_s)
        self.outcome = outcome

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class and arguments."""
        assert self.run_ids
        kind = f"{type(self).__module__}.{type(self).__qualname__}"
        return kind, {
            "dag_id": self.dag_id,
            "run_id": self.run_ids[0],
            "poll_s": self.poll_interval,
            "outcome": self.outcome,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for the end of the run."""
        async for _ in super().run():
            yield TaskSuccessEvent(xcoms={"return_value": self.outcome})
