"""What tests of several places share: a stage that waits for a sign, one with other resources, one try in a thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psutil

from algorithms.contract.pipeline import Resources

WAITS = """
import pathlib, time
case = pathlib.Path(r"{case}")
(case / "started").touch()
while not (case / "go").exists():
    time.sleep(0.02)
raise SystemExit({code})
"""
"""Says that it has started, and ends with ``code`` when it is told to."""


class Declared:
    """Stands in a task's class for ``declared``: a stage that declares other resources."""

    def __init__(self, stage: Any, resources: Resources) -> None:
        self._stage = replace(stage, resources=resources)

    def __get__(self, *_: Any) -> Any:
        return self._stage


def attempt(task: Any, context: Any, errors: list[BaseException] | None = None) -> None:
    """Run a task as Airflow would, in a thread or a process; what it raises goes to ``errors``."""
    try:
        task.execute(context)
    except Exception as error:  # noqa: BLE001 - the test looks at it
        if errors is not None:
            errors.append(error)


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """Return what ``condition`` returns once it is true, or what it returned last."""
    until = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def gone(pids: list[int]) -> bool:
    """Return whether all processes have ended, though nobody may have waited for some yet."""
    return all(map(_ended, pids))


def _ended(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
