"""Write a synthetic examination with its truth: ``python -m algorithms.phantom PIPELINE OUT``.  ``--help`` tells the rest.

Every pipeline that declares a phantom has a command here.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

from algorithms.contract.catalogue import pipelines


def parser(chosen: str | None) -> argparse.ArgumentParser:
    """Return the command line of the phantoms; only the chosen one is imported."""
    top = argparse.ArgumentParser(
        prog="python -m algorithms.phantom",
        description="Write a synthetic examination (OUT/study) and everything that is true of it (OUT/truth).",
    )
    kinds = top.add_subparsers(dest="kind", required=True, metavar="PIPELINE")
    for pipeline in pipelines().values():
        if pipeline.phantom:
            kind = kinds.add_parser(pipeline.name, help=f"for {pipeline.title}")
            kind.add_argument("out", type=Path, metavar="OUT", help="folder to write into; made where it is missing")
            kind.add_argument("--demo", action="store_true", help="the one that `make demo` answers; leave the others out")
            if pipeline.name == chosen:
                _module(pipeline.phantom).arguments(kind)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Write what the command line asks for, and say in one line of JSON where it is."""
    words = sys.argv[1:] if arguments is None else arguments
    command = parser(words[0] if words else None)
    given = command.parse_args(words)
    module = _module(pipelines()[given.kind].phantom)
    if given.demo:
        given = command.parse_args([given.kind, str(given.out), *module.DEMO])
    if given.seed < 0:
        command.error("--seed must be >= 0")
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    facts = module.make(given.out, given)
    answer = {"study": str(given.out / "study"), "truth": str(given.out / "truth")} | facts
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def _module(name: str) -> Any:
    return importlib.import_module(name)


if __name__ == "__main__":
    sys.exit(main())
