"""A stage as a subprocess of the Airflow worker."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from airflow.sdk import Context

from operators import credentials, settings
from operators.case import OpenCase
from operators.stage import STOPPED, End, StageTask

LOG_LINE = re.compile(r"\S+ \S+ (DEBUG|INFO|WARNING|ERROR|CRITICAL) (.*)")
"""A line of the log that ``python -m algorithms`` writes."""

GUARD = Path(__file__).with_name("guard.py")


class LocalStage(StageTask):
    """Run one stage of a case on this machine; ended with all its children when the task is."""

    _process: subprocess.Popen[str] | None = None
    _stopped = False

    def run_stage(self, opened: OpenCase, context: Context) -> End:
        """Run the stage and return how it ended; what it says on standard output is of no use here."""
        command = self.command_of(opened, opened.here.home_folder.root, sys.executable)
        self.log.info("%s", " ".join(["python", *command[1:]]))
        code = self._run(command, opened.here.kill_grace_s, credentials.environment(opened.here))
        return End(code, STOPPED if self._stopped else "")

    def on_kill(self) -> None:
        """End the stage and its children, and wait until they are gone."""
        self._stopped = True
        self._end()

    def _end(self) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        # Closing the guard's input asks it to end the stage; it does the same by itself if this process is killed.
        process.stdin.close()
        while process.poll() is None:
            time.sleep(0.05)

    def _run(self, command: list[str], grace_s: float, store: Mapping[str, str]) -> int:
        # Secrets of the deployment (database, keys) are in AIRFLOW variables; a stage needs none but those of the store.
        environment = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith("AIRFLOW")}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), str(grace_s), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=settings.ROOT,
            env=environment | dict(store),
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
            self._end()
            stderr.close()


def level_and_text(line: str) -> tuple[int, str]:
    """Return a stage's line at its own level, without the time, which Airflow adds itself; a tool's line is INFO."""
    known = LOG_LINE.fullmatch(line)
    level, text = known.groups() if known else ("INFO", line)
    return logging.getLevelNamesMapping()[level], text
