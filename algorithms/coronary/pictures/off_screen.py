"""Pictures of a scene, drawn by VTK in a process of its own: VTK ends the process where it cannot draw."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.contract.errors import TransientError
from algorithms.coronary.pictures import solid

TIMEOUT_S = 300
"""Some 20 times what three views take on two idle cores."""


def photographs(told: Mapping[str, Any], count: int) -> list[np.ndarray] | None:
    """Return the ``count`` images (H, W, 3) of a scene as ``solid`` reads it; ``None`` where this machine cannot draw."""
    # Software drawing, so that a machine with a graphics card makes the same bytes as one without.
    environment = os.environ | {"LIBGL_ALWAYS_SOFTWARE": "1", "EGL_PLATFORM": "surfaceless", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        solid.describe(told, folder)
        command = [sys.executable, "-P", solid.__file__, str(folder)]
        try:
            ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise TransientError(f"a scene was not drawn within {TIMEOUT_S} s") from None
        if ended.returncode == -signal.SIGKILL:
            raise TransientError("the program that draws was killed, most likely for its memory")
        if ended.returncode == solid.EXIT_NO_CONTEXT or ended.returncode < 0:
            return None
        if ended.returncode:
            raise RuntimeError(f"the drawing program ended with {ended.returncode}: {ended.stderr[-2000:]}")
        return [np.load(folder / f"view-{number}.npy") for number in range(count)]
