"""A synthetic examination of each diagnostic through the real DAG, in this terminal."""

# ruff: noqa: T201  # it talks to a person at a terminal

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from algorithms.contract.catalogue import pipelines
from algorithms.contract.pipeline import Pipeline, Value
from operators.laptop.embedded import AIRFLOW_HOME, ROOT, dag_id, prepare, relative, run, step

STARTED = re.compile(r"python -m algorithms \w+ (\w+) --home \S+ --case \S+(?: --item (\w+))?")
ENDED = re.compile(r"stage (\w+(?: \w+)?) (done|failed) in ([\d.]+) s")
REUSED = re.compile(r"stage (\w+(?: \w+)?) reused result")
"""Lines of `operators.runners.local` in the log of a task."""


def demo(home: Path, names: Sequence[str], choices: Sequence[str]) -> int:
    """Answer a synthetic examination of each named diagnostic; the exit code says whether all DAG runs succeeded.

    ``choices`` are arguments of the phantom; without any, it is the phantom's own choice for the demo.
    """
    env = prepare(home)
    code = 0
    for pipeline in (pipelines()[name] for name in names or _with_phantom()):
        print(f"\n{pipeline.title}")
        code = _answer(pipeline, home, choices, env) or code
    return code


def _with_phantom() -> list[str]:
    return [pipeline.name for pipeline in pipelines().values() if pipeline.phantom]


def _answer(pipeline: Pipeline, home: Path, choices: Sequence[str], env: dict[str, str]) -> int:
    chosen = list(choices) or ["--demo"]
    phantom = home / "phantom" / "-".join([pipeline.name, *(word.lstrip("-") for word in chosen)])
    if not (phantom / "made").exists():
        with step("making a synthetic examination"):
            run(["-m", "algorithms.phantom", pipeline.name, str(phantom), *chosen], env)
        (phantom / "made").touch()
    with step("receiving it"):
        first = pipeline.stages[0].name
        received = run(["-m", "algorithms", pipeline.name, first, "--home", str(home), "--input", str(phantom / "study")], env)
    case_id = json.loads(received)["case_id"]
    code = _run_dag(dag_id(pipeline), {"case_id": case_id} | dict(pipeline.demo), env)
    _print_answer(pipeline, home / "cases" / case_id, phantom / "truth", env)
    return code


def _run_dag(dag: str, conf: dict[str, Value], env: dict[str, str]) -> int:
    """Run the DAG once in this terminal, one line a stage, and return its exit code."""
    log = AIRFLOW_HOME / "logs" / f"demo-{conf['case_id']}.log"
    print(f"running the DAG {dag} (Airflow's own log: {relative(log)})", flush=True)
    started = time.monotonic()
    command = [sys.executable, "-m", "airflow", "dags", "test", dag, "--conf", json.dumps(conf)]
    in_stages = 0.0
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        with log.open("w") as file:
            for line in process.stdout:
                file.write(line)
                if begun := STARTED.search(line):
                    print(f"  {' '.join(filter(None, begun.groups())):<14}", end="", flush=True)
                elif ended := ENDED.search(line):
                    in_stages += float(ended[3])
                    print(f"{ended[2]:<8}{float(ended[3]):7.1f} s", flush=True)
                elif reused := REUSED.search(line):
                    print(f"  {reused[1]:<14}reused", flush=True)
    wall = time.monotonic() - started
    print(f"{wall:.0f} s in all, {wall - in_stages:.0f} s of them Airflow's own\n")
    return process.returncode


def _print_answer(pipeline: Pipeline, case: Path, truth: Path, env: dict[str, str]) -> None:
    reports = sorted(case.glob("report/*/result.json"), key=lambda path: path.stat().st_mtime)
    if not reports:
        print("no report was written; see the log above")
        return
    result = json.loads(reports[-1].read_text())
    print(f"verdict: {result['verdict']}")
    for reason in result["reasons"]:
        print(f"  {reason['stage']}: {reason['message']}\n    {reason['remedy']}")
    if pipeline.truth:
        print(run(["-m", "algorithms.truth", pipeline.name, str(reports[-1]), str(truth)], env), end="")
    print(f"\nreport: {relative(reports[-1].with_name('report.html'))}  (and report.pdf, result.json beside it)")
