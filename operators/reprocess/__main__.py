"""``python -m operators.reprocess find | run | compare``: answer cases again from a shell, without Airflow."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from algorithms.contract.catalogue import pipelines
from algorithms.contract.errors import EXIT_OK
from algorithms.contract.pipeline import Pipeline
from algorithms.contract.shell import exit_code, log_to_stderr
from operators import settings
from operators.reprocess.answer import answer_again
from operators.reprocess.comparison import Answered, Comparison, answered_before, compare, record_reprocessed
from operators.reprocess.stale import Found, find
from operators.settings import Settings

log = logging.getLogger("operators.reprocess")


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 65 a person must act, 70 a bug, 75 try again later."""
    log_to_stderr()
    options = _parser().parse_args(arguments)
    chosen = [pipelines()[name] for name in options.pipeline or [p.name for p in pipelines().values() if p.unattended]]
    return exit_code(lambda: _done(chosen, options), log)


def _done(chosen: Sequence[Pipeline], options: argparse.Namespace) -> int:
    _DO[options.command](settings.load(), chosen, options)
    return EXIT_OK


def _find(here: Settings, chosen: Sequence[Pipeline], options: argparse.Namespace) -> None:
    found = find(here, chosen, since=options.since, until=options.until, limit=options.limit)
    if options.json:
        print(json.dumps(asdict(found)))
        return
    rows = [(one.pipeline, one.case_id, f"run again from {one.begins_at} on") for one in found.stale]
    rows += [(one.pipeline, one.case_id, one.reason) for one in found.left]
    _print_table(("pipeline", "case", "what"), rows)
    counts = f"{found.looked_at} cases looked at, {len(found.stale)} to answer again, {len(found.left)} cannot be"
    print(f"{counts}{'; there may be more' if found.more else ''}")


def _run(here: Settings, chosen: Sequence[Pipeline], options: argparse.Namespace) -> None:
    made: list[Comparison] = []
    for pipeline in chosen:
        found = find(here, [pipeline], since=options.since, until=options.until, limit=options.limit)
        for number, stale in enumerate(found.stale, start=1):
            log.info("%d/%d case %s from %s on", number, len(found.stale), stale.case_id, stale.begins_at)
            answer_again(here, pipeline, stale.case_id)
        made += _compared(here, pipeline, found)
    _print_comparisons(made, options)


def _compared(here: Settings, pipeline: Pipeline, found: Found) -> list[Comparison]:
    cases = [Answered(stale.case_id, stale.report_key) for stale in found.stale]
    record_reprocessed(here, pipeline, cases)
    comparison = compare(here, pipeline, cases, found.left)
    return [comparison] if comparison else []


def _compare(here: Settings, chosen: Sequence[Pipeline], options: argparse.Namespace) -> None:
    made = [
        comparison
        for pipeline in chosen
        if (comparison := compare(here, pipeline, answered_before(here, pipeline, since=options.since, until=options.until)))
    ]
    _print_comparisons(made, options)


_DO = {"find": _find, "run": _run, "compare": _compare}


def _print_comparisons(made: Sequence[Comparison], options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps([asdict(comparison) for comparison in made]))
        return
    rows = [(f"{one.cases} cases", f"{one.crossed} crossed a limit", f"{one.changed} changed", one.uri) for one in made]
    _print_table(("compared", "values", "groups and verdicts", "report"), rows)


def _print_table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    lines = [titles, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m operators.reprocess", description="Answer cases again, without Airflow.")
    commands = parser.add_subparsers(dest="command", required=True)
    finding = commands.add_parser("find", help="list cases whose report is not today's, and change nothing")
    running = commands.add_parser("run", help="answer them again, one after the other, and compare")
    commands.add_parser("compare", help="compare each case's newest report with the one before")
    for command in (finding, running):
        command.add_argument("--limit", type=int, default=100, metavar="N", help="most cases of it (default: %(default)s)")
    for command in commands.choices.values():
        command.add_argument(
            "--pipeline", action="append", choices=list(pipelines()), metavar="NAME", help="of this diagnostic (default: all)"
        )
        for name, which in (("since", "at or after"), ("until", "before")):
            command.add_argument(
                f"--{name}", type=_time, metavar="TIME", help=f"only what was recorded {which} this time; ISO 8601, UTC"
            )
        command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


if __name__ == "__main__":
    sys.exit(main())
