"""Where a measurement is kept: JSON with the machine, the commit and the versions it was taken with."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("numpy", "scipy", "SimpleITK", "numba", "pydicom", "apache-airflow")


def commit() -> str:
    """Return the commit that is measured, marked when the tree differs from it."""
    changed = _git("status", "--porcelain", "-uno", "--", "..", ":!results")
    return f"{_git('rev-parse', '--short=12', 'HEAD')}{' with changes' if changed else ''}"


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def machine() -> dict[str, Any]:
    """Return what a reader needs to judge a time."""
    model = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.processor()
    )
    memory_kib = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {"cpu": model, "cores": os.cpu_count(), "memory_gib": round(memory_kib / 2**20), "python": platform.python_version()}


def keep(benchmark: str, results: Any) -> Path:
    """Write ``results`` to ``benchmarks/results/<benchmark>.json`` and return the path."""
    RESULTS.mkdir(exist_ok=True)
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    document = {"benchmark": benchmark, "commit": commit(), "machine": machine(), "versions": versions, "results": results}
    path = RESULTS / f"{benchmark}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
