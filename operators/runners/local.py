"""A stage as a subprocess of the Airflow worker."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, Context

from algorithms.contract.case import Case
from algorithms.contract.catalogue import pipeline as pipeline_called
from algorithms.contract.command import stage_command
from algorithms.contract.errors import EXIT_OK
from algorithms.contract.pipeline import Pipeline, Value
from operators import settings
from operators.settings import Settings
from operators.stage import chosen_parameters, raise_for_exit, xcom

LOG_LINE = re.compile(r"\S+ \S+ (DEBUG|INFO|WARNING|ERROR|CRITICAL) (.*)")
"""A line of the log that ``python -m algorithms`` writes."""

GUARD = Path(__file__).with_name("guard.py")


class LocalStage(BaseOperator):
    """Run one stage of a case on this machine; ended with all its children when the task is.

    Parameters
    ----------
    pipeline, stage
        Their names.
    case_id, parameters
        Rendered for each run: the case's opaque id and the values from the trigger form, as text.
    item
        Which one, of a stage that runs once an item.
    """

    template_fields = ("case_id", "parameters")
    ui_color = "#e8eef7"

    def __init__(
        self, *, pipeline: str, stage: str, case_id: str, parameters: Mapping[str, str], item: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.stage = stage
        self.case_id = case_id
        self.parameters = parameters
        self.item = item
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the stage and return its result's key and state."""
        here = settings.load()
        pipeline = pipeline_called(self.pipeline)
        stage = pipeline.stage(self.stage)
        case = Case.read(here.home_folder.case_folder(self.case_id))
        given = chosen_parameters(pipeline, self.parameters)
        command = self.command(pipeline, case, given, here)
        self.log.info("%s", " ".join(["python", *command[1:]]))
        started = time.monotonic()
        with tempfile.TemporaryFile("w+") as answer:
            code = self._run(command, answer, here.kill_grace_s)
            answer.seek(0)
            text = answer.read()
        result = xcom(text) if code == EXIT_OK else {"state": "failed"}
        name = f"{self.stage} {self.item}" if self.item else self.stage
        self.log.info("stage %s %s in %.1f s", name, result["state"], time.monotonic() - started)
        raise_for_exit(code, case, stage, self.item)
        return result

    def command(self, pipeline: Pipeline, case: Case, given: Mapping[str, Value], here: Settings) -> list[str]:
        """Return what is started."""
        home = here.home_folder.root
        arguments = stage_command(
            pipeline.name, self.stage, home=home, case=case.folder, given=given, item=self.item, stub=here.stub
        )
        return [sys.executable, *arguments]

    def on_kill(self) -> None:
        """End the stage and its children, and wait until they are gone."""
        process = self._process
        if process is None or process.stdin is None:
            return
        # Closing the guard's input asks it to end the stage; it does the same by itself if this process is killed.
        process.stdin.close()
        while process.poll() is None:
            time.sleep(0.05)

    def _run(self, command: list[str], answer: Any, grace_s: float) -> int:
        # Secrets of the deployment (database, keys) are in AIRFLOW variables; a stage needs none of them.
        environment = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith("AIRFLOW")}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), str(grace_s), *command],
            stdin=subprocess.PIPE,
            stdout=answer,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=settings.ROOT,
            env=environment,
            start_new_session=True,
        )
        stderr = self._process.stderr
        assert stderr is not None
        try:
            for line in stderr:
                level, text = level_and_text(line.rstrip())
                self.log.log(level, "%s", text)
            return self._process.wait()
        finally:
            self.on_kill()
            stderr.close()


def level_and_text(line: str) -> tuple[int, str]:
    """Return a stage's line at its own level, without the time, which Airflow adds itself; a tool's line is INFO."""
    known = LOG_LINE.fullmatch(line)
    level, text = known.groups() if known else ("INFO", line)
    return logging.getLevelNamesMapping()[level], text
