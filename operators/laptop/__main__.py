"""``python -m operators.laptop demo`` and ``python -m operators.laptop up``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from operators.laptop.demo import demo
from operators.laptop.embedded import ROOT
from operators.laptop.up import up


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(
        "python -m operators.laptop", description="Heartwood on this machine, nothing else needed."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    demo_command = commands.add_parser("demo", help="answer a synthetic study through the real DAG")
    demo_command.add_argument("--size", choices=["small", "medium", "full"], default="medium", help="of the study")
    demo_command.add_argument("--difficulty", choices=["easy", "moderate", "hard"], default="easy", help="noise and motion")
    demo_command.add_argument("--seed", type=int, default=101, help="of the synthetic person")
    up_command = commands.add_parser("up", help="start Airflow with its web UI")
    up_command.add_argument("--port", type=int, default=8080)
    for command in (demo_command, up_command):
        command.add_argument("--home", type=Path, default=ROOT / "data", help="where cases are kept")
    options = parser.parse_args(arguments)
    if options.command == "up":
        return up(options.home.resolve(), options.port)
    return demo(options.home.resolve(), options.size, options.difficulty, options.seed)


if __name__ == "__main__":
    sys.exit(main())
