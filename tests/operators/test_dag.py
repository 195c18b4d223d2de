"""A pipeline as a DAG: every stage a task, every edge an artefact's, every parameter a bounded field of the form."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, TriggerRule
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from algorithms.contract.catalogue import pipelines
from algorithms.contract.pipeline import Output, Parameter, Pipeline, Resources, Stage
from operators.dag import ancestors, pipeline_dag, pipeline_of
from tests.operators.airflow_home import PROJECT

# Airflow reads .airflowignore with a deprecated name of the library it uses.
pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern")

FINAL = ["publish", "complete"]


def stage(name: str, inputs: tuple[str, ...], outputs: tuple[str, ...], **others) -> Stage:
    written = tuple(Output(o, f"{o}.json", f"the {o}") for o in outputs)
    return Stage(name, f"nowhere:{name}", 1, f"Make {name}.", inputs, written, "a test", **others)


DIAMOND = Pipeline(
    name="diamond",
    title="Diamond",
    help="Two branches that join.",
    accepts="anything",
    stages=(
        stage("left", ("study",), ("l",), parameters=(Parameter("gain_db", 1.0, "Gain.", "a test", "dB", 0.5, 2.0),)),
        stage("right", ("study",), ("r",), resources=Resources(memory_gib=5.5, timeout_s=120)),
        stage("join", ("l", "r", "study"), ("j",)),
        stage("tell", ("l", "j"), ("result",), always=True),
    ),
)
"""``left`` and ``right`` run side by side, so the stage that always runs must wait for both of them itself."""


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(PROJECT / "dags")


DIAGNOSTICS = sorted(path.stem for path in (PROJECT / "dags").glob("*_*.py"))
"""Ids of the DAGs that answer cases: the name of a pipeline, and what it answers, as in ``coronary_ffr``."""


@pytest.fixture(scope="module", params=DIAGNOSTICS)
def dag(bag: DagBag, request: pytest.FixtureRequest) -> DAG:
    found: DAG = bag.dags[request.param]
    return found


def closure(dag: DAG) -> dict[str, set[str]]:
    """Return the stages that each task waits for, directly or not; a task that only names items is none."""
    named = {task.task_id for task in dag.tasks if task.task_type == "Items"}
    return {task.task_id: task.get_flat_relative_ids(upstream=True) - named for task in dag.tasks}


def test_every_dag_file_imports(bag: DagBag) -> None:
    """A DAG file that does not import is only a red line in the web UI, and its cases wait for ever."""
    assert bag.import_errors == {}
    assert set(bag.dags) >= set(DIAGNOSTICS)
    assert {pipeline_of(dag_id).name for dag_id in DIAGNOSTICS} == set(pipelines())


def test_parsing_the_dag_files_loads_no_client_and_no_numbers() -> None:
    """Airflow parses them many times a minute, each time in a process of its own; boto3 alone costs half a second."""
    files = ", ".join(f"dags.{path.stem}" for path in sorted((PROJECT / "dags").glob("[!_]*.py")))
    program = f"import sys, {files}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)

    assert not {"boto3", "redis", "docker", "kubernetes", "numpy", "matplotlib"} & set(loaded.stdout.split())


def test_airflow_finds_the_dag_files_in_safe_mode() -> None:
    """Airflow does not even open a file that lacks one of these words, and says nothing."""
    for path in (PROJECT / "dags").glob("*.py"):
        content = path.read_bytes().lower()
        assert b"dag" in content
        assert b"airflow" in content


@pytest.mark.parametrize("pipeline", [*pipelines().values(), DIAMOND], ids=lambda p: p.name)
def test_a_task_waits_for_the_stages_whose_artefacts_it_reads(pipeline: Pipeline) -> None:
    """Edges that others imply are not drawn; what a task waits for is what the artefacts say, no more and no less."""
    waits = closure(pipeline_dag(pipeline, f"{pipeline.name}_test"))

    for s in pipeline.stages:
        before = {b.name for b in pipeline.stages[: pipeline.stages.index(s)]}
        assert waits[s.name] == (before if s.always else ancestors(pipeline, s))
    assert waits["publish"] == {s.name for s in pipeline.stages}
    assert waits["complete"] == {s.name for s in pipeline.stages} | {"publish"}


def test_a_task_that_always_runs_waits_itself_for_branches_that_run_side_by_side() -> None:
    """When ``left`` fails, Airflow ends ``join`` at once while ``right`` still runs: to wait for ``join`` is not enough."""
    dag = pipeline_dag(DIAMOND, "diamond_test")

    assert dag.get_task("tell").upstream_task_ids == {"left", "right", "join"}
    assert dag.get_task("join").upstream_task_ids == {"left", "right"}


def test_a_stage_that_runs_once_an_item_is_mapped_behind_the_task_that_names_the_items(bag: DagBag) -> None:
    """Each slide is a task of its own that can be retried alone; the page says so and the retry rules are those of others."""
    dag = bag.dags["prostate_risk"]
    encode = dag.get_task("encode")

    assert encode.is_mapped
    assert encode.upstream_task_ids == {"tiles", "encode_items"}
    assert dag.get_task("encode_items").upstream_task_ids == {"tiles"}
    assert dag.get_task("aggregate").upstream_task_ids == {"encode", "clinical"}


def test_the_coronary_graph_is_a_line(bag: DagBag) -> None:
    """Every stage needs the one before it, so the graph in the web UI reads from left to right with no crossing edge."""
    dag = bag.dags["coronary_ffr"]
    order = [s.name for s in pipelines()["coronary"].stages]

    for before, after in zip([*order, *FINAL], [*order[1:], *FINAL, None], strict=False):
        if after is not None and after not in FINAL:
            assert dag.get_task(before).downstream_task_ids - set(FINAL) == {after}


def test_only_the_tasks_that_always_run_ignore_a_failure(dag: DAG) -> None:
    """The report, what is made of it and its publishing run whatever happened; nothing else does; ``complete`` shows it."""
    always = {task.task_id for task in dag.tasks if task.trigger_rule == TriggerRule.ALL_DONE}

    declared = {s.name for s in pipeline_of(dag.dag_id).stages if s.always}
    assert "report" in declared
    assert always == declared | {"publish"}
    assert dag.get_task("complete").trigger_rule == TriggerRule.ALL_SUCCESS


def test_every_task_has_a_time_limit_retries_and_a_page(dag: DAG) -> None:
    """A hung stage must not hold a slot for ever, and whoever finds it red must read what it is."""
    for s in pipeline_of(dag.dag_id).stages:
        task = dag.get_task(s.name)
        assert task.execution_timeout == timedelta(seconds=s.resources.timeout_s)
        assert task.retries == 2
        assert task.retry_policy is not None
        assert s.help in task.doc_md
        assert s.source in task.doc_md
    assert dag.owner == "heartwood"
    assert dag.tags == {"heartwood", pipeline_of(dag.dag_id).name}


def test_the_form_asks_for_the_case_and_offers_every_parameter(dag: DAG) -> None:
    """A parameter that is declared is on the form, with its default, in its unit, below its stage."""
    declared = {p.name: (s, p) for s, p in pipeline_of(dag.dag_id).parameters()}

    assert list(dag.params) == ["case_id", *declared]
    for name, (s, p) in declared.items():
        field = dag.params.get_param(name)
        assert field.value == p.default
        assert field.schema["section"].startswith(s.name)
        assert p.help.rstrip(".")[1:] in field.description
        assert p.source.rstrip(".") in field.description
        assert field.schema.get("minimum") == p.minimum
        assert field.schema.get("maximum") == p.maximum


def test_the_title_of_a_field_shows_its_unit() -> None:
    """``gain_db`` in dB: the unit stands in brackets and not a second time in the words."""
    field = pipeline_dag(DIAMOND, "diamond_test").params.get_param("gain_db")

    assert field.schema["title"] == "Gain (dB)"


@pytest.mark.parametrize("value", [0.49, 2.01, "1", True, None])
def test_a_value_out_of_bounds_never_reaches_a_task(value: object) -> None:
    """0.5 to 2 is declared; Airflow refuses the run before its first task."""
    field = pipeline_dag(DIAMOND, "diamond_test").params.get_param("gain_db")

    with pytest.raises(ParamValidationError):
        field.resolve(value)


@pytest.mark.parametrize(
    "value", ["", "Jane Doe", "7f3a", "0123456789ABCDEF", "0123456789abcdef\n", "../../../etc/pass", None, 7]
)
def test_only_an_opaque_id_is_a_case(dag: DAG, value: object) -> None:
    """What identifies a person has no place in a form whose values are shown, stored and logged."""
    with pytest.raises(ParamValidationError):
        dag.params.get_param("case_id").resolve(value)


def test_a_number_that_looks_like_an_id_stays_text(dag: DAG) -> None:
    """Sixteen decimal digits, or ``1234e5...``, are ids too: templates must not turn them into numbers."""
    task = dag.get_task("receive")

    assert not dag.render_template_as_native_obj
    assert task.render_template("{{ params.case_id }}", {"params": {"case_id": "0000000000000012"}}) == "0000000000000012"


def test_what_airflow_stores_of_a_task_is_the_case_and_its_parameters(dag: DAG) -> None:
    """Rendered fields are kept in Airflow's database and shown to every viewer."""
    for task in dag.tasks:
        assert set(task.template_fields) <= {"case_id", "parameters"}


def test_the_dag_survives_the_way_to_the_scheduler(dag: DAG) -> None:
    """The scheduler and the web UI never see the file: only what serialisation keeps."""
    back = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))

    assert [t.task_id for t in back.tasks] == [t.task_id for t in dag.tasks]
    assert back.params.dump().keys() == dag.params.keys()


def test_the_page_of_the_dag_lists_every_stage(dag: DAG) -> None:
    """The list is made from the declaration; a stage that is not in it would be a secret."""
    for s in pipeline_of(dag.dag_id).stages:
        assert f"**{s.name}**: {s.help}" in dag.doc_md


def test_a_pool_counts_memory_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """5.5 GiB take six slots of a pool of 16, all of a pool of 4, and one of the default pool on a laptop."""
    without = pipeline_dag(DIAMOND, "diamond_test").get_task("right")
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__MEMORY_POOL", "memory")
    unbounded = pipeline_dag(DIAMOND, "diamond_test").get_task("right")
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__MEMORY_POOL_GIB", "4")
    bounded = pipeline_dag(DIAMOND, "diamond_test").get_task("right")

    assert (without.pool, without.pool_slots) == ("default_pool", 1)
    assert (unbounded.pool, unbounded.pool_slots) == ("memory", 6)
    assert (bounded.pool, bounded.pool_slots) == ("memory", 4)


def test_a_pinned_stage_is_a_task_of_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mixed deployment: slides are encoded in the cluster, where their memory takes no slot of the workers' pool."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__RUNNERS", "encode=kubernetes, tissue=container")
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__IMAGE", "heartwood-stage")
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__MEMORY_POOL", "memory")

    dag = DagSerialization.deserialize_dag(
        DagSerialization.serialize_dag(pipeline_dag(pipelines()["prostate"], "prostate_risk"))
    )

    tasks = {name: dag.get_task(name) for name in ("encode", "tissue", "tiles")}
    assert {name: task.task_type for name, task in tasks.items()} == {
        "encode": "KubernetesStage",
        "tissue": "ContainerStage",
        "tiles": "LocalStage",
    }
    assert {name: task.pool for name, task in tasks.items()} == {
        "encode": "default_pool",
        "tissue": "memory",
        "tiles": "memory",
    }


def test_an_unknown_runner_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A place of execution that this version lacks must stop the DAG, not fall back to this machine."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__RUNNER", "cloud")

    with pytest.raises(ValueError, match="runner must be one of local"):
        pipeline_dag(DIAMOND, "diamond_test")
