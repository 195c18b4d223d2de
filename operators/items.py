"""The task before a mapped one: it names the items that the stage runs over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator, Context

from algorithms.contract.case import Case
from algorithms.contract.catalogue import pipeline as pipeline_called
from algorithms.contract.record import states
from operators import settings


class Items(BaseOperator):
    """Return the items of a stage that runs once an item: short opaque words such as ``s01``, never a file's name."""

    template_fields = ("case_id", "parameters")
    ui_color = "#f4f4f4"

    def __init__(self, *, pipeline: str, stage: str, case_id: str, parameters: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.stage = stage
        self.case_id = case_id
        self.parameters = parameters

    def execute(self, context: Context) -> list[str]:
        """Return them in order, from the manifests of the stages that made the collections."""
        here = settings.load()
        pipeline = pipeline_called(self.pipeline)
        case = Case.read(here.home_folder.case_folder(self.case_id))
        found = states(pipeline, case, pipeline.parse(dict(self.parameters)), stub=here.stub)
        return list(found[self.stage].items)
