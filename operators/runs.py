"""Starting the DAG run of a case from inside a task."""

from __future__ import annotations

from collections.abc import Mapping

from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun

from algorithms.contract.errors import DataError, TransientError
from algorithms.contract.pipeline import Value
from operators import settings


def start_run(dag_id: str, run_id: str, conf: Mapping[str, Value]) -> bool:
    """Start a DAG run, and return whether there was none of this id.

    This is what `TriggerDagRunOperator` asks for when it ends; a task that has more to do asks itself.

    Raises
    ------
    TransientError
        If Airflow does not start it: its API is out of reach, or the DAG is not parsed yet.
    """
    try:
        answer = task_runner.SUPERVISOR_COMMS.send(TriggerDagRun(dag_id=dag_id, run_id=run_id, conf=dict(conf)))
    except AirflowRuntimeError as error:
        raise TransientError(f"Airflow did not start run {run_id}: {error.error.error.value}") from error
    if not isinstance(answer, ErrorResponse):
        return True
    if answer.error != ErrorType.DAGRUN_ALREADY_EXISTS:
        raise TransientError(f"Airflow did not start run {run_id}: {answer.error.value}")
    return False


def dag_of(pipeline: str) -> str:
    """Return the id of the DAG that answers cases with a pipeline: its file in dags/ is called after the pipeline."""
    folder = settings.ROOT / "dags"
    found = sorted([*folder.glob(f"{pipeline}.py"), *folder.glob(f"{pipeline}_*.py")])
    if not found:
        raise DataError("this deployment answers no cases of that pipeline; send the examination to another one")
    return found[0].stem
