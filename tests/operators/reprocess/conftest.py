"""A home of its own with cases that an earlier declaration of the pipeline answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from algorithms.contract.case import Case
from algorithms.contract.catalogue import pipeline
from algorithms.contract.command import leave_failure
from algorithms.contract.errors import DataError
from algorithms.contract.execute import execute
from algorithms.contract.inbox import admit
from algorithms.contract.pipeline import Pipeline, Value
from operators import settings
from operators.case import OpenCase
from operators.publish import publish_case
from operators.settings import Settings

CORONARY = pipeline("coronary")

Answer = Callable[..., Case]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a deployment whose stages write stubs."""
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__HOME", str(tmp_path / "home"))
    return settings.load()


@pytest.fixture
def answered(here: Settings, tmp_path: Path) -> Answer:
    """Make a case, answer it with a pipeline (today's if none is named) and publish the answer, all in this process."""

    def answer(with_: Pipeline = CORONARY, given: Mapping[str, Value] | None = None, *, number: int = 0) -> Case:
        study = tmp_path / f"study-{with_.name}-{number}"
        study.mkdir()
        (study / "image").write_text(f"examination {number}")
        case = admit(study, with_.name, here.home_folder)
        answer_with(here, with_, case, given or {})
        return case

    return answer


def answer_with(here: Settings, with_: Pipeline, case: Case, given: Mapping[str, Value]) -> None:
    """Run every stage of a pipeline in this process, as the command line does it, and publish what came out."""
    failed = False
    for stage in with_.stages:
        try:
            if stage.always or not failed:
                execute(with_, stage, case, here.home_folder, given, stub=here.stub)
        except DataError as error:
            leave_failure(with_, stage, case, given, error, stub=here.stub)
            failed = True
    publish_case(OpenCase(here, with_, case, given))


def earlier(of: Pipeline, stage: str, **differs: Any) -> Pipeline:
    """Return a pipeline as it was before one of its stages changed: nothing of ours is patched, a declaration is data."""
    return replace(of, stages=tuple(replace(s, **differs) if s.name == stage else s for s in of.stages))


def with_default(of: Pipeline, name: str, default: Value) -> Pipeline:
    """Return a pipeline in which a parameter has another default."""
    stage = next(s for s, p in of.parameters() if p.name == name)
    parameters = tuple(replace(p, default=default) if p.name == name else p for p in stage.parameters)
    return earlier(of, stage.name, parameters=parameters)
