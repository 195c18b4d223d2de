"""The command line's inside: run one stage, or every stage of a pipeline, each in a process of its own."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from signal import SIGKILL
from typing import Any

from algorithms.contract.case import SECRET, Case, Home
from algorithms.contract.errors import EXIT_CODES, EXIT_OK, failure_kind
from algorithms.contract.execute import Result, execute
from algorithms.contract.items import place
from algorithms.contract.pipeline import PROJECT, Pipeline, Stage, Value
from algorithms.contract.record import Failure, states

log = logging.getLogger(__name__)


def stage_command(
    pipeline: str,
    stage: str,
    *,
    home: Path,
    case: Path,
    given: Mapping[str, Value],
    item: str | None = None,
    stub: bool = False,
) -> list[str]:
    """Return the arguments after the interpreter that run one stage: the same in every place."""
    settings = [text for name, value in sorted(given.items()) for text in ("--set", f"{name}={value}")]
    places = ["--home", str(home.absolute()), "--case", str(case.absolute())]
    one = ["--item", item] if item is not None else []
    return ["-m", "algorithms", pipeline, stage, *places, *one, *settings, *(["--stub"] if stub else [])]


def run_stage(
    pipeline: Pipeline,
    stage: Stage,
    case: Case,
    home: Home,
    given: Mapping[str, Value],
    *,
    item: str | None = None,
    stub: bool,
) -> dict[str, Any]:
    """Return what the command line prints of one stage, or of one item of it, after running it."""
    return _summary(case, execute(pipeline, stage, case, home, given, item=item, stub=stub))


def run_pipeline(
    pipeline: Pipeline, case: Case, home: Home, given: Mapping[str, Value], *, stub: bool
) -> tuple[int, dict[str, Any]]:
    """Run every stage in order; after a failure only those that always run.  Return exit code and summary."""
    code = EXIT_OK
    for number, stage in enumerate(pipeline.stages, start=1):
        if code and not stage.always:
            continue
        started = time.perf_counter()
        command = stage_command(pipeline.name, stage.name, home=home.root, case=case.folder, given=given, stub=stub)
        done = subprocess.run([sys.executable, *command], cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode < 0:
            killed(case, stage, -done.returncode)
        code = code or (EXIT_CODES["transient"] if done.returncode < 0 else done.returncode)
        seconds = time.perf_counter() - started
        outcome = "done" if done.returncode == 0 else f"failed with exit code {done.returncode}"
        log.info("%d/%d %s %s in %.1f s", number, len(pipeline.stages), stage.name, outcome, seconds)
    return code, _pipeline_summary(pipeline, case, given, stub)


def killed(case: Case, stage: Stage, signal: int, item: str | None = None, *, memory_gib: float | None = None) -> None:
    """Leave a failure for a stage that was ended by a signal and could not write its own.

    KILL that nobody sent on purpose is the kernel's answer to want of memory; ``memory_gib`` is what the stage had.
    """
    if signal != SIGKILL:
        interrupted(case, stage, f"by signal {signal}", item)
        return
    folder = place(case, stage, item)
    had = f"it had {memory_gib:g} GiB" if memory_gib is not None else f"it needs {stage.resources.memory_gib:g} GiB"
    message = f"the stage was killed by signal {signal}, most often for want of memory; {had}"
    Failure("transient", message, kills=Failure.kills_before(folder) + 1).write(folder)


def interrupted(case: Case, stage: Stage, reason: str, item: str | None = None) -> None:
    """Leave a failure for a stage that was ended, or never started, for a ``reason`` that is neither its own nor memory."""
    folder = place(case, stage, item)
    Failure("transient", f"the stage was ended {reason}", kills=Failure.kills_before(folder)).write(folder)


def overdue(case: Case, stage: Stage, item: str | None = None) -> None:
    """Leave a failure for a stage that was stopped at its time limit."""
    folder = place(case, stage, item)
    message = f"the stage ran past its time limit of {stage.resources.timeout_s} s"
    Failure("timeout", message, kills=Failure.kills_before(folder)).write(folder)


def leave_failure(
    pipeline: Pipeline,
    stage: Stage,
    case: Case,
    given: Mapping[str, Value],
    error: BaseException,
    *,
    item: str | None = None,
    stub: bool,
) -> Failure:
    """Write and return the failure that ``error`` is, for operators, report and case page to read."""
    kind = failure_kind(error)
    # The text of an operating-system error names files; its reason alone does not.
    message = error.strerror or "file error" if isinstance(error, OSError) else str(error) or type(error).__name__
    state = states(pipeline, case, given, stub=stub)[stage.name]
    if item is not None and item in state.items:
        state = state.items[item]
    else:
        item = None
    key = state.key
    text = "".join(traceback.format_exception(error)) if kind == "bug" else ""
    if kind == "bug" and reads_originals(pipeline, stage):
        # Libraries put the value that they stumble over into their message, and here it is a patient's.
        message, text = type(error).__name__, places_of(error)
    folder = place(case, stage, item)
    failure = Failure(kind, message, key, text, Failure.kills_before(folder))
    failure.write(folder)
    return failure


def reads_originals(pipeline: Pipeline, stage: Stage) -> bool:
    """Return whether the stage sees what the site sent, as it was sent."""
    return any(name in pipeline.inputs and name != SECRET for name in (*stage.inputs, *stage.consumes))


def places_of(error: BaseException) -> str:
    """Return the traceback of an error and of those behind it without their messages: kinds, files, lines and code."""
    described: traceback.TracebackException | None = traceback.TracebackException.from_exception(error)
    told: list[str] = []
    while described is not None:
        told.append(
            "".join(described.stack.format())
            + f"{getattr(described.exc_type, '__name__', 'error')} (its message is withheld)\n"
        )
        described = described.__cause__ or (None if described.__suppress_context__ else described.__context__)
    return "\nafter which\n\n".join(reversed(told))


def _summary(case: Case, result: Result) -> dict[str, Any]:
    manifest = result.manifest
    return {
        "case_id": case.case_id,
        "stage": manifest.stage,
        "key": manifest.key,
        "reused": result.reused,
        "seconds": manifest.seconds,
        "peak_memory_mib": manifest.peak_memory_mib,
        "measurements": dict(manifest.measurements),
        "outputs": {name: str(result.folder / written.path) for name, written in manifest.outputs.items()},
    }


def _pipeline_summary(pipeline: Pipeline, case: Case, given: Mapping[str, Value], stub: bool) -> dict[str, Any]:
    done = states(pipeline, case, given, stub=stub)
    summary: dict[str, Any] = {
        "case_id": case.case_id,
        "case": str(case.folder),
        "stages": {n: s.state for n, s in done.items()},
    }
    for state in done.values():
        if state.stage.always and state.manifest and state.folder:
            summary |= {name: str(state.folder / written.path) for name, written in state.manifest.outputs.items()}
    if "result" in summary and not stub:
        summary["verdict"] = json.loads(Path(summary["result"]).read_text())["verdict"]
    return summary
