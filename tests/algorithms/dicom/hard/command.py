"""The de-identifier as a hospital starts it: a process that is known by its command line only."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[4]
COMMAND = "algorithms.dicom.deidentify"

needs_command = pytest.mark.skipif(importlib.util.find_spec(COMMAND) is None, reason=f"there is no {COMMAND} yet")


def run(given: Path, out: Path, *more: str | Path, scratch: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run the command as a process of its own, with ``scratch`` as the place of temporary files."""
    own = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"} | ({"TMPDIR": str(scratch)} if scratch else {})
    return subprocess.run(
        [sys.executable, "-m", COMMAND, given, out, *more],
        capture_output=True, timeout=300, check=False, env=os.environ | own, cwd=PROJECT,
    )  # fmt: skip
