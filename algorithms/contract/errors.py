"""The kinds of failure, told apart by who must act.

::

    DataError        a person must act: the site resends, the physician decides       exit 65, never retried
    TransientError   the same call may succeed later: network, disk, memory           exit 75, retried
    anything else    a bug: a developer must act                                      exit 70, traceback kept

The exit codes are those of ``sysexits.h``.  A message never holds a value taken from a patient's file:
case ids, counts and measurements only.
"""

from __future__ import annotations

import errno

EXIT_OK = 0
EXIT_USAGE = 64
EXIT_DATA = 65
EXIT_BUG = 70
EXIT_TRANSIENT = 75


class DataError(Exception):
    """The input cannot be answered; the message says what was found, what was wanted and what to do."""


class TransientError(Exception):
    """The same call may succeed later."""


TRANSIENT_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.ETIMEDOUT, errno.EIO, errno.ENOMEM})
"""Operating-system errors that pass when somebody frees space or the file server comes back."""


def failure_kind(error: BaseException) -> str:
    """Return ``"data"``, ``"transient"`` or ``"bug"``: who must act on ``error``."""
    if isinstance(error, DataError):
        return "data"
    if isinstance(error, TransientError | MemoryError):
        return "transient"
    if isinstance(error, OSError) and error.errno in TRANSIENT_ERRNOS:
        return "transient"
    return "bug"


EXIT_CODES = {"data": EXIT_DATA, "transient": EXIT_TRANSIENT, "bug": EXIT_BUG}
"""Exit code of each failure kind."""
