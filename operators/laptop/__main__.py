"""``python -m operators.laptop demo`` and ``python -m operators.laptop up``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from algorithms.contract.catalogue import pipelines
from operators.laptop.demo import demo
from operators.laptop.embedded import ROOT
from operators.laptop.up import up


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(
        "python -m operators.laptop", description="Heartwood on this machine, nothing else needed."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    demo_command = commands.add_parser(
        "demo",
        help="answer a synthetic examination of each diagnostic through the real DAG",
        epilog="Further arguments go to `python -m algorithms.phantom PIPELINE`, such as --seed 7 --size full; "
        "they want exactly one PIPELINE.",
    )
    demo_command.add_argument("pipelines", nargs="*", metavar="PIPELINE", help="which ones (default: all)")
    up_command = commands.add_parser("up", help="start Airflow with its web UI")
    up_command.add_argument("--port", type=int, default=8080)
    for command in (demo_command, up_command):
        command.add_argument("--home", type=Path, default=ROOT / "data", help="where cases are kept")
    options, choices = parser.parse_known_args(arguments)
    if options.command == "up" and not choices:
        return up(options.home.resolve(), options.port)
    unknown = sorted(set(options.pipelines) - set(pipelines())) if options.command == "demo" else choices
    if unknown or (choices and len(options.pipelines) != 1):
        parser.error(f"cannot read these arguments: {' '.join(unknown or choices)}; see demo --help")
    return demo(options.home.resolve(), options.pipelines, choices)


if __name__ == "__main__":
    sys.exit(main())
