"""A stage as a pod: its manifest against Kubernetes' own schema, what its end means, and the real operator and client."""

from __future__ import annotations

import json
import multiprocessing
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kubernetes_validate
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferred
from kubernetes.client import ApiClient

from algorithms.contract.case import Case
from algorithms.contract.catalogue import pipeline
from algorithms.contract.errors import DataError, TransientError
from algorithms.contract.pipeline import Resources
from algorithms.contract.record import Failure
from operators.case import OpenCase
from operators.runners.kubernetes import KubernetesStage, end_of
from operators.stage import End, StageBug
from tests.operators.airflow_home import DATA, PROJECT
from tests.operators.runners.attempts import WAITS, Declared, attempt, wait_for
from tests.operators.runners.cluster import Cluster, cluster

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient` is deprecated"),
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern"),
    # The provider leaves the stream of a pod's log to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
]

IMAGE = "registry.example/heartwood-stage@sha256:" + "0" * 64


@pytest.fixture(autouse=True)
def _deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/operations.md asks for: a claim of the home, an image, the workers' user."""
    settings = {
        "RUNNER": "kubernetes",
        "IMAGE": IMAGE,
        "IMAGE_GPU": IMAGE + "gpu",
        "KUBERNETES_VOLUME_CLAIM": "heartwood-home",
        "CONTAINER_USER": "50000:0",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"AIRFLOW__HEARTWOOD__{name}", value)
    monkeypatch.setenv("AIRFLOW_CONN_STORE", "aws://key:secret@")
    monkeypatch.setattr("operators.stage.VISIBLE_S", 0)
    monkeypatch.setattr("operators.runners.kubernetes.CHECK_S", 0.05)


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The API that the operator's real client talks to; pods really run, as processes of this machine."""
    with cluster(tmp_path) as (running, config):
        monkeypatch.setenv("KUBECONFIG", str(config))
        monkeypatch.setenv(
            "AIRFLOW_CONN_KUBERNETES_DEFAULT",
            json.dumps({"conn_type": "kubernetes", "extra": {"kube_config_path": str(config), "in_cluster": False}}),
        )
        yield running


class Scripted(KubernetesStage):
    """The Kubernetes runner with a script in the place of ``python -m algorithms``."""

    script = ""

    def command_of(self, opened: OpenCase, home: Any, python: str = "python") -> list[str]:
        return [python, "-c", self.script]


def stage(case: Case, script: str = "", name: str = "segment", **others: Any) -> KubernetesStage:
    kind = Scripted if script else KubernetesStage
    task = kind(task_id=name, pipeline="coronary", stage=name, case_id=case.case_id, parameters={}, **others)
    if isinstance(task, Scripted):
        task.script = script
    return task


def context(case: Case, name: str = "segment") -> Any:
    """Return the part of Airflow's context that the runner and the provider read, with what it leaves for other tasks."""
    left: dict[str, Any] = {}
    ti = SimpleNamespace(
        dag_id="coronary_ffr",
        run_id=case.case_id,
        task_id=name,
        map_index=-1,
        try_number=1,
        xcom_push=lambda key, value: left.update({key: value}),
    )
    return {"ti": ti, "run_id": ti.run_id, "dag": SimpleNamespace(parent_dag=None), "left": left}


HUNGRY = "import time; x = bytearray(700 * 2**20); time.sleep({wait_s}); raise SystemExit(65)"


@pytest.mark.parametrize("claim", ["heartwood-home", ""], ids=["a volume", "the node's disk"])
@pytest.mark.parametrize("declared", [s for p in ("coronary", "prostate") for s in pipeline(p).stages], ids=lambda s: s.run)
def test_every_stages_pod_is_valid(case: Case, monkeypatch: pytest.MonkeyPatch, declared: Any, claim: str) -> None:
    """Kubernetes' published schema, strict: no field that it does not know, none of the wrong type."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__KUBERNETES_VOLUME_CLAIM", claim)
    task = stage(case)
    monkeypatch.setattr(KubernetesStage, "declared", property(lambda self: declared))

    pod = task.manifest()

    kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
    assert (pod["kind"], pod["spec"]["restartPolicy"]) == ("Pod", "Never")


def test_a_pod_asks_for_what_the_stage_declares_and_no_secret(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU as a request, memory and disk as a limit too; not root, no token, only case and scratch can be written."""
    pod = stage(case, name="deidentify").manifest()
    (container,) = pod["spec"]["containers"]
    need = pipeline("coronary").stage("deidentify").resources

    assert container["args"][:5] == ["python", "-m", "algorithms", "coronary", "deidentify"]
    assert container["resources"]["requests"]["cpu"] == f"{need.cpu:g}"
    assert container["resources"]["limits"]["memory"] == f"{need.memory_gib * 1024:g}Mi"
    assert container["env"] == [{"name": "HEARTWOOD_IMAGE", "value": IMAGE}, {"name": "HOME", "value": "/tmp"}]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert pod["spec"]["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 50000,
        "runAsGroup": 0,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert {m["mountPath"]: m.get("subPath") for m in container["volumeMounts"]} == {
        "/tmp": None,
        str(DATA / "cases" / case.case_id): f"cases/{case.case_id}",
        str(DATA / "inbox" / case.case_id): f"inbox/{case.case_id}",
        str(DATA / "vault"): "vault",
        str(DATA / "vault/keys"): "vault/keys",
        str(DATA / "vault/identities"): "vault/identities",
    }
    assert "secret" not in json.dumps(pod)


def test_a_stage_with_a_gpu_gets_its_image_and_its_device(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The NVIDIA device plugin's resource; the image with CUDA is large, so others do not run in it."""
    task = stage(case, "pass")
    monkeypatch.setattr(Scripted, "declared", Declared(task.declared, Resources(gpu=1, disk_gib=50)))

    (container,) = task.manifest()["spec"]["containers"]

    assert container["image"] == IMAGE + "gpu"
    assert container["resources"]["limits"] == {"memory": "1024Mi", "ephemeral-storage": "51200Mi", "nvidia.com/gpu": "1"}


def test_what_a_deployment_adds_to_every_pod_comes_from_its_template(
    case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Node selectors, tolerations and pull secrets differ in every cluster: they are a file, not ten settings."""
    template = {
        "apiVersion": "v1",
        "kind": "Pod",
        "spec": {"nodeSelector": {"pool": "stages"}, "containers": [{"name": "stage"}]},
    }
    (tmp_path / "pod.yaml").write_text(json.dumps(template))
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__KUBERNETES_POD_TEMPLATE", str(tmp_path / "pod.yaml"))

    pod = stage(case).manifest()

    kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
    assert pod["spec"]["nodeSelector"] == {"pool": "stages"}
    assert [c["name"] for c in pod["spec"]["containers"]] == ["stage"]


def ended(**terminated: Any) -> dict[str, Any]:
    state = {"terminated": terminated}
    status = {"name": "stage", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": state}
    return {"containerStatuses": [status]}


DISRUPTED = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "PreemptionByScheduler",
    "message": "a pod of higher priority",
}


@pytest.mark.parametrize(
    ("status", "end"),
    [
        pytest.param(ended(exitCode=0, reason="Completed"), End(0), id="done"),
        pytest.param(ended(exitCode=65, reason="Error"), End(65), id="data"),
        pytest.param(ended(exitCode=139, reason="Error"), End(139), id="a signal of its own"),
        pytest.param(ended(exitCode=137, reason="OOMKilled"), End(137), id="memory"),
        pytest.param(
            ended(exitCode=137, reason="Error"), End(75, "by KILL, and not for want of memory (Error)"), id="another kill"
        ),
        pytest.param(
            ended(exitCode=137, reason="Error") | {"reason": "Evicted", "message": "The node was low on resource"},
            End(75, "because Kubernetes ended it: Evicted, The node was low on resource"),
            id="evicted",
        ),
        pytest.param(
            ended(exitCode=137, reason="Error") | {"conditions": [DISRUPTED]},
            End(75, "because Kubernetes ended it: PreemptionByScheduler, a pod of higher priority"),
            id="preempted",
        ),
        pytest.param({"phase": "Pending"}, End(75, "because its pod was lost or never started: no node"), id="never started"),
    ],
)
def test_what_a_pod_says_of_its_end(status: dict[str, Any], end: End) -> None:
    """Answers of the API as Kubernetes documents them (*Pod lifecycle*, *Disruptions*), through the client's own parser."""
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "stage"}]}, "status": status}
    parsed = ApiClient().deserialize(SimpleNamespace(data=json.dumps(pod)), "V1Pod")

    assert end_of(parsed, "no node") == end


def test_a_stage_runs_as_a_pod(case: Case, api: Cluster) -> None:
    """The first stage in stub mode: key from the manifest in the case folder, left for others, and no pod behind it."""
    told = context(case, "receive")
    first = stage(case, name="receive").execute(told)
    second = stage(case, name="receive").execute(told)

    assert first == told["left"]["return_value"] | {"state": "done"}
    assert second == {"key": first["key"], "state": "reused"}
    assert len(api.done) == 1
    assert api.pods == {}


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        pytest.param("raise SystemExit(65)", DataError, id="data"),
        pytest.param("raise SystemExit(75)", TransientError, id="transient"),
        pytest.param("raise SystemExit(70)", StageBug, id="bug"),
        pytest.param("import os; os.abort()", TransientError, id="signal"),
    ],
)
def test_the_kind_of_a_failure_survives_kubernetes(case: Case, api: Cluster, script: str, kind: type[Exception]) -> None:
    """The exit code is the container's in the pod's status; the provider raises the same error for every one."""
    Failure("data", "20 slices, wanted 100").write(case.folder / "segment")

    with pytest.raises(kind, match=r"20 slices, wanted 100|signal 6"):
        stage(case, script).execute(context(case))
    assert api.pods == {}


def test_what_the_container_says_is_in_the_log_of_the_airflow_task(
    case: Case, api: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Line by line, while it runs."""
    with pytest.raises(DataError):
        stage(case, "print('12 of 300 slices', flush=True); raise SystemExit(65)").execute(context(case))
    assert "12 of 300 slices" in capsys.readouterr().out


def test_a_pod_out_of_memory_gets_more_at_the_next_try(case: Case, api: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """0.5 GiB are declared and 700 MiB used: the first try is killed, the second has 0.75 GiB and comes to its end."""
    task = stage(case, HUNGRY.format(wait_s=600))
    monkeypatch.setattr(Scripted, "declared", Declared(task.declared, Resources(memory_gib=0.5)))

    with pytest.raises(TransientError, match=r"killed by signal 9, most often for want of memory; it had 0.5 GiB"):
        task.execute(context(case))
    with pytest.raises(DataError):
        stage(case, HUNGRY.format(wait_s=0.2)).execute(context(case))
    assert [pod["spec"]["containers"][0]["resources"]["limits"]["memory"] for pod in api.done] == ["512Mi", "768Mi"]


def test_an_evicted_pod_is_tried_again_with_the_same_memory(case: Case, api: Cluster) -> None:
    """A node short of disk is nobody's fault; the message keeps what Kubernetes said."""
    threading.Thread(target=lambda: wait_for((case.folder / "started").exists) and api.evict.set()).start()

    with pytest.raises(TransientError, match="Evicted, The node was low on resource"):
        stage(case, WAITS.format(case=case.folder, code=0)).execute(context(case))
    assert Failure.kills_before(case.folder / "segment") == 0


def test_a_pod_of_a_dead_worker_is_waited_for_and_not_started_twice(case: Case, api: Cluster) -> None:
    """KILL gives a worker no time to delete anything: its pod goes on, and the next try takes how it ends."""
    first = stage(case, WAITS.format(case=case.folder, code=65))
    worker = multiprocessing.get_context("fork").Process(target=attempt, args=(first, context(case)))
    worker.start()
    assert wait_for((case.folder / "started").exists)
    worker.kill()
    worker.join()

    second = stage(case, "raise SystemExit(70)")
    threading.Thread(target=lambda: wait_for(lambda: second.pod) and (case.folder / "go").touch()).start()
    with pytest.raises(DataError):
        second.execute(context(case))
    assert len(api.done) == 1


def test_a_stopped_task_deletes_its_pod(case: Case, api: Cluster) -> None:
    """Clearing a task calls ``on_kill``; this stop is no want of memory, so the next try gets no more."""
    task = stage(case, WAITS.format(case=case.folder, code=0))
    errors: list[BaseException] = []
    thread = threading.Thread(target=attempt, args=(task, context(case), errors))
    thread.start()
    assert wait_for((case.folder / "started").exists)

    task.on_kill()
    thread.join(60)

    assert api.pods == {}
    assert isinstance(errors[0], TransientError)
    assert (left := Failure.read(case.folder / "segment")) is not None
    assert (left.message, left.kills) == ("the stage was ended because its task was stopped", 0)


def test_a_deferred_task_goes_on_to_the_same_end(case: Case, api: Cluster) -> None:
    """Waiting takes no worker; when the triggerer says that the pod has ended, result and failure are read as without it."""
    outcomes = {}
    for name, script in {"receive": "", "segment": "raise SystemExit(65)"}.items():
        told = context(case, name)
        with pytest.raises(TaskDeferred) as deferred:
            stage(case, script, name, deferrable=True).execute(told)
        pod = deferred.value.trigger.pod_name
        assert wait_for(lambda pod=pod: api.look(pod)["status"]["phase"] in {"Succeeded", "Failed"})
        event = {"name": pod, "namespace": "heartwood", "message": "ended", "status": api.look(pod)["status"]["phase"].lower()}
        event["status"] = {"succeeded": "success"}.get(event["status"], event["status"])
        try:
            outcomes[name] = stage(case, script or "", name, deferrable=True).resume_execution(
                "trigger_reentry", {"event": event}, told
            )
        except DataError as error:
            outcomes[name] = error

    assert outcomes["receive"]["state"] == "done"
    assert isinstance(outcomes["segment"], DataError)
    assert api.pods == {}


def test_a_deferred_task_past_its_time_limit_is_stopped(case: Case, api: Cluster) -> None:
    """Should the triggerer die with the deadline, Airflow only ends the deferral; the pod must not go on."""
    with pytest.raises(TaskDeferred):
        stage(case, WAITS.format(case=case.folder, code=0), deferrable=True).execute(context(case))
    assert wait_for((case.folder / "started").exists)

    with pytest.raises(AirflowTaskTimeout):
        stage(case, "pass").resume_execution("__fail__", {"error": "Trigger timeout"}, context(case))
    assert api.pods == {}


@pytest.mark.slow
def test_a_whole_case_runs_in_pods(airflow_tables: None, case: Case, api: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's own tasks and retries: one try is out of memory, and the case is answered all the same."""
    real, hungry = KubernetesStage.command_of, ["python", "-c", HUNGRY.format(wait_s=600)]
    first_tries = {"ffr": hungry}
    small = Resources(memory_gib=0.5)
    monkeypatch.setattr(
        KubernetesStage, "command_of", lambda self, *told: first_tries.pop(self.stage, None) or real(self, *told)
    )
    monkeypatch.setattr(
        KubernetesStage, "declared", property(lambda self: replace(pipeline("coronary").stage(self.stage), resources=small))
    )
    dag: Any = DagBag(PROJECT / "dags").dags["coronary_ffr"]

    made = dag.test(run_conf={"case_id": case.case_id})

    assert made.state == "success"
    assert {t.task_id for t in made.get_task_instances() if t.try_number == 2} == {"ffr"}
    assert len(api.done) == len(pipeline("coronary").stages) + 1
    assert len(list((DATA / "store/cases" / case.case_id / "report").rglob("report.html"))) == 1
