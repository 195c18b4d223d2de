"""The command line: ``python -m algorithms PIPELINE [STAGE [STUDY]] --case DIR``.  ``--help`` tells the rest."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import textwrap
from pathlib import Path

from algorithms.contract.case import LOCAL, Case, Home
from algorithms.contract.catalogue import pipelines
from algorithms.contract.command import leave_failure, run_pipeline, run_stage
from algorithms.contract.errors import EXIT_CODES, EXIT_OK, EXIT_USAGE, DataError
from algorithms.contract.inbox import admit
from algorithms.contract.pipeline import Parameter, Pipeline, Value
from algorithms.contract.shell import log_to_stderr, told

log = logging.getLogger("algorithms")

EPILOG = """\
The result is one line of JSON on standard output; logs go to standard error.
Exit codes: 0 done, 65 the data cannot be answered, 70 a bug, 75 try again later.
"""


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    log_to_stderr(logging.WARNING)
    log.setLevel(logging.INFO)
    options = _parser().parse_args(arguments)
    pipeline = pipelines()[options.pipeline]
    try:
        given = pipeline.parse(_settings(options.set))
        case = _case(pipeline, options)
    except Exception as error:  # noqa: BLE001 - the outermost frame: every failure becomes an exit code
        return told(error, log)
    if options.stage is None:
        if options.item is not None:
            return told(DataError("--item goes with a STAGE"), log)
        code, summary = run_pipeline(pipeline, case, Home(options.home), given, stub=options.stub)
        print(json.dumps(summary))
        return code
    return _run_stage(pipeline, options, case, given)


def _run_stage(pipeline: Pipeline, options: argparse.Namespace, case: Case, given: dict[str, Value]) -> int:
    stage = pipeline.stage(options.stage)
    try:
        summary = run_stage(pipeline, stage, case, Home(options.home), given, item=options.item, stub=options.stub)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - pydicom's Rust codecs raise a panic that is no Exception
        try:
            failure = leave_failure(pipeline, stage, case, given, error, item=options.item, stub=options.stub)
        except OSError as second:
            log.error("the failure cannot be written into the case folder: %s", second.strerror)
            return told(error, log)
        log.error("%s: %s%s", stage.name, failure.message, f"\n{failure.traceback}" if failure.traceback else "")
        return EXIT_CODES[failure.kind]
    print(json.dumps(summary))
    return EXIT_OK


def _case(pipeline: Pipeline, options: argparse.Namespace) -> Case:
    source, home = options.study or options.input, Home(options.home)
    if source is not None:
        return admit(source, pipeline.name, home, options.case, region=options.region, site=options.site)
    if options.case is None:
        raise DataError("name the case with --case DIR, or make one with --input STUDY")
    case = Case.read(options.case)
    if case.pipeline != pipeline.name:
        raise DataError(f"the case was made for the pipeline {case.pipeline}, not for {pipeline.name}")
    home.refuse_stranger(case.region)
    return case


def _settings(texts: list[str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise DataError("--set wants NAME=VALUE")
        settings[name] = value
    return settings


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m algorithms", description="Turn an examination into a report.", epilog=EPILOG, formatter_class=raw
    )
    commands = parser.add_subparsers(dest="pipeline", required=True, metavar="PIPELINE")
    for pipeline in pipelines().values():
        command = commands.add_parser(
            pipeline.name, help=pipeline.title, description=pipeline.help, epilog=_epilog(pipeline), formatter_class=raw
        )
        command.add_argument(
            "stage",
            nargs="?",
            choices=[s.name for s in pipeline.stages],
            metavar="STAGE",
            help="one stage; all of them without it",
        )
        command.add_argument("study", nargs="?", type=Path, metavar="STUDY", help="the same as --input STUDY")
        command.add_argument("--input", type=Path, metavar="STUDY", help=f"make the case of {pipeline.accepts}")
        command.add_argument(
            "--case", type=Path, metavar="DIR", help="the case folder (default with --input: HOME/cases/<case id>)"
        )
        command.add_argument(
            "--home", type=Path, default=Path("data"), metavar="HOME", help="inbox, vault, cases and store (default: data)"
        )
        command.add_argument("--site", metavar="CODE", default=LOCAL, help="with --input: who sent it (default: local)")
        command.add_argument(
            "--region", metavar="CODE", help="with --input: where its data may be kept (default: where HOME is; at first local)"
        )
        command.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="set a parameter of any stage; give all of them each time",
        )
        command.add_argument(
            "--item", metavar="ITEM", help=f"one item only, in a stage that runs once an item{_each(pipeline)}"
        )
        command.add_argument("--stub", action="store_true", help="write placeholders instead of results, to try the graph")
    return parser


def _each(pipeline: Pipeline) -> str:
    stages = ", ".join(stage.name for stage in pipeline.stages if stage.each)
    return f" (here: {stages})" if stages else " (here: none)"


def _epilog(pipeline: Pipeline) -> str:
    lines = ["stages, and the parameters that --set NAME=VALUE sets:"]
    for stage in pipeline.stages:
        lines.append(f"  {stage.name:<12} {stage.help}")
        for p in stage.parameters:
            text = f"{p.name}: {p.help} ({_bounds(p)}default {_value(p.default)})"
            lines += textwrap.wrap(text, 112, initial_indent=" " * 17, subsequent_indent=" " * 21)
    return "\n".join([*lines, "", EPILOG])


def _bounds(p: Parameter) -> str:
    if p.choices:
        return f"{' or '.join(p.choices)}; "
    unit = "" if p.unit in {"", "1"} else f" {p.unit}"
    return f"{p.minimum:g} to {p.maximum:g}{unit}; " if p.minimum is not None and p.maximum is not None else ""


def _value(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(EXIT_USAGE)
