"""The embedded Airflow: what it is told, what the demo prints, and that stopping it leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from operators.laptop import embedded
from operators.laptop.demo import ENDED, REUSED, STARTED
from operators.laptop.up import COMPONENTS
from tests.operators.airflow_home import PROJECT
from tests.operators.runners.attempts import gone


@pytest.fixture
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An Airflow home that does not exist yet, in the place of the checkout's."""
    monkeypatch.setattr(embedded, "AIRFLOW_HOME", tmp_path / "airflow")
    (tmp_path / "airflow").mkdir()
    return tmp_path / "airflow"


def test_nothing_of_the_embedded_airflow_is_reachable_from_outside(laptop: Path) -> None:
    """The web server listens on loopback, and the log servers, which would listen everywhere, are not started."""
    env = embedded.environment(laptop / "data", 8123)

    assert env["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert env["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:8123"
    for name in ("scheduler", "triggerer"):
        assert "--skip-serve-logs" in COMPONENTS[name]


def test_another_airflow_of_this_user_is_left_alone(laptop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's production settings in the shell must not reach the demo, nor the demo their database."""
    monkeypatch.setenv("AIRFLOW_HOME", "/srv/airflow")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production")
    monkeypatch.setenv("AIRFLOW__HEARTWOOD__STORE", "s3://bucket")

    env = embedded.environment(laptop / "data")

    assert env["AIRFLOW_HOME"] == str(laptop)
    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in env
    assert env["AIRFLOW__HEARTWOOD__STORE"] == "s3://bucket"


def test_password_and_key_are_made_once_for_this_user_only(laptop: Path) -> None:
    """SimpleAuthManager would leave its own file readable to every user of the machine."""
    first, env = embedded.password(), embedded.environment(laptop / "data")

    assert embedded.password() == first
    assert embedded.environment(laptop / "data")["AIRFLOW__API_AUTH__JWT_SECRET"] == env["AIRFLOW__API_AUTH__JWT_SECRET"]
    assert len(env["AIRFLOW__API_AUTH__JWT_SECRET"]) >= 64
    assert {p.name: oct(p.stat().st_mode & 0o777) for p in laptop.iterdir()} == {"passwords.json": "0o600", "jwt.key": "0o600"}


def test_the_demo_reads_the_lines_that_the_runner_writes() -> None:
    """The progress is taken from the task's log; the runner's own source must still say these sentences."""
    runner = (PROJECT / "operators/stage.py").read_text()

    assert '"stage %s %s in %.1f s"' in runner
    assert '"stage %s reused result %s"' in runner
    begun = STARTED.search("INFO - python -m algorithms prostate encode --home /x --case /x/cases/1 --item s02 --set a=1")
    assert begun.groups() == ("encode", "s02")  # type: ignore[union-attr]
    assert ENDED.search("stage encode s02 done in 2.0 s").groups() == ("encode s02", "done", "2.0")  # type: ignore[union-attr]
    assert ENDED.search("stage flow failed in 12.3 s").groups() == ("flow", "failed", "12.3")  # type: ignore[union-attr]
    assert REUSED.search("stage encode s02 reused result 0123456789ab").groups() == ("encode s02",)  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.system
def test_airflow_comes_up_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """`up` on a free port: the page asks for a login, the login works, TERM ends every process that was started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "operators.laptop", "up", "--port", str(port), "--home", str(tmp_path)]
    env = {n: v for n, v in os.environ.items() if not n.startswith("AIRFLOW")}
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(command, cwd=PROJECT, env=env, stdout=out, stderr=out)
        try:
            until = time.monotonic() + 300
            while "password" not in (text := (tmp_path / "out").read_text()) and time.monotonic() < until:
                assert process.poll() is None, text
                time.sleep(1)
            family = psutil.Process(process.pid).children(recursive=True)
            listening = {address for p in family for address in _listening(p)}
            answers = [_status(port, "/api/v2/dags", None), _status(port, "/api/v2/dags", _token(port, text))]
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(60)

    assert code == 0
    assert listening == {("127.0.0.1", port)}
    assert answers == [401, 200]
    assert len(family) >= len(COMPONENTS)
    assert gone([p.pid for p in family])


def _listening(process: psutil.Process) -> set[tuple[str, int]]:
    # A task of a scheduled DAG may have ended meanwhile.
    with suppress(psutil.NoSuchProcess):
        return {c.laddr for c in process.net_connections() if c.status == psutil.CONN_LISTEN}
    return set()


def _token(port: int, text: str) -> str:
    login = {"username": "admin", "password": re.search(r"password +(\S+)", text)[1]}  # type: ignore[index]
    address = f"http://127.0.0.1:{port}/auth/token"
    request = urllib.request.Request(address, json.dumps(login).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["access_token"])


def _status(port: int, path: str, token: str | None) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers), timeout=30) as a:
            return int(a.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
