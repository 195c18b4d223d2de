"""A coronary CT study with its lesions solved in three dimensions, from DICOM on: ``python -m benchmarks.lesions``.

What each part was reckoned to take before it began, how large it was and what it lost is kept with the seconds of the stage.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from algorithms.coronary.pipeline import FLOW
from benchmarks.evidence import keep

log = logging.getLogger("benchmarks.lesions")

SEED = 14
"""Two lesions of 50 and 60 % of the diameter in a person of the full size, as the truth has them."""


def main() -> None:
    """Measure and keep the evidence."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    parser = argparse.ArgumentParser("python -m benchmarks.lesions", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED, help=f"phantom seed (default {SEED})")
    minutes = next(p.default for p in FLOW.parameters if p.name == "flow_3d_minutes")
    parser.add_argument("--minutes", type=float, default=minutes, help=f"allowed for 3-D (default {minutes:g})")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options.seed, options.minutes, Path(folder))
    log.info("%s", json.dumps(found, indent=1))
    log.info("kept in %s", keep("lesions", found))


def measure(seed: int, minutes: float, folder: Path) -> dict[str, Any]:
    """Return the parts of one study that were to be solved, and what the stage took."""
    python(["algorithms.phantom", "coronary", str(folder / "phantom"), "--seed", str(seed), "--size", "full"])
    place = ["--home", str(folder / "home"), "--input", str(folder / "phantom" / "study")]
    answer = json.loads(python(["algorithms", "coronary", *place, "--set", f"flow_3d_minutes={minutes:g}"]))
    result = json.loads(Path(answer["result"]).read_text())
    stage = json.loads(next(Path(answer["case"]).glob("flow/*/manifest.json")).read_text())
    return {
        "seed": seed,
        "minutes_allowed": minutes,
        "verdict": answer["verdict"],
        "used": result["flow"]["summary"],
        "parts": result["flow"]["parts"],
        "lesions": [{name: s[name] for name in ("label", "diameter_stenosis", "ffr")} for s in result["stenoses"]],
        "seconds": stage["seconds"],
        "cpu_seconds": stage["cpu_seconds"],
        "peak_memory_mib": stage["peak_memory_mib"],
    }


def python(command: list[str]) -> str:
    """Run a module and return what it wrote."""
    done = subprocess.run([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    main()
