"""The de-identifier as a hospital starts it: a process that is known by its command line only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[4]
COMMAND = "algorithms.dicom.deidentify"


STARTER = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", *sys.argv[2:]])
with open(sys.argv[1], "w") as file:
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=file)
sys.exit(done.returncode)
"""
"""Runs a module and writes the most memory (KiB) that it or a child of it took.

A process of its own, because a child counts what its parent held when it was begun, and a test runner may hold gigabytes.
"""


def run(
    given: Path, out: Path, *more: str | Path, scratch: Path | None = None, peak: Path = Path(os.devnull)
) -> subprocess.CompletedProcess[bytes]:
    """Run the command as a process of its own.

    ``scratch`` is the place of temporary files; ``peak`` gets the most memory (KiB) that it or a child of it took.
    """
    own = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"} | ({"TMPDIR": str(scratch)} if scratch else {})
    return subprocess.run(
        [sys.executable, "-c", STARTER, peak, COMMAND, given, out, *more],
        capture_output=True, timeout=300, check=False, env=os.environ | own, cwd=PROJECT,
    )  # fmt: skip
