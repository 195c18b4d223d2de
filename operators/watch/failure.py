"""Counting the tries of a task that failed: Airflow calls `count` after each of them."""

from __future__ import annotations

import logging

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowTaskTimeout

from algorithms.contract.catalogue import called_after
from algorithms.contract.errors import failure_kind
from operators.watch import metrics

log = logging.getLogger(__name__)


def count(context: Context) -> None:
    """Count one failed try by its kind; for ``on_failure_callback`` and ``on_retry_callback`` of a task."""
    ti, error = context["ti"], context.get("exception")
    if not isinstance(error, BaseException):
        # The worker is gone, so another of Airflow's processes calls, and that one sends no metrics of tasks by itself.
        metrics.prepare()
    kind = kind_of(error)
    metrics.FAILURES.add(pipeline=called_after(ti.dag_id), stage=ti.task_id, kind=kind)
    log.info("a try of task %s failed, kind %s", ti.task_id, kind)


def kind_of(error: object) -> str:
    """Return the kind of what ended a try; nothing at all means that the worker died, which is nobody's fault."""
    if isinstance(error, AirflowTaskTimeout):
        return "timeout"
    return failure_kind(error) if isinstance(error, BaseException) else "transient"
