"""Images a second that the appliance takes by C-STORE, beside dcmtk's storescp: ``python -m benchmarks.edge [upload]``.

Sender is dcmtk's storescu on the same machine, over one association and over two at once; images are raw CT slices of 512 x 512
with noise.  The appliance flushes every image, its name and its row to the disk before it answers; storescp flushes nothing,
which is what the difference buys.  What other programs take of the machine (``load_before``) slows both.  Each receiver is a
process of its own, whose CPU seconds and peak of resident memory count.

``upload`` measures memory only: the appliance takes a study, has it de-identified, encrypts and uploads it to S3 (moto).
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import psutil
import yaml
from pydicom.uid import generate_uid

from algorithms.contract.envelope import public_key
from algorithms.contract.store import open_store
from benchmarks.evidence import keep
from tests.algorithms.dicom.ct_series import write_series
from tests.edge.images import STORESCU, image, written
from tests.services import await_port, aws_environment, free_port, moto

log = logging.getLogger("benchmarks.edge")

PROJECT = Path(__file__).parents[1]
STORESCP = Path("/usr/bin/storescp")
SIDE = 512
STUDIES = 3
SLICES = 300


def main() -> None:
    """Measure and keep the evidence."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    with tempfile.TemporaryDirectory(prefix="heartwood-benchmark-") as name:
        folder = Path(name)
        studies = [
            written(folder / str(number), [image(generate_uid(), slice_, SIDE) for slice_ in range(SLICES)])
            for number in range(STUDIES)
        ]
        rows, busy = [], os.getloadavg()[0]
        for associations in (1, 2):
            with storescp(folder / f"storescp-{associations}") as (port, process):
                rows.append({"receiver": "dcmtk storescp"} | taken(port, process, studies, associations))
            with appliance(folder / f"appliance-{associations}") as (port, process):
                rows.append({"receiver": "appliance"} | taken(port, process, studies, associations))
            for row in rows[-2:]:
                log.info("%s", json.dumps(row))
        results = {"side_pixels": SIDE, "images": STUDIES * SLICES, "load_before": busy, "receivers": rows}
        log.info("kept in %s", keep("edge", results))


def upload() -> None:
    """Measure the memory that a study takes on its whole way, and keep the evidence."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    with tempfile.TemporaryDirectory(prefix="heartwood-benchmark-") as name, moto() as endpoint:
        logging.getLogger("werkzeug").setLevel(logging.WARNING)  # moto's server tells each request
        folder, environment = Path(name), aws_environment(endpoint)
        volume = np.random.default_rng(0).integers(-100, 300, (SLICES, SIDE, SIDE)).astype(np.int16)
        study = write_series(folder / "study", volume)
        os.environ.update(environment)
        place = {"LocationConstraint": environment["AWS_DEFAULT_REGION"]}
        boto3.client("s3").create_bucket(Bucket="arrivals", CreateBucketConfiguration=place)
        store = open_store("s3://arrivals/intake")
        with appliance(folder / "appliance", store="s3://arrivals/intake", stable_s=5) as (port, process):
            if _storescu(port, study).wait():
                raise RuntimeError("storescu failed")
            engine_peak, stored = 0.0, list[str]()
            while not any(key.endswith("/manifest.json") for key in stored):
                engine_peak = max([engine_peak, *(_rss_mib(child) for child in process.children(recursive=True))])
                time.sleep(0.1)
                stored = store.list() if not process.children() else []
            results = {
                "images": SLICES,
                "side_pixels": SIDE,
                "study_mib": round(sum(path.stat().st_size for path in study.iterdir()) / 2**20, 1),
                "peak_mib": round(_peak_mib(process), 1),
                "engine_peak_mib": round(engine_peak, 1),
            }
    log.info("%s, kept in %s", json.dumps(results), keep("edge_upload", results))


def taken(port: int, receiver: psutil.Process, studies: Sequence[Path], associations: int) -> dict[str, Any]:
    """Return what it cost a receiver to take all studies, sent over so many associations at once."""
    cpu_before, started = _cpu_s(receiver), time.perf_counter()
    for first in range(0, len(studies), associations):
        senders = [_storescu(port, study) for study in studies[first : first + associations]]
        for sender in senders:
            if sender.wait():
                raise RuntimeError(f"storescu ended with {sender.returncode}")
    seconds, cpu_s = time.perf_counter() - started, _cpu_s(receiver) - cpu_before
    images = len(studies) * SLICES
    return {
        "associations": associations,
        "seconds": round(seconds, 1),
        "images_per_s": round(images / seconds, 1),
        "cpu_ms_per_image": round(1000 * cpu_s / images, 2),
        "peak_mib": round(_peak_mib(receiver), 1),
    }


@contextmanager
def appliance(folder: Path, *, store: str = "", stable_s: float = 1e6) -> Iterator[tuple[int, psutil.Process]]:
    """Run an appliance that waits so long for its studies to be whole: for ever by default."""
    folder.mkdir()
    port, health = free_port(), free_port()
    listen = {"ae_title": "EDGE", "callers": ["SENDER"], "port": port}
    send = {
        "store": store or folder.as_uri(),
        "pipeline": "coronary",
        "site": "s",
        "region": "r",
        "seal_for": public_key(folder / "key"),
    }
    waiting = {"complete": {"stable_s": stable_s}, "health": {"port": health}}
    config = {"home": str(folder / "home"), "listen": listen, "send": send, **waiting}
    (folder / "edge.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "edge.appliance", "run", str(folder / "edge.yaml")]
    with _running(command, health) as process:
        yield port, process


@contextmanager
def storescp(folder: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Run dcmtk's receiver, which writes data sets as they come too; it forks for each association."""
    folder.mkdir()
    port = free_port()
    command = [str(STORESCP), "--fork", "--bit-preserving", "-pdu", "131072", "-od", str(folder), str(port)]
    with _running(command, port) as process:
        yield port, process


@contextmanager
def _running(command: Sequence[str], port: int) -> Iterator[psutil.Process]:
    process = subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.DEVNULL)
    try:
        await_port(port, 120)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _storescu(port: int, study: Path) -> subprocess.Popen[bytes]:
    command = [str(STORESCU), "-aet", "SENDER", "-aec", "EDGE", "+sd", "-pdu", "131072", "127.0.0.1", str(port), str(study)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _cpu_s(process: psutil.Process) -> float:
    """Return the CPU seconds of a process and of those of its children that have ended."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def _rss_mib(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 2**20
    except psutil.NoSuchProcess:
        return 0.0


def _peak_mib(process: psutil.Process) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("VmHWM"))) / 1024


if __name__ == "__main__":
    upload() if sys.argv[1:] == ["upload"] else main()
