"""The project's own images, really built, and a podman that runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services import Podman, await_file

PROJECT = Path(__file__).resolve().parents[2]

BASE = "localhost/heartwood-base:bookworm"
"""Made by docker/base.sh from Debian's packages where it is missing, so that no registry of images need be reachable."""

PROGRAMS = ("podman", "runc", "debootstrap", "catatonit")

LIMITS = ("--network=host", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
"""What a container may have on a machine that is itself a small virtual one."""

USER = "10001:10001"
"""The images' own user."""


def built(target: str) -> str:
    """Return the name of the image of a target of docker/Dockerfile, built now unless nothing has changed.

    Skips where Debian's podman, runc, debootstrap or catatonit is missing.
    """
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing or os.getuid() != 0:
        pytest.skip(f"building images needs root and Debian's {', '.join(missing or PROGRAMS)}")
    done = subprocess.run(
        ["bash", "docker/build.sh", target],
        cwd=PROJECT,
        env=os.environ | {"BASE": BASE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.split()[-1]


@contextmanager
def engine(image: str) -> Iterator[Podman]:
    """Give a podman that speaks Docker's API on a socket, with the images that were built on this machine."""
    folder = Path(tempfile.mkdtemp(prefix="heartwood-podman-"))
    (folder / "containers.conf").write_text(
        '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n[engine]\nruntime = "runc"\n'
    )
    environment = os.environ | {"CONTAINERS_CONF": str(folder / "containers.conf")}
    socket = f"unix://{folder}/podman.sock"
    command = ("env", f"CONTAINERS_CONF={folder}/containers.conf", "podman")
    # Where memory ends, podman leaves a file in the folder that its service was started in.
    server = subprocess.Popen(
        ["podman", "system", "service", "--time=0", socket], cwd=folder, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        await_file(folder / "podman.sock")
        yield Podman(socket, image, command)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)
