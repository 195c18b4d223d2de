"""What each stage of a prostate case costs, on synthetic slides: ``python -m benchmarks.prostate``.

Accuracy is measured elsewhere (``benchmarks.survival``, ``benchmarks.slides``); this is time and memory of the whole chain.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.evidence import keep

log = logging.getLogger("benchmarks.prostate")

SEEDS = (100, 101)
"""Men of the seeds used while tuning: nothing of their answers is measured here."""

SIZE = "small"
ROOT = Path(__file__).parents[1]


def main() -> None:
    """Measure and keep the evidence."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    cases = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            cases.append({"seed": seed, "stages": stages(seed, Path(folder))})
        log.info("%s", json.dumps(cases[-1], indent=1))
    log.info("kept in %s", keep("prostate", {"size": SIZE, "cases": cases}))


def stages(seed: int, folder: Path) -> dict[str, list[dict[str, float]]]:
    """Return what each run of each stage cost: one a case, or one a slide."""
    _python("algorithms.phantom", "prostate", folder / "phantom", "--seed", seed, "--size", SIZE)
    answer = json.loads(_python("algorithms", "prostate", "--home", folder / "home", "--input", folder / "phantom" / "study"))
    case = Path(answer["case"])
    costs: dict[str, list[dict[str, float]]] = {}
    for path in sorted([*case.glob("*/*/manifest.json"), *case.glob("*/items/*/*/manifest.json")]):
        manifest = json.loads(path.read_text())
        if path.parents[1] == case / manifest["stage"] and (case / manifest["stage"] / "items").exists():
            continue  # the whole of what its items have cost
        costs.setdefault(manifest["stage"], []).append(_cost(manifest))
    return costs


def _cost(manifest: dict[str, Any]) -> dict[str, float]:
    return {name: manifest[name] for name in ("seconds", "cpu_seconds", "peak_memory_mib")}


def _python(module: str, *arguments: object) -> str:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    main()
