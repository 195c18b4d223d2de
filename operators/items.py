"""The task before a mapped one: it names the items that the stage runs over."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context

from operators.case import CaseTask


class Items(CaseTask):
    """Return the items of a stage that runs once an item: short opaque words such as ``s01``, never a file's name."""

    ui_color = "#f4f4f4"

    def __init__(self, *, stage: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage

    def execute(self, context: Context) -> list[str]:
        """Return them in order, from the manifests of the stages that made the collections."""
        return list(self.open().states()[self.stage].items)
