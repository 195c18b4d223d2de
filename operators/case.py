"""What every task of a case is told, and the case as such a task finds it.

Airflow renders a case id and the values of the trigger form for each run; everything else is in the case folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow.sdk import BaseOperator

from algorithms.contract.case import Case
from algorithms.contract.catalogue import pipeline as pipeline_called
from algorithms.contract.errors import DataError
from algorithms.contract.pipeline import Pipeline, Value
from algorithms.contract.record import StageState, states
from operators import settings
from operators.settings import Settings


@dataclass(frozen=True)
class OpenCase:
    """A case as a worker finds it: the deployment's settings, its pipeline, its folder, and what somebody chose for it."""

    here: Settings
    pipeline: Pipeline
    case: Case
    given: Mapping[str, Value]

    def states(self) -> dict[str, StageState]:
        """Return the state of every stage now, by name."""
        return states(self.pipeline, self.case, self.given, stub=self.here.stub)


class CaseTask(BaseOperator):
    """A task that works on one case.

    Parameters
    ----------
    pipeline
        Its name.
    case_id, parameters
        Rendered for each run: the case's opaque id and the values from the trigger form, as text.
    """

    template_fields = ("case_id", "parameters")

    def __init__(self, *, pipeline: str, case_id: str, parameters: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.case_id = case_id
        self.parameters = parameters

    def open(self) -> OpenCase:
        """Return the case; raises `DataError` where there is none here, or a value is out of its bounds."""
        here = settings.load()
        pipeline = pipeline_called(self.pipeline)
        case = Case.read(here.home_folder.case_folder(self.case_id))
        require_region(case, here)
        return OpenCase(here, pipeline, case, chosen_parameters(pipeline, self.parameters))


def require_region(case: Case, here: Settings) -> None:
    """Raise `DataError` for a case of another region than this deployment's."""
    if case.region != here.region:
        raise DataError(
            f"a case of region {case.region} came to a deployment of region {here.region}; answer it in its own region"
        )


def chosen_parameters(pipeline: Pipeline, given: Mapping[str, Value]) -> dict[str, Value]:
    """Return the checked parameters that differ from their default, so that a line in the log shows what somebody chose."""
    defaults = {parameter.name: parameter.default for _, parameter in pipeline.parameters()}
    return {name: value for name, value in pipeline.parse(dict(given)).items() if value != defaults[name]}
