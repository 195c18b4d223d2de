"""The diagnostics of this installation: every ``algorithms/<name>/pipeline.py`` that declares a ``PIPELINE``."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path

from algorithms.contract.errors import DataError
from algorithms.contract.pipeline import Pipeline

ALGORITHMS = Path(__file__).resolve().parents[1]


@functools.cache
def pipelines() -> dict[str, Pipeline]:
    """Return every pipeline by its name, in alphabetical order."""
    found = [importlib.import_module(f"algorithms.{p.parent.name}.pipeline").PIPELINE for p in ALGORITHMS.glob("*/pipeline.py")
             if p.parent.name != "contract"]  # fmt: skip
    return {pipeline.name: pipeline for pipeline in sorted(found, key=lambda pipeline: str(pipeline.name))}


def called_after(dag_id: str) -> str:
    """Return the name of the pipeline that a DAG is called after: all of ``dag_id``, or what stands before an underscore in it.

    The longest name counts; an id that begins with none of them is called after what stands before its first underscore.
    """
    names = [name for name in pipelines() if f"{dag_id}_".startswith(f"{name}_")]
    return max(names, key=len, default=dag_id.partition("_")[0])


def pipeline(name: str) -> Pipeline:
    """Return the pipeline called ``name``; raises `DataError` with the known names."""
    if name not in pipelines():
        raise DataError(f"no such pipeline, there are {', '.join(pipelines())}")
    return pipelines()[name]
