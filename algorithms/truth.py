"""Set a case's answer beside the truth of its phantom: ``python -m algorithms.truth PIPELINE RESULT.json TRUTH_FOLDER``."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

from algorithms.contract.catalogue import pipelines


def main(arguments: list[str] | None = None) -> int:
    """Print the lines that the pipeline's comparison returns."""
    parser = argparse.ArgumentParser("python -m algorithms.truth", description=__doc__.partition(":")[0] if __doc__ else None)
    parser.add_argument("pipeline", choices=[p.name for p in pipelines().values() if p.truth], metavar="PIPELINE")
    parser.add_argument("result", type=Path, metavar="RESULT", help="result.json of the case")
    parser.add_argument("truth", type=Path, metavar="TRUTH", help="truth folder of the phantom")
    given = parser.parse_args(arguments)
    module, function = pipelines()[given.pipeline].truth.split(":")
    lines = getattr(importlib.import_module(module), function)(json.loads(given.result.read_text()), given.truth)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
