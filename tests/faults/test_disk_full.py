"""A disk that fills up while a stage writes: nothing of it is published, and the same call succeeds once there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithms.contract.case import Home
from algorithms.contract.digest import size_bytes
from algorithms.contract.errors import EXIT_TRANSIENT, TransientError, failure_kind
from algorithms.contract.execute import execute
from algorithms.contract.inbox import admit
from algorithms.contract.record import states
from algorithms.coronary.grid import Grid, write_grid
from tests.faults.cases import LIGHT, LIGHT_SETTINGS, ShellCase, contents, half_published, left_behind, light_study, once
from tests.faults.filling import FILL, FILLING, LIBRARIES

MIB = 2**20
DISK_MIB = 64
ROOM = (0.0, 0.5, 0.95)
"""Shares of what a stage writes for which there is room: none, the first files, all but the end of the last one."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that is soon full."""
    (tmp_path / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(tmp_path / "disk")]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield tmp_path / "disk"
    subprocess.run(["umount", "--lazy", str(tmp_path / "disk")], check=True)


def leave_free(disk: Path, size: int) -> Path:
    """Fill the disk up to ``size`` bytes, and return the file that does it."""
    filler = disk / "filler"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - size)
    return filler


@pytest.mark.parametrize("name", ["volume.nii", "lumen.nii.gz"])
def test_a_volume_is_whole_or_an_error(disk: Path, name: str) -> None:
    """SimpleITK writes what there is room for and returns as if nothing had happened; that was published."""
    grid = Grid(np.random.default_rng(4).integers(0, 255, (64, 64, 64), dtype=np.uint8), (1, 1, 1), (0, 0, 0))
    write_grid(grid, disk / name)
    written = (disk / name).stat().st_size
    for room in (0, written // 2, written - 4096):
        (disk / name).unlink(missing_ok=True)
        filler = leave_free(disk, room)

        with pytest.raises(TransientError, match="make room on the disk"):
            write_grid(grid, disk / name)
        filler.unlink()


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_a_library_cut_is_never_published(disk: Path, tmp_path: Path, library: str) -> None:
    """Whether it gives an error, one without a reason or none at all: the executor looks at the disk before it publishes."""
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "image").write_text("12345")
    home, given = Home(disk / "home"), {"library": library}
    case = admit(tmp_path / "study", "filling", home)
    filler = leave_free(disk, MIB // 2)

    with pytest.raises((TransientError, OSError)) as raised:
        execute(FILLING, FILL, case, home, given)

    assert failure_kind(raised.value) == "transient"
    assert states(FILLING, case, given)["fill"].state == "not run"
    assert [] == left_behind(home.root)
    filler.unlink()
    assert execute(FILLING, FILL, case, home, given).manifest.outputs["picture"].size_bytes >= MIB


@pytest.mark.slow
def test_a_full_disk_is_transient_and_leaves_nothing(
    disk: Path, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    """Python's own files, DICOM, a volume written by SimpleITK, a PDF: each tool says in its own way that the disk is full."""
    undisturbed = ShellCase("coronary", tmp_path / "undisturbed", light_study(tmp_path), LIGHT_SETTINGS)
    assert [0] * len(LIGHT) == [undisturbed.run(stage) for stage in LIGHT]
    case = undisturbed.again(disk / "home")
    assert case.run("receive") == 0
    struck = 0

    for stage in LIGHT[1:]:
        written = size_bytes(undisturbed.folder / stage)
        codes = []
        for share in ROOM:
            filler = leave_free(disk, int(share * written))
            codes.append(case.run(stage))
            filler.unlink()
            assert [] == half_published(case.folder)
            assert not list((case.folder / stage).glob(".*"))
        assert [EXIT_TRANSIENT] * len(ROOM) == codes, stage
        struck += len(codes)
        assert case.run(stage) == 0

    assert contents(undisturbed.folder) == contents(case.folder)
    assert once(case.folder, LIGHT)
    assert [] == left_behind(case.home)
    record_property("struck", struck)


def test_an_admission_on_a_full_disk_leaves_nothing(disk: Path, tmp_path: Path) -> None:
    """Half of the originals would be a case of its own, with another id."""
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "image").write_bytes(bytes(4 * MIB))
    shutil.copytree(tmp_path / "study", tmp_path / "another study")
    (tmp_path / "another study" / "image").write_bytes(b"1" * 100)
    case = ShellCase("coronary", disk / "home", tmp_path / "study")
    assert ShellCase("coronary", disk / "home", tmp_path / "another study").run("receive", "--stub") == 0
    shutil.rmtree(disk / "home" / "cases")
    filler = leave_free(disk, MIB)

    assert case.run("receive", "--stub") == EXIT_TRANSIENT
    assert not case.received()
    assert [] == left_behind(case.home)

    filler.unlink()
    assert case.run("receive", "--stub") == 0
