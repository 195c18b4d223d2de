"""A stage as a task of AWS Elastic Container Service, on Fargate or on machines of one's own.

The deployment registers the task definition (image, roles, file system, log group: docs/operations.md); a stage changes
command and size only, so that Airflow needs leave to run it and no more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Never

from airflow.providers.amazon.aws.exceptions import EcsOperatorError
from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator
from airflow.providers.amazon.aws.utils.identifiers import generate_uuid
from airflow.sdk import Context
from airflow.triggers.base import BaseTrigger
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from algorithms.contract.errors import EXIT_TRANSIENT
from algorithms.contract.pipeline import Resources
from operators import settings
from operators.case import OpenCase
from operators.settings import Settings
from operators.stage import ENVIRONMENT, SIGNALLED, STOPPED, End, StageTask

CONTAINER = "stage"
"""What the task definition must call its container."""

LOG_PREFIX = "heartwood"
"""The task definition's ``awslogs-stream-prefix``."""

POLL_S = 6.0
"""How often ECS is asked; its API allows far more, a stage takes minutes."""

GIB_PER_SIZE = {0.25: (0.5, 1, 2), 0.5: (1, 2, 3, 4), 1: range(2, 9), 2: range(4, 17), 4: range(8, 31), 8: range(16, 61, 4),
                16: range(32, 121, 8)}  # fmt: skip
"""Sizes that Fargate has, GiB of memory by CPUs (AWS, *Fargate task definition parameters*, task CPU and memory)."""

FREE_DISK_GIB, MOST_DISK_GIB = 20, 200
"""A Fargate task has so much disk anyway, and at most (AWS, *Fargate task ephemeral storage*)."""

LAUNCH_TYPES = {"FARGATE", "EC2", "EXTERNAL"}

PASSING = {"ThrottlingException", "ServerException", "ServiceUnavailable", "RequestTimeout", "InternalFailure"}
"""Answers of the API after which the same call may succeed."""


class EcsStage(StageTask, EcsRunTaskOperator):
    """Run one stage of a case as an ECS task; the provider finds the task of a worker that died by ``startedBy``."""

    template_fields = StageTask.template_fields
    _stopped = False

    def __init__(self, **kwargs: Any) -> None:
        here = settings.load()
        super().__init__(
            task_definition=here.needed("ecs_task"),
            cluster=here.needed("ecs_cluster"),
            overrides={},
            container_name=CONTAINER,
            network_configuration=network(here),
            awslogs_group=here.ecs_log_group or None,
            awslogs_stream_prefix=LOG_PREFIX,
            awslogs_fetch_interval=timedelta(seconds=POLL_S),
            reattach=True,
            waiter_delay=POLL_S,
            **kwargs,
        )

    def run_stage(self, opened: OpenCase, context: Context) -> End:
        """Run the ECS task, or wait for that of an earlier try, and return how it ended; it may defer."""
        self.configure(opened)
        try:
            EcsRunTaskOperator.execute(self, context)  # type: ignore[no-untyped-call]
            return self._ended()
        except EcsOperatorError as error:
            reasons = {str(failure.get("reason", "unknown")) for failure in error.failures}
            return End(EXIT_TRANSIENT, f"because ECS could not place it: {', '.join(sorted(reasons))}")
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in PASSING:
                raise
            return End(EXIT_TRANSIENT, f"because ECS answered {code}")
        except (WaiterError, BotoCoreError) as error:
            return End(EXIT_TRANSIENT, f"because ECS lost sight of it ({type(error).__name__})")

    def configure(self, opened: OpenCase) -> None:
        """Tell the provider's operator what to start, from what the stage declares and this case."""
        need, here = self.need_of(opened), opened.here
        capacity = here.ecs_capacity_gpu if need.gpu else here.ecs_capacity
        self.task_definition = here.needed("ecs_task_gpu" if need.gpu else "ecs_task")
        self.launch_type = capacity
        if capacity not in LAUNCH_TYPES:  # a strategy goes before a launch type
            self.capacity_provider_strategy = [{"capacityProvider": capacity, "weight": 1}]
        self.overrides = overrides(self.command_of(opened, here.home_inside), need, fargate=capacity.startswith("FARGATE"))

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Return what the stage came to, when a deferred task goes on."""
        EcsRunTaskOperator.execute_complete(self, context, event)
        return self.answer(self.open(), self._ended())

    def defer(
        self,
        *,
        trigger: BaseTrigger,
        method_name: str,
        kwargs: dict[str, Any] | None = None,
        timeout: timedelta | int | float | None = None,
    ) -> Never:
        """Wait without a worker, at most for the task's own time limit, which Airflow does not count while it is deferred."""
        super().defer(trigger=trigger, method_name=method_name, kwargs=kwargs, timeout=self.execution_timeout or timeout)

    def recall(self, context: Context) -> None:
        """Find the running ECS task of this Airflow task."""
        ti = context["ti"]
        self._try_reattach_task(started_by=generate_uuid(*map(str, (ti.dag_id, ti.task_id, ti.run_id, ti.map_index))))

    def on_kill(self) -> None:
        """Stop the ECS task."""
        self._stopped = True
        super().on_kill()

    def _after_execution(self) -> None:
        """Leave it to `_ended` to say what the end means: the provider raises the same error for every one."""

    def _ended(self) -> End:
        """Return how the task ended, from what ECS says of it and of its container."""
        (task,) = self.client.describe_tasks(cluster=self.cluster, tasks=[self.arn])["tasks"]
        return End(EXIT_TRANSIENT, STOPPED) if self._stopped else end_of(task)


def end_of(task: Mapping[str, Any]) -> End:
    """Return how a stopped ECS task, as ``DescribeTasks`` gives it, ended."""
    container = next(c for c in task["containers"] if c["name"] == CONTAINER)
    code, reason = container.get("exitCode"), container.get("reason", "")
    if "OutOfMemory" in reason:
        return End(SIGNALLED + 9)
    if code is not None and task.get("stopCode", "EssentialContainerExited") == "EssentialContainerExited":
        return End(code)
    said = task.get("stoppedReason") or reason or task.get("stopCode", "no reason was given")
    return End(EXIT_TRANSIENT, f"because ECS ended it: {said}")


def overrides(command: list[str], need: Resources, *, fargate: bool) -> dict[str, Any]:
    """Return what ``RunTask`` changes of the task definition: command and size."""
    cpu, memory_gib = fargate_size(need.cpu, need.memory_gib) if fargate else (need.cpu, need.memory_gib)
    units, memory_mib = math.ceil(cpu * 1024), math.ceil(memory_gib * 1024)
    container: dict[str, Any] = {
        "name": CONTAINER,
        "command": command,
        "cpu": units,
        "memory": memory_mib,
        "environment": [{"name": name, "value": value} for name, value in ENVIRONMENT.items()],
    }
    if need.gpu:
        container["resourceRequirements"] = [{"type": "GPU", "value": str(need.gpu)}]
    task: dict[str, Any] = {"containerOverrides": [container], "cpu": str(units), "memory": str(memory_mib)}
    if fargate and need.disk_gib > FREE_DISK_GIB:
        task["ephemeralStorage"] = {"sizeInGiB": min(math.ceil(need.disk_gib), MOST_DISK_GIB)}
    return task


def fargate_size(cpu: float, memory_gib: float) -> tuple[float, float]:
    """Return the smallest size of Fargate (CPUs, GiB) that holds what is asked for; raises ``ValueError`` if none does."""
    for cpus, sizes in GIB_PER_SIZE.items():
        fitting = [size for size in sizes if size >= memory_gib]
        if cpus >= cpu and fitting:
            return cpus, fitting[0]
    raise ValueError(f"Fargate has no size with {cpu:g} CPUs and {memory_gib:g} GiB; pin the stage to another place")


def network(here: Settings) -> dict[str, Any] | None:
    """Return where in the cloud's network a task stands; ``None`` where its machine's own network is used."""
    if not here.ecs_subnets:
        return None
    subnets, groups = (
        [name.strip() for name in text.split(",") if name.strip()] for text in (here.ecs_subnets, here.ecs_security_groups)
    )
    return {"awsvpcConfiguration": {"subnets": subnets, "securityGroups": groups, "assignPublicIp": "DISABLED"}}
