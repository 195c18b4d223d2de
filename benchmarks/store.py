"""One GiB to an S3 server and back: memory, seconds and CPU, beside boto3's own transfer: ``python -m benchmarks.store``.

The server is rclone's, on this machine: it keeps objects on disk and checks signature and MD5 of every part.  Each transfer
runs in a process of its own, whose peak of resident memory is compared with that after a transfer of one byte.  boto3 verifies
no sha256, which is what the CPU seconds beside it buy.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from algorithms.contract.store import open_store
from benchmarks.evidence import keep
from tests.services import aws_environment, rclone

log = logging.getLogger("benchmarks.store")

MIB = 2**20
SIZE_MIB = 1024
BUCKET = "benchmark"

PROJECT = Path(__file__).parents[1]


def main() -> None:
    """Measure and keep the evidence, or be one of the processes that are measured."""
    if len(sys.argv) > 1:
        print(json.dumps(measured_here(sys.argv[1], Path(sys.argv[2]))))  # noqa: T201 - the process's answer
        return
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    results = {"size_mib": SIZE_MIB, **{way: transfers(way, SIZE_MIB) for way in ("ours", "boto3")}}
    log.info("%s", json.dumps(results, indent=1))
    log.info("kept in %s", keep("store", results))


def transfers(way: str, size_mib: int) -> dict[str, Any]:
    """Return what it costs to send a file of random bytes and to get it back, each in a process of its own.

    Raises
    ------
    ValueError
        If what comes back is not what was sent.
    """
    with tempfile.TemporaryDirectory(prefix="heartwood-benchmark-") as name, rclone() as endpoint:
        folder = Path(name)
        (folder / "small").write_bytes(b"x")
        sent = hashlib.sha256()
        with (folder / "large").open("wb") as file:
            for _ in range(size_mib):
                block = os.urandom(MIB)
                sent.update(block)
                file.write(block)
        told = os.environ | aws_environment(endpoint)
        answers = {}
        for action in ("put", "get"):
            command = [sys.executable, "-m", "benchmarks.store", f"{way}-{action}", str(folder)]
            answer = subprocess.run(command, cwd=PROJECT, env=told, stdout=subprocess.PIPE, text=True, check=True).stdout
            answers[action] = json.loads(answer)
        with (folder / "large-back").open("rb") as file:
            if hashlib.file_digest(file, "sha256").digest() != sent.digest():
                raise ValueError("what came back is not what was sent")
    return answers


def measured_here(way: str, folder: Path) -> dict[str, float]:
    """Return the cost of one transfer in this process: peak memory above that of a small one, seconds, CPU seconds."""
    transfer = WAYS[way]
    transfer(folder, "small")
    before_mib, started, cpu = peak_mib(), time.perf_counter(), time.process_time()
    transfer(folder, "large")
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    return {"growth_mib": round(peak_mib() - before_mib, 1), "seconds": round(seconds, 1), "cpu_seconds": round(cpu_seconds, 1)}


def peak_mib() -> float:
    """Return the most memory that this process has had resident (Linux)."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("VmHWM"))) / 1024


def _ours_put(folder: Path, name: str) -> None:
    _make_bucket()
    open_store(f"s3://{BUCKET}").put_file(folder / name, name)


def _ours_get(folder: Path, name: str) -> None:
    open_store(f"s3://{BUCKET}").get_file(name, folder / f"{name}-back")


def _boto3_put(folder: Path, name: str) -> None:
    _make_bucket().upload_file(str(folder / name), BUCKET, name)


def _boto3_get(folder: Path, name: str) -> None:
    _client().download_file(BUCKET, name, str(folder / f"{name}-back"))


def _make_bucket() -> Any:
    client = _client()
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return client


def _client() -> Any:
    import boto3

    return boto3.client("s3")


WAYS: dict[str, Callable[[Path, str], None]] = {
    "ours-put": _ours_put,
    "ours-get": _ours_get,
    "boto3-put": _boto3_put,
    "boto3-get": _boto3_get,
}


if __name__ == "__main__":
    main()
