"""What a command leaves that is killed, and what two do that are given one folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from algorithms.contract.errors import DataError
from algorithms.dicom import deidentify
from tests.algorithms.dicom.ct_series import write_series

PIXELS = np.random.default_rng(0).integers(-100, 300, (4, 16, 16)).astype(np.int16)

STOPPED = """
import os, signal, sys
from algorithms.dicom import deidentify

def stop(event, _):
    if event == "mmap.__new__":  # the proof opens the first image that was written
        os.kill(os.getpid(), signal.Signals[sys.argv[1]])

sys.addaudithook(stop)
sys.exit(deidentify.run(sys.argv[2:]))
"""


def other_patient(dataset, number):
    dataset.PatientID, dataset.PatientName = "ZK4410", "Zaunkoenig^Emil"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.88", "1.2.3.88.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.88.1.{number}"


@pytest.fixture
def words(tmp_path) -> list[str]:
    write_series(tmp_path / "in/a", PIXELS)
    write_series(tmp_path / "in/b", PIXELS, other_patient)
    return [str(tmp_path / "in"), str(tmp_path / "out"), "--key-file", str(tmp_path / "key")]


def stopped(words: list[str], by: str) -> subprocess.Popen[str]:
    """Start the command, which is stopped by a signal when its first patient is written and not proved."""
    return subprocess.Popen([sys.executable, "-c", STOPPED, by, *words], stdout=subprocess.PIPE, text=True)


def inside(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def test_a_run_goes_on_where_another_was_killed(words, tmp_path, capsys):
    """Killed with images written and not proved: nothing of them is told as a result, and the next run clears them."""
    out = tmp_path / "out"
    killed = stopped(words, "SIGKILL")
    killed.communicate(timeout=60)
    (left,) = out.iterdir()
    assert killed.returncode == -signal.SIGKILL
    assert list(left.rglob("0*"))

    assert deidentify.run(words) == 0

    summary = json.loads(capsys.readouterr().out)
    assert (summary["patients"], summary["files_written"]) == (2, 8)
    assert len(inside(out)) == 2
    assert all(name.startswith("HW") for name in inside(out))


def test_two_runs_into_one_folder_leave_each_others_draft(words, tmp_path):
    """The second sees the first one's lock, which stands still in the middle of its work, and the first ends as if alone."""
    out = tmp_path / "out"
    first = stopped(words, "SIGSTOP")
    try:
        os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WNOWAIT)
        before = inside(out)

        with pytest.raises(DataError, match="another run is writing into OUT"):
            deidentify.run(words)

        assert inside(out) == before
    finally:
        os.kill(first.pid, signal.SIGCONT)
    # The proof maps every image, and stops at each of them.
    while first.poll() is None:
        os.kill(first.pid, signal.SIGCONT)
        time.sleep(0.02)
    assert first.returncode == 0
    assert json.loads(first.communicate()[0])["files_written"] == 8
    assert all(name.startswith("HW") for name in inside(out))


@pytest.mark.parametrize("name", [".draft-letters/a", ".draft-0123456789abcdef/a", "0123/patient/a", ".draft-0123456789abcdef"])
def test_what_is_no_draft_of_ours_is_left_alone(words, tmp_path, name):
    """A folder that is only called like one, one that holds something else, and a file: all stay, and OUT is not empty."""
    other = tmp_path / "out" / name
    other.parent.mkdir(parents=True)
    other.write_text("a letter")

    with pytest.raises(DataError, match="OUT is not empty"):
        deidentify.run(words)

    assert other.read_text() == "a letter"
    assert len(inside(tmp_path / "out")) == 1
