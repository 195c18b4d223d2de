"""The command of a container as a subprocess of this machine, killed when it takes more memory than it may have."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from tests.operators.airflow_home import PROJECT

KILLED = 128 + 9


@dataclass(frozen=True)
class Ended:
    """Exit code as a shell gives it, and whether it was killed for want of memory."""

    code: int
    out_of_memory: bool = False


class Confined:
    """Runs ``python ...`` with these variables and nothing else of this process; what it says is kept in ``said``."""

    def __init__(self, command: list[str], environment: Mapping[str, str], limit_mib: float) -> None:
        python, *arguments = command
        assert python == "python"
        self._limit_mib = limit_mib
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=PROJECT,
            env=dict(environment) | {"PATH": os.environ["PATH"]},
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        self._ended: Ended | None = None

    def ended(self) -> Ended | None:
        """Return how it ended, ``None`` while it runs, after killing it where a kernel would."""
        if self._ended is None and self._process.poll() is not None:
            code = self._process.returncode
            self._ended = Ended(code if code >= 0 else 128 - code)
        if self._ended is None and self._memory_mib() > self._limit_mib:
            self.kill()
            self._ended = Ended(KILLED, out_of_memory=True)
        return self._ended

    def said(self) -> list[str]:
        """Return the lines that it has written so far."""
        if self._output.closed:
            return []
        self._output.seek(0)
        return self._output.read().splitlines()

    def kill(self) -> None:
        """End it now."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it and forget what it said."""
        self.kill()
        self._output.close()

    def _memory_mib(self) -> float:
        try:
            return float(psutil.Process(self._process.pid).memory_info().rss) / 2**20
        except psutil.NoSuchProcess:
            return 0.0
