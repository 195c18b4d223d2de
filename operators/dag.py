"""A pipeline as a DAG: one task a stage, edges from artefacts, a trigger form from the declared parameters.

::

    receive -> deidentify -> ... -> render -> report -> publish -> complete

Stages need all before them to have succeeded.  A stage that runs once an item is a mapped task, behind one that names its
items.  The report and ``publish`` run whatever happened, so every case is answered, if only with a reason.  ``complete``
does nothing but need all of them: it gives the run its colour, red when a stage failed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseOperator, Param, TriggerRule
from airflow.sdk.definitions.mappedoperator import MappedOperator

from algorithms.contract.case import CASE_ID
from algorithms.contract.catalogue import called_after
from algorithms.contract.catalogue import pipeline as pipeline_called
from algorithms.contract.pipeline import Parameter, Pipeline, Stage
from operators import documentation, settings
from operators.items import Items
from operators.links import REPORT_LINKS
from operators.publish import Publish
from operators.results.rows import RESULT
from operators.retention.archive import Archive
from operators.runners import ON_WORKERS, runner
from operators.settings import Settings
from operators.stage import RETRY_POLICY
from operators.watch import failure, notice

MAX_RETRY_DELAY = timedelta(minutes=15)

Task = BaseOperator | MappedOperator
"""A stage's task; mapped over its items where the stage runs once an item."""

JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def dag_called(dag_id: str) -> DAG:
    """Return the DAG of the pipeline that ``dag_id`` begins with, as in ``coronary_ffr``."""
    return pipeline_dag(pipeline_of(dag_id), dag_id)


def pipeline_of(dag_id: str) -> Pipeline:
    """Return the pipeline that a DAG answers cases with; raises `DataError` if there is none."""
    return pipeline_called(called_after(dag_id))


def pipeline_dag(pipeline: Pipeline, dag_id: str) -> DAG:
    """Return the DAG that answers one case with ``pipeline``."""
    here = settings.load()
    dag = DAG(
        dag_id,
        schedule=None,
        description=pipeline.help,
        doc_md=documentation.of_pipeline(pipeline),
        params=params(pipeline),
        tags=["heartwood", pipeline.name],
        max_active_runs=here.max_active_runs,
        on_failure_callback=notice.callbacks(here),
        render_template_as_native_obj=False,  # a case id may look like a number and must stay text
        default_args={
            "owner": "heartwood",
            "retries": here.retries,
            "retry_delay": timedelta(seconds=here.retry_delay_s),
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": MAX_RETRY_DELAY,
            "retry_policy": RETRY_POLICY,
            "on_retry_callback": failure.count,
            "on_failure_callback": failure.count,
        },
    )
    with dag:
        tasks: dict[str, Task] = {}
        for stage in pipeline.stages:
            tasks[stage.name] = _stage_task(pipeline, stage, here, tasks)
        for stage in pipeline.stages:
            for before in edges_into(pipeline, stage):
                tasks[before] >> tasks[stage.name]
        if here.archive_originals:
            _archive_task(pipeline) >> [task for task in tasks.values() if not task.upstream_task_ids]
        _finish(pipeline, tasks)
    return dag


def params(pipeline: Pipeline) -> dict[str, Param]:
    """Return the trigger form: the case's opaque id, then every parameter of every stage, grouped by stage."""
    case_id = Param(
        type="string",
        pattern=f"^{CASE_ID.pattern}$",
        maxLength=16,  # $ alone lets a line feed follow
        title="Case",
        description=f"The id that python -m algorithms {pipeline.name} receive STUDY printed: 16 digits and letters a to f. "
        "Never a name, a patient number or a date.",
    )
    return {"case_id": case_id, **{p.name: _param(stage, p) for stage, p in pipeline.parameters()}}


def edges_into(pipeline: Pipeline, stage: Stage) -> tuple[str, ...]:
    """Return the stages whose end ``stage`` waits for, without those that another one of them already waits for.

    A stage that runs always waits for every stage before it, so that it sees what each of them came to.  There an edge may
    only be left out if nothing runs beside its stage: after a failure, later tasks are ended without waiting.
    """
    before = pipeline.stages[: pipeline.stages.index(stage)]
    needs = {s.name: ancestors(pipeline, s) for s in before}
    if not stage.always:
        direct = [s.name for s in pipeline.upstream(stage)]
        return tuple(name for name in direct if not any(name in needs[other] for other in direct))
    alone = {s.name for s in before if all(o.name in needs[s.name] or s.name in needs[o.name] for o in before if o is not s)}
    return tuple(s.name for s in before if not (s.name in alone and any(s.name in needs[o.name] for o in before)))


def ancestors(pipeline: Pipeline, stage: Stage) -> set[str]:
    """Return the names of all stages that ``stage`` cannot run without."""
    names: set[str] = set()
    for before in pipeline.upstream(stage):
        names |= {before.name} | ancestors(pipeline, before)
    return names


def _stage_task(pipeline: Pipeline, stage: Stage, here: Settings, before: Mapping[str, Task]) -> Task:
    place = here.runner_of(pipeline.name, stage.name)
    kind = runner(place)
    told: dict[str, Any] = {
        "task_id": stage.name,
        "pipeline": pipeline.name,
        "stage": stage.name,
        "case_id": "{{ params.case_id }}",
        "parameters": {p.name: f"{{{{ params.{p.name} }}}}" for _, p in pipeline.parameters()},
        "doc_md": documentation.of_stage(stage),
        "execution_timeout": timedelta(seconds=stage.resources.timeout_s),
        "trigger_rule": TriggerRule.ALL_DONE if stage.always else TriggerRule.ALL_SUCCESS,
        **_pool(stage, place, here),
    }
    if stage.each:
        items = _items_task(pipeline, stage)
        for name in edges_into(pipeline, stage):
            before[name] >> items
        return kind.partial(**told, map_index_template="{{ task.item }}").expand(item=items.output)
    task = kind(**told)
    if stage is pipeline.maker(RESULT):
        task.operator_extra_links = REPORT_LINKS
    return task


def _items_task(pipeline: Pipeline, stage: Stage) -> Items:
    return Items(
        task_id=f"{stage.name}_items",
        pipeline=pipeline.name,
        stage=stage.name,
        case_id="{{ params.case_id }}",
        parameters={p.name: f"{{{{ params.{p.name} }}}}" for _, p in pipeline.parameters()},
        doc_md=documentation.ITEMS,
        execution_timeout=timedelta(minutes=10),
    )


def _pool(stage: Stage, place: str, here: Settings) -> dict[str, Any]:
    # ECS and Kubernetes find room for a stage themselves; its memory is not the workers'.
    if not here.memory_pool or place not in ON_WORKERS:
        return {}
    wanted = math.ceil(stage.resources.memory_gib)
    return {"pool": here.memory_pool, "pool_slots": max(1, min(wanted, here.memory_pool_gib or wanted))}


def _archive_task(pipeline: Pipeline) -> Archive:
    return Archive(
        task_id="archive",
        pipeline=pipeline.name,
        case_id="{{ params.case_id }}",
        parameters={p.name: f"{{{{ params.{p.name} }}}}" for _, p in pipeline.parameters()},
        doc_md=documentation.ARCHIVE,
        execution_timeout=timedelta(hours=6),
    )


def _finish(pipeline: Pipeline, tasks: dict[str, Task]) -> None:
    publish = Publish(
        task_id="publish",
        pipeline=pipeline.name,
        case_id="{{ params.case_id }}",
        parameters={p.name: f"{{{{ params.{p.name} }}}}" for _, p in pipeline.parameters()},
        doc_md=documentation.PUBLISH,
        execution_timeout=timedelta(hours=1),
        trigger_rule=TriggerRule.ALL_DONE,
    )
    complete = EmptyOperator(task_id="complete", doc_md=documentation.COMPLETE)
    _leaves(tasks.values()) >> publish >> complete
    # A failed stage makes these tasks "upstream failed" down to `complete`, and so the run failed, though `publish` ran.
    answered = [s for s in pipeline.stages if not s.always]
    needed = set().union(*(ancestors(pipeline, s) for s in answered))
    always = [tasks[s.name] for s in pipeline.stages if s.always]
    [*(tasks[s.name] for s in answered if s.name not in needed), *always] >> complete


def _leaves(tasks: Iterable[Task]) -> list[Task]:
    return [task for task in tasks if not task.downstream_task_ids]


def _param(stage: Stage, parameter: Parameter) -> Param:
    kind = JSON_TYPES[type(parameter.default)]
    bounds: dict[str, Any] = {"minimum": parameter.minimum, "maximum": parameter.maximum}
    schema = {name: value for name, value in bounds.items() if value is not None}
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    return Param(
        parameter.default,
        type=kind,
        title=documentation.title_of(parameter),
        description=documentation.of_parameter(parameter),
        section=documentation.section_of(stage),
        **schema,
    )
