"""Runs one command and ends it, with all its children, when whoever asked for it is gone.  Standard library only.

``python guard.py GRACE_S COMMAND...`` watches its standard input: as long as the asking process lives, it holds the other
end open.  When that end closes, because it wants the command ended or because it was killed itself, the command's whole
process group gets TERM and, GRACE_S seconds later, KILL.  The exit code is the command's, or 128 + n for signal n.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when its parent ends (Linux)."""

POLL_S = 0.05


def main(arguments: list[str]) -> int:
    """Run ``arguments[1:]`` and return its exit code; ``arguments[0]`` is the grace in seconds."""
    grace_s, command = float(arguments[0]), arguments[1:]
    # If this guard is killed too, the kernel at least ends the command itself.
    prepare = _die_with_parent if sys.platform == "linux" else None
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=prepare)  # noqa: PLW1509 - no thread yet

    def end(*_: object) -> None:
        threading.Thread(target=_end_group, args=(process.pid, grace_s), daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    threading.Thread(target=_call_at_end_of_input, args=(end,), daemon=True).start()
    code = process.wait()
    _end_group(process.pid, 0 if code >= 0 else grace_s)
    return code if code >= 0 else 128 - code


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _call_at_end_of_input(end: object) -> None:
    while os.read(0, 4096):
        pass
    assert callable(end)
    end()


def _end_group(group: int, grace_s: float) -> None:
    """Send TERM to the group, wait until it is empty or ``grace_s`` is over, then send KILL."""
    until = time.monotonic() + grace_s
    try:
        os.killpg(group, signal.SIGTERM)
        while time.monotonic() < until:
            time.sleep(POLL_S)
            os.killpg(group, 0)
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # Nobody is left in the group (macOS says EPERM when only zombies are).
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
