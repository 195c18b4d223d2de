"""What every place of execution shares: what a stage is told, what its end means, and which operator starts it.

A runner is one thin subclass of an Airflow operator.  It starts `algorithms.contract.command.stage_command`, hands the exit
code to `raise_for_exit` and returns `xcom` of the line on stdout.  The case folder is the only channel between a task
and its stage; Airflow sees a case id, parameters, a result key and a state.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator, ExceptionRetryPolicy, RetryAction, RetryRule

from algorithms.contract.case import Case
from algorithms.contract.command import killed
from algorithms.contract.errors import EXIT_DATA, EXIT_OK, EXIT_TRANSIENT, DataError, TransientError
from algorithms.contract.items import place
from algorithms.contract.pipeline import Pipeline, Stage, Value
from algorithms.contract.record import Failure

RUNNERS = {"local": "operators.runners.local:LocalStage"}
"""Places of execution by the name that ``[heartwood] runner`` chooses; containers, ECS and Kubernetes go here."""

SIGNALLED = 128
"""A shell's exit code for "ended by signal n" is 128 + n."""

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule("algorithms.contract.errors.TransientError", RetryAction.RETRY, reason="transient, or killed: tried again"),
        RetryRule(
            "algorithms.contract.errors.DataError", RetryAction.FAIL, reason="the data cannot be answered: a person must act"
        ),
        RetryRule("airflow.sdk.exceptions.AirflowTaskTimeout", RetryAction.FAIL, reason="ran past its time limit"),
    ],
    default=RetryAction.FAIL,
)
"""By who must act.  A worker that dies takes the policy with it; the scheduler then retries by the task's count."""


class StageBug(RuntimeError):  # noqa: N818 - the contract calls it a bug
    """A stage ended with an error that a developer must look at."""


def runner(name: str) -> type[BaseOperator]:
    """Return the operator class of a place of execution; raises ``ValueError`` with the known names."""
    if name not in RUNNERS:
        raise ValueError(f"[heartwood] runner must be one of {', '.join(RUNNERS)}")
    module, attribute = RUNNERS[name].split(":")
    kind: type[BaseOperator] = getattr(importlib.import_module(module), attribute)
    return kind


def chosen_parameters(pipeline: Pipeline, given: Mapping[str, Value]) -> dict[str, Value]:
    """Return the checked parameters that differ from their default, so that a line in the log shows what somebody chose."""
    defaults = {parameter.name: parameter.default for _, parameter in pipeline.parameters()}
    return {name: value for name, value in pipeline.parse(dict(given)).items() if value != defaults[name]}


def raise_for_exit(exit_code: int, case: Case, stage: Stage, item: str | None = None) -> None:
    """Return if a stage, or one item of it, succeeded, else raise what its end means, with the message that it left.

    Raises
    ------
    DataError
        Exit code 65: a person must act.
    TransientError
        Exit code 75, or ended by a signal: the same call may succeed later.
    StageBug
        Anything else.
    """
    if exit_code == EXIT_OK:
        return
    if exit_code > SIGNALLED:
        killed(case, stage, exit_code - SIGNALLED, item)
    failure = Failure.read(place(case, stage, item)) or Failure.read(place(case, stage))
    message = failure.message if failure else f"exit code {exit_code}, and no reason was left"
    text = f"stage {stage.name}{f' of {item}' if item else ''}: {message}"
    if exit_code == EXIT_DATA:
        raise DataError(text)
    if exit_code == EXIT_TRANSIENT or exit_code > SIGNALLED:
        raise TransientError(text)
    raise StageBug(f"{text}\n\n{failure.traceback}" if failure and failure.traceback else text)


def xcom(answer: str) -> dict[str, Any]:
    """Return what a task leaves for others of a stage's line on stdout: the result's key and state, nothing of the patient."""
    document = json.loads(answer.strip().splitlines()[-1])
    return {"key": document["key"], "state": "reused" if document["reused"] else "done"}
