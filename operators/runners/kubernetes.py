"""A stage as a pod of a Kubernetes cluster."""

from __future__ import annotations

import os
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowTaskTimeout
from kubernetes.client import ApiClient
from kubernetes.client import models as k8s
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from algorithms.contract.errors import EXIT_OK, EXIT_TRANSIENT
from algorithms.contract.pipeline import Resources
from operators import settings
from operators.case import OpenCase
from operators.settings import Settings
from operators.stage import ENVIRONMENT, SIGNALLED, STOPPED, End, Mount, StageTask

CONTAINER = "stage"
SCRATCH = "/tmp"

START_S = 1200
"""A cluster that first has to get a machine, and that machine the image, needs minutes."""

CHECK_S = 5
"""How often a pod that starts is looked at."""

BACKSTOP_S = 600
"""Kubernetes itself ends a pod so long after the stage's time limit, should Airflow no longer be there to do it."""

GONE, TOO_MANY, SERVER = 404, 429, 500
"""Answers of the API after which the same call may succeed: the pod is gone, too many calls, its own errors."""


class KubernetesStage(StageTask, KubernetesPodOperator):
    """Run one stage of a case as a pod; the provider finds the pod of a worker that died."""

    template_fields = StageTask.template_fields
    _seen: k8s.V1Pod | None = None
    _run: Context | None = None

    def __init__(self, **kwargs: Any) -> None:
        here = settings.load()
        super().__init__(
            namespace=here.kubernetes_namespace,
            image=here.image_for(gpu=0),
            service_account_name=here.kubernetes_service_account or None,
            automount_service_account_token=False,
            pod_template_file=here.kubernetes_pod_template or None,
            base_container_name=CONTAINER,
            startup_timeout_seconds=START_S,
            startup_check_interval_seconds=CHECK_S,
            termination_grace_period=round(here.kill_grace_s),
            log_pod_spec_on_failure=False,
            container_name_log_prefix_enabled=False,
            **kwargs,
        )
        self.name = f"heartwood-{self.pipeline}-{self.stage}"

    def execute(self, context: Context) -> dict[str, str]:
        """Return the result's key and state; see `StageTask.execute`."""
        return self._pushed(context, StageTask.execute(self, context))

    def trigger_reentry(self, context: Context, event: dict[str, Any]) -> dict[str, str]:
        """Return what the stage came to, when a deferred task goes on; it may defer once more."""
        end = self._ended(lambda: KubernetesPodOperator.trigger_reentry(self, context, event))
        if event["status"] == "timeout":
            raise AirflowTaskTimeout(f"stage {self.named} ran past its time limit")
        return self._pushed(context, self.answer(self.open(), end))

    def run_stage(self, opened: OpenCase, context: Context) -> End:
        """Run the pod, or wait for that of an earlier try, and return how it ended; it may defer."""
        self.configure(opened)
        self._run = context
        return self._ended(lambda: KubernetesPodOperator.execute(self, context))

    def configure(self, opened: OpenCase) -> None:
        """Tell the provider's operator what to start, from what the stage declares and this case."""
        need, here = self.need_of(opened), opened.here
        self.image = here.image_for(need.gpu)
        self.arguments = self.command_of(opened, here.home_inside)
        self.env_vars = [k8s.V1EnvVar(n, v) for n, v in {"HEARTWOOD_IMAGE": self.image, **ENVIRONMENT}.items()]
        self.labels = {"app.kubernetes.io/name": "heartwood", "app.kubernetes.io/component": self.stage}
        self.container_resources = resources(need)
        self.active_deadline_seconds = need.timeout_s + BACKSTOP_S
        self.volumes, self.volume_mounts = volumes(here, self.mounts_of(opened), need)
        self.security_context = pod_security(here)
        self.container_security_context = k8s.V1SecurityContext(
            allow_privilege_escalation=False,
            capabilities=k8s.V1Capabilities(drop=["ALL"]),
            read_only_root_filesystem=True,
        )

    def manifest(self) -> dict[str, Any]:
        """Return the pod that would be submitted for this case, as JSON."""
        self.configure(self.open())
        pod: dict[str, Any] = ApiClient().sanitize_for_serialization(self.build_pod_request_obj(dry_run=True))
        return pod

    def forget(self, context: Context) -> None:
        """Remove the pod that an earlier try left."""
        left = self.find_pod(self.namespace, context)
        if left is not None:
            self.process_pod_deletion(left, reraise=False)

    def recall(self, context: Context) -> None:
        """Find the pod of this task."""
        self.pod = self.find_pod(self.namespace, context)

    def on_kill(self) -> None:
        """Delete the pod; while the API has not yet answered that there is one, it is looked for."""
        if self.pod is None and self._run is not None:
            self.recall(self._run)
        super().on_kill()

    def cleanup(self, pod: k8s.V1Pod, remote_pod: k8s.V1Pod, *others: Any, **named: Any) -> None:
        """Keep what is known of the pod before the provider deletes it."""
        self._seen = remote_pod
        super().cleanup(pod, remote_pod, *others, **named)

    def _ended(self, wait: Any) -> End:
        """Return how the pod ended, after waiting for it: the provider raises the same error for every end."""
        failed = ""
        try:
            wait()
        except AirflowException as error:
            failed = str(error).partition("\n")[0]
        except ApiException as error:
            if error.status not in {GONE, TOO_MANY} and error.status < SERVER:
                raise
            failed = f"the API answered {error.status}"
        except HTTPError as error:
            failed = f"the API does not answer ({type(error).__name__})"
        if self._killed:
            return End(EXIT_TRANSIENT, STOPPED)
        return end_of(self._seen, failed)

    def _pushed(self, context: Context, result: dict[str, str]) -> dict[str, str]:
        # With do_xcom_push the provider adds a container that waits for a file; so we leave the result ourselves.
        context["ti"].xcom_push(key="return_value", value=result)
        return result


def end_of(pod: k8s.V1Pod | None, failed: str = "") -> End:
    """Return how a pod ended, as the API gives it; ``failed`` is what went wrong with it, if anything did."""
    status = pod.status if pod is not None else None
    if status is not None and status.reason:  # Evicted, NodeLost, Shutdown: the pod's, not the container's
        return End(EXIT_TRANSIENT, f"because Kubernetes ended it: {status.reason}, {status.message or 'without a message'}")
    for condition in (status.conditions if status is not None else None) or []:
        if condition.type == "DisruptionTarget" and condition.status == "True":
            return End(EXIT_TRANSIENT, f"because Kubernetes ended it: {condition.reason}, {condition.message}")
    of_stage = [s for s in (status.container_statuses if status is not None else None) or [] if s.name == CONTAINER]
    ended = of_stage[0].state.terminated if of_stage and of_stage[0].state else None
    if ended is None:
        return End(EXIT_TRANSIENT, f"because its pod was lost or never started: {failed}") if failed else End(EXIT_OK)
    if ended.reason == "OOMKilled":
        return End(SIGNALLED + 9)
    if ended.exit_code == SIGNALLED + 9:
        return End(EXIT_TRANSIENT, f"by KILL, and not for want of memory ({ended.reason})")
    return End(ended.exit_code)


def resources(need: Resources) -> k8s.V1ResourceRequirements:
    """Return what a pod asks for and may have at most: idle CPUs may be used, memory and disk may not be exceeded."""
    sizes = {"memory": f"{round(need.memory_gib * 1024)}Mi", "ephemeral-storage": f"{round(need.disk_gib * 1024)}Mi"}
    gpu = {"nvidia.com/gpu": str(need.gpu)} if need.gpu else {}
    return k8s.V1ResourceRequirements(requests={"cpu": f"{need.cpu:g}", **sizes, **gpu}, limits={**sizes, **gpu})


def volumes(here: Settings, mounts: list[Mount], need: Resources) -> tuple[list[k8s.V1Volume], list[k8s.V1VolumeMount]]:
    """Return the folders that a pod sees of the home, and a scratch folder, the only one else that it can write to."""
    scratch = k8s.V1EmptyDirVolumeSource(size_limit=f"{round(need.disk_gib * 1024)}Mi")
    found = [k8s.V1Volume(name="scratch", empty_dir=scratch)]
    seen = [k8s.V1VolumeMount(name="scratch", mount_path=SCRATCH)]
    if here.kubernetes_volume_claim:
        claim = k8s.V1PersistentVolumeClaimVolumeSource(claim_name=here.kubernetes_volume_claim)
        found.append(k8s.V1Volume(name="home", persistent_volume_claim=claim))
    for number, mount in enumerate(mounts):
        inside, name = str(here.home_inside / mount.path), "home"
        below: str | None = mount.path
        if not here.kubernetes_volume_claim:
            name, below = f"home-{number}", None
            path = k8s.V1HostPathVolumeSource(path=str(here.home_folder.root / mount.path), type="Directory")
            found.append(k8s.V1Volume(name=name, host_path=path))
        seen.append(k8s.V1VolumeMount(name=name, mount_path=inside, sub_path=below, read_only=mount.read_only or None))
    return found, seen


def pod_security(here: Settings) -> k8s.V1PodSecurityContext:
    """Return who a pod runs as: the user of the workers, to whom the case folders belong, and never root."""
    user, _, group = (here.container_user or f"{os.getuid()}:{os.getgid()}").partition(":")
    known = {"run_as_user": int(user), "run_as_group": int(group or 0)} if int(user) else {}
    profile = k8s.V1SeccompProfile(type="RuntimeDefault")
    return k8s.V1PodSecurityContext(run_as_non_root=True, seccomp_profile=profile, **known)
