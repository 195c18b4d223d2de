"""The one place where the appliance meets the de-identification engine: a command that takes a folder and gives one.

::

    python -m algorithms.dicom.deidentify IN OUT --key-file KEY [--policy FILE] --quarantine DIR --vault HOME

It runs as a process of its own, because it reads what strangers sent and may need more memory than a listener should have.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from algorithms.contract.case import Home
from algorithms.contract.errors import EXIT_DATA, EXIT_OK, EXIT_TRANSIENT, DataError, TransientError

PROJECT = Path(__file__).resolve().parents[1]
COMMAND = (sys.executable, "-m", "algorithms.dicom.deidentify")
POLL_S = 0.1
GRACE_S = 5.0
"""Between TERM and KILL for an engine that must end."""

LEAST_PARTS = 3
"""Parts of the path of a de-identified image: patient, study, and what is below."""


@dataclass(frozen=True)
class Request:
    """One study: its originals, where its output goes, and where what must not leave is kept."""

    source: Path
    target: Path
    quarantine: Path


Deidentifier = Callable[[Request, threading.Event], None]
"""Fills ``target``; raises `DataError` or `TransientError`, the latter also when the event is set before it is done."""


def by_command(home: Home, policy: str | None, limit_s: float, command: Sequence[str] = COMMAND) -> Deidentifier:
    """Return the de-identifier that runs the engine's command for at most ``limit_s``; the home's vault keeps who it was."""
    chosen = ["--policy", policy] if policy else []

    def deidentify(request: Request, stop: threading.Event) -> None:
        arguments = [str(request.source), str(request.target), "--key-file", str(home.secret()), *chosen]
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                [*command, *arguments, "--quarantine", str(request.quarantine), "--vault", str(home.root)],
                cwd=PROJECT,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
            code = _ended(process, limit_s, stop)
            said.seek(0)
            lines = said.read().decode(errors="replace").splitlines()
        if code == EXIT_DATA:
            # By our rule the sentence of a data error names no person; nothing else that was said is repeated.
            raise DataError(f"de-identification refused the study: {_sentence(lines)}")
        if code == EXIT_TRANSIENT or code < 0:
            raise TransientError("de-identification was ended, or found no room or memory")
        if code != EXIT_OK:
            raise RuntimeError(f"de-identification ended with exit code {code}; run it by hand on the study to see why")

    return deidentify


def images(folder: Path) -> list[Path]:
    """Return the de-identified images of a study.

    Raises
    ------
    DataError
        If nothing may leave, or they are of several patients or studies.
    """
    found = sorted(folder.rglob("*.dcm"))
    if not found:
        raise DataError("none of the study's images may leave; see what the quarantine says of each")
    groups = {path.relative_to(folder).parts[:2] for path in found if len(path.relative_to(folder).parts) >= LEAST_PARTS}
    if len(groups) > 1:
        raise DataError(f"the study's images are of {len(groups)} patients or studies, wanted 1; correct them in the PACS")
    return found


def _ended(process: subprocess.Popen[bytes], limit_s: float, stop: threading.Event) -> int:
    """Return the exit code of a process that is ended when time is up or somebody wants to stop."""
    until = time.monotonic() + limit_s
    while (code := process.poll()) is None:
        if time.monotonic() > until or stop.wait(POLL_S):
            process.terminate()
            try:
                process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            raise TransientError("de-identification was stopped before it was done")
    return code


def _sentence(lines: Sequence[str]) -> str:
    told = [line for line in lines if " ERROR " in line]
    return told[-1].partition(" ERROR ")[2].partition(": ")[2] if told else "it said no reason"
