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


def pipeline(name: str) -> Pipeline:
    """Return the pipeline called ``name``; raises `DataError` with the known names."""
    if name not in pipelines():
        raise DataError(f"no such pipeline, there are {', '.join(pipelines())}")
    return pipelines()[name]
