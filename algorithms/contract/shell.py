"""The outermost frame of a command: what went wrong becomes a sentence on standard error and an exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from algorithms.contract.errors import EXIT_CODES, failure_kind


def log_to_stderr(level: int = logging.INFO) -> None:
    """Write log lines to standard error; standard output is for results."""
    root = logging.getLogger()
    # Airflow sets such a handler when it is imported.
    for handler in [h for h in root.handlers if getattr(h, "stream", None) is sys.stdout]:
        root.removeHandler(handler)
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def exit_code(command: Callable[[], int], log: logging.Logger) -> int:
    """Run a command and return its exit code: its own, or 65 a person must act, 70 a bug, 75 try again later."""
    try:
        return command()
    except Exception as error:  # noqa: BLE001 - the outermost frame: every failure becomes an exit code
        return told(error, log)


def told(error: BaseException, log: logging.Logger) -> int:
    """Log what went wrong, with a traceback where a developer must act, and return the exit code that it means."""
    kind = failure_kind(error)
    # The text of an operating-system error names files; its reason alone does not.
    message = error.strerror if isinstance(error, OSError) else str(error)
    log.error("%s", message, exc_info=error if kind == "bug" and not isinstance(error, OSError) else None)
    return EXIT_CODES[kind]
