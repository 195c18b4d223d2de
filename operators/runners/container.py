"""A stage as a container on this machine: Docker, or podman through its Docker-compatible socket."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import Any

from airflow.providers.docker.exceptions import DockerContainerFailedException
from airflow.providers.docker.operators.docker import DockerOperator, fetch_logs
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException
from docker.errors import APIError, NotFound
from docker.types import DeviceRequest, Mount
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import Timeout

from algorithms.contract.errors import EXIT_TRANSIENT
from operators import settings
from operators.case import OpenCase
from operators.stage import ENVIRONMENT, STOPPED, End, StageTask

LABEL = "heartwood.task"
"""Names the task on its container, so that the next try of a task whose worker died finds it."""


class ContainerStage(StageTask, DockerOperator):  # type: ignore[misc]  # ours returns a result, the provider's the last log line
    """Run one stage of a case in a container that sees its own case and no network.

    The provider does not know of re-attaching: a container that a dead worker left is waited for here, not started again.
    """

    template_fields = StageTask.template_fields
    _stopped = False

    def __init__(self, **kwargs: Any) -> None:
        here = settings.load()
        super().__init__(
            image=here.image_for(gpu=0),
            docker_url=here.container_url or None,
            network_mode=here.container_network,
            user=here.container_user or f"{os.getuid()}:{os.getgid()}",
            mount_tmp_dir=False,
            auto_remove="never",  # how it ended is asked for first
            **kwargs,
        )

    def run_stage(self, opened: OpenCase, context: Context) -> End:
        """Run the stage, or wait for the container of an earlier try, and return how it ended."""
        self.configure(opened)
        self.labels = {LABEL: _identity(context)}
        try:
            code = self._exit_code(context)
        except (AirflowException, NoConnection, Timeout):
            return End(EXIT_TRANSIENT, "because the container engine does not answer")
        except APIError as error:
            if not error.is_server_error():
                raise
            return End(EXIT_TRANSIENT, f"because the container engine failed: {error.explanation}")
        return End(code, STOPPED if self._stopped else "")

    def configure(self, opened: OpenCase) -> None:
        """Tell the provider's operator what to start, from what the stage declares and this case."""
        need, here = self.need_of(opened), opened.here
        self.image = here.image_for(need.gpu)
        self.command = self.command_of(opened, here.home_inside)
        self.environment = {"HEARTWOOD_IMAGE": self.image, **ENVIRONMENT}
        self.mounts = [
            Mount(str(here.home_inside / m.path), str(here.home_folder.root / m.path), "bind", read_only=m.read_only)
            for m in self.mounts_of(opened)
        ]
        self.cpus = need.cpu
        self.mem_limit = f"{round(need.memory_gib * 1024)}m"
        self.device_requests = [DeviceRequest(count=need.gpu, capabilities=[["gpu"]])] if need.gpu else None

    def on_kill(self) -> None:
        """Stop the container; its first process ignores TERM unless it listens for it, so KILL follows soon."""
        self._stopped = True
        if self.container is not None:
            with suppress(NotFound):
                self.cli.stop(self.container["Id"], timeout=round(settings.load().kill_grace_s))

    def forget(self, context: Context) -> None:
        """Remove the containers that earlier tries left."""
        for left in self._left(context):
            self.cli.remove_container(left["Id"], force=True)

    def _exit_code(self, context: Context) -> int:
        left = self._left(context)
        try:
            if left:
                self.container = left[0]
                self.log.info("waiting for the container of an earlier try")
                fetch_logs(self.cli.logs(self.container["Id"], stream=True, follow=True), self.log)
            else:
                # The provider's message repeats its log; what the exit code means is in the case folder.
                with suppress(DockerContainerFailedException):
                    DockerOperator.execute(self, context)
            return int(self.cli.wait(self.container["Id"])["StatusCode"])
        finally:
            if self.container is not None:
                with suppress(NotFound):
                    self.cli.remove_container(self.container["Id"], force=True)

    def _left(self, context: Context) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.cli.containers(all=True, filters={"label": f"{LABEL}={_identity(context)}"})
        return found


def _identity(context: Context) -> str:
    ti = context["ti"]
    return hashlib.sha256("\n".join(map(str, (ti.dag_id, ti.run_id, ti.task_id, ti.map_index))).encode()).hexdigest()[:32]
