"""Airflow with its web UI, on this machine only."""

# ruff: noqa: T201  # it talks to a person at a terminal

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from algorithms.contract.catalogue import pipelines
from operators.laptop.embedded import AIRFLOW_HOME, LOOPBACK, ROOT, dag_id, password, prepare, relative

READY_S = 240
"""How long the web server may take to come up, with room for a busy machine (20-30 s on an idle one)."""

STOP_S = 20
"""How long a component may take to stop before it is killed."""

COMPONENTS = {
    "web server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
"""Airflow's processes.  Their log servers would listen on every interface and are not needed on one machine."""


def up(home: Path, port: int) -> int:
    """Run Airflow until Ctrl-C or TERM, and leave no process behind."""
    with socket.socket() as probe:
        if probe.connect_ex((LOOPBACK, port)) == 0:
            print(f"port {port} is in use; choose another one with --port")
            return 1
    env = prepare(home, port)
    secret = password()
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: stopped.append(received))
    processes = {name: _start(name, arguments, env) for name, arguments in COMPONENTS.items()}
    try:
        print("starting Airflow, half a minute", flush=True)
        ready = _wait_until_ready(port, processes, stopped)
        if ready:
            print(f"\n  Airflow    http://{LOOPBACK}:{port}\n  login      admin\n  password   {secret}\n")
            for pipeline in pipelines().values():
                first = pipeline.stages[0].name
                print(f"  a case     python -m algorithms {pipeline.name} {first} --home {home} --input FOLDER")
                print(f"             prints the id to trigger {dag_id(pipeline)} with")
            print("\nCtrl-C stops it", flush=True)
        while ready and not stopped and not _ended(processes):
            time.sleep(0.2)
        for name in _ended(processes):
            print(f"the {name} has ended; its log is {_log(name)}")
        return 0 if stopped else 1
    finally:
        print("stopping", flush=True)
        _stop(list(processes.values()))


def _start(name: str, arguments: tuple[str, ...], env: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a component in a process group of its own, so that Ctrl-C reaches it only through us, and all of it."""
    with _log(name).open("ab") as file:
        command = [sys.executable, "-m", "airflow", *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=file, stderr=file, start_new_session=True)


def _wait_until_ready(port: int, processes: dict[str, subprocess.Popen[bytes]], stopped: list[int]) -> bool:
    until = time.monotonic() + READY_S
    while time.monotonic() < until and not stopped and not _ended(processes):
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/api/v2/monitor/health", timeout=5) as answer:
                health = json.load(answer)
            if all(health[part]["status"] == "healthy" for part in ("scheduler", "dag_processor", "triggerer")):
                return True
        except (OSError, urllib.error.URLError, json.JSONDecodeError, KeyError):
            pass  # not up yet
        time.sleep(0.5)
    if not stopped and not _ended(processes):
        print(f"Airflow was not ready after {READY_S} s; its logs are in {relative(AIRFLOW_HOME / 'logs')}")
    return False


def _ended(processes: dict[str, subprocess.Popen[bytes]]) -> list[str]:
    return [name for name, process in processes.items() if process.poll() is not None]


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """Ask every component to stop, wait, and end whatever is left of it."""
    for process in processes:
        process.terminate()
    until = time.monotonic() + STOP_S
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))
        # A component that has ended may leave workers; they are in its group.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _log(name: str) -> Path:
    return AIRFLOW_HOME / "logs" / f"{name.replace(' ', '-')}.log"
