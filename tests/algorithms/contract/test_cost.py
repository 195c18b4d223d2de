"""What a run costs, its children included: a machine that is sized by the manifest must hold all of them at once."""

from __future__ import annotations

import subprocess
import sys
import time

from algorithms.contract.cost import LOOK_S, MIB, Meter, family_memory_bytes

HELD_MIB = 150
"""Far above what an interpreter takes by itself."""

HOLD = f"held = b'x' * ({HELD_MIB} * 2**20); print('ready', flush=True); input()"
"""Holds its memory until it is told to end."""


def holding(program: str = HOLD) -> subprocess.Popen[bytes]:
    """Return a child that holds its memory now."""
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


def end(child: subprocess.Popen[bytes]) -> None:
    child.communicate(b"\n")
    assert child.returncode == 0


def test_two_children_at_once_count_twice():
    """The kernel alone would tell of the larger one, and the stage would be killed on a machine of that size."""
    with Meter() as meter:
        children = [holding(), holding()]
        time.sleep(10 * LOOK_S)
        for child in children:
            end(child)

    assert meter.cost.peak_memory_mib > 2 * HELD_MIB


def test_a_childs_child_counts():
    """A study is read in a confined process that a guard starts."""
    program = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {HOLD!r}]).returncode)"

    child = holding(program)
    held_bytes = family_memory_bytes(child.pid)
    end(child)

    assert held_bytes > HELD_MIB * MIB


def test_nothing_is_held_by_a_process_that_has_ended():
    """It may end between the list of children and the look at it."""
    child = holding()
    end(child)

    assert family_memory_bytes(child.pid) == 0


def test_the_cpu_time_of_children_counts():
    """A child that computes is as dear as its parent; a second of one core is a second."""
    with Meter() as meter:
        subprocess.run(
            [sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"], check=True, stdin=subprocess.DEVNULL
        )

    assert meter.cost.cpu_seconds >= 0.5
