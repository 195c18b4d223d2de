"""A synthetic study through the real DAG, in this terminal."""

# ruff: noqa: T201  # it talks to a person at a terminal

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from operators.laptop.embedded import AIRFLOW_HOME, DAG_ID, ROOT, prepare, relative, run, step

STARTED = re.compile(r"python -m algorithms \w+ (\w+) --home")
ENDED = re.compile(r"stage (\w+) (done|reused|failed) in ([\d.]+) s")
"""Lines of `operators.runners.local` in the log of a task."""


def demo(home: Path, size: str, difficulty: str, seed: int) -> int:
    """Answer a synthetic study and print what came out; the exit code says whether the DAG run succeeded."""
    env = prepare(home)
    phantom = home / "phantom" / f"coronary-{size}-{difficulty}-{seed}"
    if not (phantom / "truth" / "phantom.json").exists():
        choice = ["--size", size, "--difficulty", difficulty, "--seed", str(seed)]
        with step(f"making a synthetic {size} study (seed {seed})"):
            run(["-m", "algorithms.phantom", "coronary", str(phantom), *choice], env)
    if not (phantom / "truth" / "ffr.json").exists():
        with step("solving the flow in its true vessels"):
            run(["-m", "algorithms.coronary.truth", str(phantom / "truth")], env)
    with step("receiving it"):
        received = run(["-m", "algorithms", "coronary", "receive", "--home", str(home), "--input", str(phantom / "study")], env)
    case_id = json.loads(received)["case_id"]
    code = _run_dag(case_id, env)
    _print_answer(home / "cases" / case_id, json.loads((phantom / "truth" / "ffr.json").read_text()))
    return code


def _run_dag(case_id: str, env: dict[str, str]) -> int:
    """Run the DAG once in this terminal, one line a stage, and return its exit code."""
    log = AIRFLOW_HOME / "logs" / f"demo-{case_id}.log"
    print(f"running the DAG {DAG_ID} (Airflow's own log: {relative(log)})", flush=True)
    started = time.monotonic()
    command = [sys.executable, "-m", "airflow", "dags", "test", DAG_ID, "--conf", json.dumps({"case_id": case_id})]
    in_stages = 0.0
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        with log.open("w") as file:
            for line in process.stdout:
                file.write(line)
                if begun := STARTED.search(line):
                    print(f"  {begun[1]:<12}", end="", flush=True)
                elif ended := ENDED.search(line):
                    in_stages += float(ended[3])
                    print(f"{ended[2]:<8}{float(ended[3]):7.1f} s", flush=True)
    wall = time.monotonic() - started
    print(f"{wall:.0f} s in all, {wall - in_stages:.0f} s of them Airflow's own\n")
    return process.returncode


def _print_answer(case: Path, truth: dict[str, Any]) -> None:
    reports = sorted(case.glob("report/*/result.json"), key=lambda path: path.stat().st_mtime)
    if not reports:
        print("no report was written; see the log above")
        return
    result = json.loads(reports[-1].read_text())
    print(f"verdict: {result['verdict']}")
    for reason in result["reasons"]:
        print(f"  {reason['stage']}: {reason['message']}\n    {reason['remedy']}")
    print("\n".join(table(result, truth)))
    print(f"\nreport: {relative(reports[-1].with_name('report.html'))}  (and report.pdf, result.json beside it)")


def table(result: dict[str, Any], truth: dict[str, Any]) -> list[str]:
    """Return the lines of the table: each vessel with its tightest stenosis, its FFR, and the FFR of the true vessels."""
    if not result["vessels"]:
        return []
    true_ffr = {vessel["vessel"]: vessel["ffr"] for vessel in truth["vessels"]}
    lines = ["", f"{'vessel':<8}{'stenosis':<18}{'FFR (95 % interval)':<24}{'band':<10}{'true FFR':>8}"]
    for vessel in result["vessels"]:
        found = [s for s in result["stenoses"] if s["vessel"] == vessel["vessel"]]
        worst = max(found, key=lambda s: float(s["diameter_stenosis"]), default=None)
        stenosis = "none" if worst is None else f"{100 * worst['diameter_stenosis']:.0f} % ({len(found)} in all)"
        true = true_ffr.get(vessel["vessel"])
        lines.append(
            f"{vessel['vessel']:<8}{stenosis:<18}{_ffr_text(vessel):<24}{vessel['band'] or '-':<10}"
            f"{'-' if true is None else f'{true:.2f}':>8}"
        )
    return lines


def _ffr_text(vessel: dict[str, Any]) -> str:
    if vessel["ffr"] is None:
        return "withheld"
    if vessel["ffr_low"] is None:
        return f"{vessel['ffr']:.2f}"
    return f"{vessel['ffr']:.2f} ({vessel['ffr_low']:.2f} to {vessel['ffr_high']:.2f})"
