"""What moto's ECS lacks: an agent that really runs the containers' commands, as subprocesses of this machine.

It finds the tasks of this process's moto, runs each command with the environment and below the memory that the task asks
for, and says of the end what ECS would say.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3
import psutil
from moto.backends import get_backend
from moto.moto_api import state_manager

from tests.operators.airflow_home import PROJECT

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
"""The reason that ECS gives for a container (AWS, *Amazon ECS stopped tasks error messages*)."""

POLL_S = 0.02

FOR_EVER = {"progression": "manual", "times": 10**9}
"""moto moves a task on at every look; here only the agent moves it."""


class EcsAgent(threading.Thread):
    """Runs the tasks that are asked for while it is entered; ``done`` holds what each of them asked for.

    ``take_away`` makes the next running task lose its machine, ``refuse`` every new one fail to start.
    """

    def __init__(self, endpoint: str, region: str, account: str = "123456789012") -> None:
        super().__init__(daemon=True)
        self.logs = boto3.client("logs", endpoint_url=endpoint, region_name=region)
        self.done: list[dict[str, Any]] = []
        self.take_away = threading.Event()
        self.refuse = threading.Event()
        self._backend: Any = get_backend("ecs")[account][region]
        self._running: dict[str, tuple[Any, subprocess.Popen[bytes]]] = {}
        self._seen = {task.id for task in self._tasks()}
        self._left = threading.Event()

    def __enter__(self) -> EcsAgent:
        state_manager.set_transition("ecs::task", FOR_EVER)
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._left.set()
        self.join()
        for _, process in self._running.values():
            _kill(process)
        state_manager.unset_transition("ecs::task")

    def run(self) -> None:
        """Look for new tasks and for the end of old ones."""
        while not self._left.wait(POLL_S):
            for task in self._tasks():
                if task.id not in self._seen:
                    self._seen.add(task.id)
                    self._start(task)
            for identity, (task, process) in list(self._running.items()):
                if self._look(task, process):
                    del self._running[identity]

    def _tasks(self) -> list[Any]:
        return [task for cluster in list(self._backend.tasks.values()) for task in list(cluster.values())]

    def _start(self, task: Any) -> None:
        if self.refuse.is_set():
            self._end(
                task, None, code="TaskFailedToStart", why="CannotPullContainerError: pull image manifest has been retried"
            )
            return
        container = task.overrides["containerOverrides"][0]
        self.done.append(task.overrides)
        python, *arguments = container["command"]
        assert python == "python"
        environment = {entry["name"]: entry["value"] for entry in container["environment"]} | {"PATH": os.environ["PATH"]}
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        task.containers[0].last_status = "RUNNING"
        self._running[task.id] = (task, process)

    def _look(self, task: Any, process: subprocess.Popen[bytes]) -> bool:
        """Return whether the task has ended, after ending it where ECS or its kernel would."""
        limit_mib = task.overrides["containerOverrides"][0]["memory"]
        if process.poll() is not None:
            code = process.returncode if process.returncode >= 0 else 128 - process.returncode
            self._log(task, process)
            self._end(task, code, code="EssentialContainerExited", why="Essential container in task exited")
        elif task.desired_status == "STOPPED":
            _kill(process)
            self._end(task, 137, code="UserInitiated", why=task.stopped_reason)
        elif self.take_away.is_set():
            self.take_away.clear()
            _kill(process)
            self._end(task, 137, code="SpotInterruption", why="Your Spot Task was interrupted.")
        elif _memory_mib(process) > limit_mib:
            _kill(process)
            task.containers[0].reason = OUT_OF_MEMORY
            self._end(task, 137, code="EssentialContainerExited", why="Essential container in task exited")
        else:
            return False
        return True

    def _log(self, task: Any, process: subprocess.Popen[bytes]) -> None:
        """Send what the container said where the documented task definition sends it: prefix, container, task."""
        assert process.stdout is not None
        with process.stdout as said:
            lines = said.read().decode().splitlines()
        options = documented_task_definition()["containerDefinitions"][0]["logConfiguration"]["options"]
        group, stream = options["awslogs-group"], f"{options['awslogs-stream-prefix']}/stage/{task.id}"
        if lines and self.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            now = int(time.time() * 1000)
            self.logs.create_log_stream(logGroupName=group, logStreamName=stream)
            events = [{"timestamp": now, "message": line} for line in lines]
            self.logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    @staticmethod
    def _end(task: Any, exit_code: int | None, *, code: str, why: str) -> None:
        (container,) = task.containers
        container.exitCode, container.last_status = exit_code, "STOPPED"
        task.stop_code, task.stopped_reason, task.desired_status = code, why, "STOPPED"
        task.last_status = "STOPPED"


def _kill(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    process.stdout.close()
    process.kill()
    process.wait()


def _memory_mib(process: subprocess.Popen[bytes]) -> float:
    try:
        return float(psutil.Process(process.pid).memory_info().rss) / 2**20
    except psutil.NoSuchProcess:
        return 0.0


def documented_task_definition() -> dict[str, Any]:
    """Return the task definition that docs/operations.md tells an operator to register."""
    text = Path(PROJECT / "docs/operations.md").read_text()
    definition: dict[str, Any] = json.loads(text.partition("```json\n")[2].partition("```")[0])
    return definition
