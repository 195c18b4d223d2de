"""What moto's ECS lacks: an agent that really runs the containers' commands, as subprocesses of this machine.

It finds the tasks of this process's moto, runs each command with the environment and below the memory that the task asks
for, and says of the end what ECS would say.
"""

from __future__ import annotations

import json
import threading
import time
from types import TracebackType
from typing import Any

import boto3
from moto.backends import get_backend
from moto.moto_api import state_manager

from tests.operators.airflow_home import PROJECT
from tests.operators.runners.confined import KILLED, Confined

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
        self.running: dict[str, tuple[Any, Confined]] = {}
        self.take_away = threading.Event()
        self.refuse = threading.Event()
        self._backend: Any = get_backend("ecs")[account][region]
        self._seen = {task.id for task in self._tasks()}
        self._left = threading.Event()

    def __enter__(self) -> EcsAgent:
        state_manager.set_transition("ecs::task", FOR_EVER)
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._left.set()
        self.join()
        for _, process in self.running.values():
            process.close()
        state_manager.unset_transition("ecs::task")

    def run(self) -> None:
        """Look for new tasks and for the end of old ones."""
        while not self._left.wait(POLL_S):
            for task in self._tasks():
                if task.id not in self._seen:
                    self._seen.add(task.id)
                    self._start(task)
            for identity, (task, process) in list(self.running.items()):
                if self._look(task, process):
                    process.close()
                    del self.running[identity]

    def _tasks(self) -> list[Any]:
        return [task for cluster in list(self._backend.tasks.values()) for task in list(cluster.values())]

    def _start(self, task: Any) -> None:
        if self.refuse.is_set():
            _end(task, None, code="TaskFailedToStart", why="CannotPullContainerError: pull image manifest has been retried")
            return
        container = task.overrides["containerOverrides"][0]
        self.done.append(task.overrides)
        environment = {entry["name"]: entry["value"] for entry in container["environment"]}
        task.containers[0].last_status = "RUNNING"
        self.running[task.id] = (task, Confined(container["command"], environment, container["memory"]))

    def _look(self, task: Any, process: Confined) -> bool:
        """Return whether the task has ended, after ending it where ECS would."""
        ended = process.ended()
        if ended is not None:
            self._log(task, process)
            task.containers[0].reason = OUT_OF_MEMORY if ended.out_of_memory else ""
            _end(task, ended.code, code="EssentialContainerExited", why="Essential container in task exited")
        elif task.desired_status == "STOPPED":
            process.kill()
            _end(task, KILLED, code="UserInitiated", why=task.stopped_reason)
        elif self.take_away.is_set():
            self.take_away.clear()
            process.kill()
            _end(task, KILLED, code="SpotInterruption", why="Your Spot Task was interrupted.")
        else:
            return False
        return True

    def _log(self, task: Any, process: Confined) -> None:
        """Send what the container said where the documented task definition sends it: prefix, container, task."""
        lines = process.said()
        options = documented_task_definition()["containerDefinitions"][0]["logConfiguration"]["options"]
        group, stream = options["awslogs-group"], f"{options['awslogs-stream-prefix']}/stage/{task.id}"
        if lines and self.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            self.logs.create_log_stream(logGroupName=group, logStreamName=stream)
            events = [{"timestamp": int(time.time() * 1000), "message": line} for line in lines]
            self.logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def _end(task: Any, exit_code: int | None, *, code: str, why: str) -> None:
    (container,) = task.containers
    container.exitCode, container.last_status = exit_code, "STOPPED"
    task.stop_code, task.stopped_reason, task.desired_status = code, why, "STOPPED"
    task.last_status = "STOPPED"


def documented_task_definition() -> dict[str, Any]:
    """Return the task definition that docs/operations.md tells an operator to register."""
    text = (PROJECT / "docs/operations.md").read_text()
    definition: dict[str, Any] = json.loads(text.partition("```json\n")[2].partition("```")[0])
    return definition


def deployment() -> dict[str, str]:
    """Make in moto what docs/operations.md asks for, and return the settings that name it."""
    boto3.client("ecs").create_cluster(clusterName="heartwood")
    boto3.client("ecs").register_task_definition(**documented_task_definition())
    network = boto3.client("ec2")
    settings = {
        "ECS_CLUSTER": "heartwood",
        "ECS_TASK": documented_task_definition()["family"],
        "ECS_SUBNETS": network.describe_subnets()["Subnets"][0]["SubnetId"],
        "ECS_SECURITY_GROUPS": network.describe_security_groups()["SecurityGroups"][0]["GroupId"],
    }
    return {f"AIRFLOW__HEARTWOOD__{name}": value for name, value in settings.items()}
