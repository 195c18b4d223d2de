"""What Airflow itself costs a case: the wall time of the whole DAG run minus its stages': ``python -m benchmarks.airflow``.

The peer is the same case run from a shell, in the same session and on the same machine.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from algorithms.contract.catalogue import pipelines
from benchmarks.evidence import keep
from operators.laptop.embedded import ROOT, dag_id, prepare

log = logging.getLogger("benchmarks.airflow")

SEED = 100
"""A study of the seeds used while tuning: nothing of its answer is measured here."""


SETTING = ("--set", "flow_model=reduced")
"""What Airflow adds does not depend on how long a stage takes."""


def main() -> None:
    """Measure and keep the evidence."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _python("-m", "algorithms.phantom", "coronary", folder / "phantom", "--seed", SEED, "--size", "small")
        results = {"shell": shell(folder), "airflow": airflow(folder)}
    results["airflow"]["own_s"] = round(results["airflow"]["wall_s"] - results["airflow"]["stages_s"], 1)
    log.info("%s", json.dumps(results, indent=1))
    log.info("kept in %s", keep("airflow", results))


def shell(folder: Path) -> dict[str, float]:
    """Return wall and stage seconds of the case without Airflow."""
    home = folder / "shell"
    started = time.perf_counter()
    _python("-m", "algorithms", "coronary", "--home", home, "--input", folder / "phantom" / "study", *SETTING, check=False)
    return _seconds(home, time.perf_counter() - started)


def airflow(folder: Path) -> dict[str, float]:
    """Return wall and stage seconds of the case as a DAG run."""
    home = folder / "airflow"
    env = prepare(home)
    received = _python("-m", "algorithms", "coronary", "receive", folder / "phantom" / "study", "--home", home)
    conf = json.dumps({"case_id": json.loads(received)["case_id"], "flow_model": "reduced"})
    received_s = _seconds(home, 0.0)["stages_s"]
    started = time.perf_counter()
    command = [sys.executable, "-m", "airflow", "dags", "test", dag_id(pipelines()["coronary"]), "--conf", conf]
    subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    measured = _seconds(home, time.perf_counter() - started)
    # The door has run the first stage already; the DAG run finds its result.
    return measured | {"stages_s": round(measured["stages_s"] - received_s, 1)}


def _seconds(home: Path, wall_s: float) -> dict[str, float]:
    manifests: list[dict[str, Any]] = [json.loads(path.read_text()) for path in home.glob("cases/*/*/*/manifest.json")]
    return {"wall_s": round(wall_s, 1), "stages_s": round(sum(m["seconds"] for m in manifests), 1), "stages": len(manifests)}


def _python(*arguments: object, check: bool = True) -> str:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=check).stdout


if __name__ == "__main__":
    main()
