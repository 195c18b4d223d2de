"""Measure everything again that README and docs claim: ``python -m benchmarks``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SHARED = {"__init__", "__main__", "anatomy", "evidence", "fleet", "markdown"}
"""What the scripts share, beside the tables."""

CLAIMS = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in SHARED and not path.stem.startswith("table"))


def main() -> None:
    """Run each script in a process of its own, so that none inherits another's memory; then write the tables anew."""
    for name in [*CLAIMS, "table"]:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=HERE.parent, check=True)


if __name__ == "__main__":
    main()
