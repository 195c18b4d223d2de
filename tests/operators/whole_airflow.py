"""Every component of an Airflow as processes of this machine, as `make up` starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from operators.laptop.up import COMPONENTS, STOP_S
from tests.operators.airflow_home import PROJECT


@contextmanager
def running(environment: dict[str, str], logs: Path) -> Iterator[None]:
    """Run every component of an Airflow; none of them, and none of their children, is left."""
    processes = []
    try:
        for name, arguments in COMPONENTS.items():
            command = [sys.executable, "-m", "airflow", *arguments]
            with (logs / f"{name}.log").open("wb") as log:
                processes.append(
                    subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=log, stderr=log, start_new_session=True)
                )
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
