"""OpenFOAM's programs: are they here, and a run of one of them with its progress in the log."""

from __future__ import annotations

import logging
import os
import re
import resource
import shutil
import subprocess
import time
from pathlib import Path

from algorithms.contract.errors import DataError

log = logging.getLogger(__name__)

PROGRAMS = ("blockMesh", "snappyHexMesh", "simpleFoam", "postProcess")
PARALLEL = ("decomposePar", "reconstructPar", "mpirun")

DEBIAN_FOLDER = Path("/usr/share/openfoam")
"""Where Debian's package keeps the global settings, without which no program starts; its programs are on the path."""

MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
"""Open MPI refuses root, which is who runs in a container, and more processes than cores; other MPIs do not read these."""

PROGRESS_S = 10.0


def require(processes: int = 1) -> None:
    """Refuse where OpenFOAM is not installed.

    Raises
    ------
    DataError
        If a program is missing.
    """
    wanted = PROGRAMS + (PARALLEL if processes > 1 else ())
    missing = [name for name in wanted if shutil.which(name) is None]
    if missing:
        raise DataError(
            f"OpenFOAM is not on this machine (no {', '.join(missing)} on the path) but the model openfoam wants it; install "
            "it (Debian: apt-get install openfoam), or source its etc/bashrc, or take another model"
        )


def run(case: Path, *command: str, progress: str | None = None) -> float:
    """Run a program in the folder of a case, keep what it says in ``log.<program>``, and return its CPU seconds.

    Parameters
    ----------
    case
        Where it runs.
    command
        The program and its arguments.
    progress
        A pattern; the last line that matches it is logged every 10 s.

    Raises
    ------
    DataError
        If the program fails; the message ends with its last words.
    """
    environment = dict(os.environ)
    if "WM_PROJECT_DIR" not in environment and DEBIAN_FOLDER.exists():
        environment["WM_PROJECT_DIR"] = str(DEBIAN_FOLDER)
    environment |= MPI
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    name = next(word for word in command if word not in {"mpirun", "-np"} and not word.isdigit())
    path = case / f"log.{Path(name).name}"
    told = time.monotonic()
    with path.open("a") as said:
        process = subprocess.Popen(command, cwd=case, env=environment, stdout=said, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                time.sleep(0.05)
                if progress and time.monotonic() - told > PROGRESS_S:
                    told = time.monotonic()
                    lines = re.findall(progress, path.read_text()[-4000:], re.MULTILINE)
                    log.info("%s: %s", name, lines[-1] if lines else "begun")
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        raise DataError(f"{name} ended with {process.returncode}: {_last_words(path)}; see {path}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _last_words(path: Path) -> str:
    text = path.read_text()
    error = re.search(r"FOAM FATAL (?:IO )?ERROR:?(.*?)(?:FOAM exiting|\Z)", text, re.DOTALL)
    return " ".join((error[1] if error else text[-300:]).split())[:300]
