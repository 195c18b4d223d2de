"""A command's outermost frame: who must act is in the exit code, and nothing of a file's name in the log."""

from __future__ import annotations

import errno
import logging
import subprocess
import sys

import pytest

from algorithms.contract.errors import DataError, TransientError
from algorithms.contract.shell import exit_code

log = logging.getLogger("a command")


def failing(error: BaseException) -> int:
    """Raise it, as a command would."""
    raise error


@pytest.mark.parametrize(
    ("error", "code", "traceback"),
    [
        pytest.param(DataError("no such case; make it"), 65, False, id="a person must act"),
        pytest.param(TransientError("the server is busy"), 75, False, id="later"),
        pytest.param(OSError(errno.ENOSPC, "No space left on device"), 75, False, id="full disk"),
        pytest.param(ValueError("radius_mm must be positive"), 70, True, id="a bug"),
    ],
)
def test_a_failure_is_a_sentence_and_an_exit_code(caplog, error, code, traceback):
    """The codes of sysexits.h that the contract names; a traceback is for developers only."""
    assert code == exit_code(lambda: failing(error), log)

    assert [(error.strerror if isinstance(error, OSError) else str(error), traceback)] == [
        (r.getMessage(), bool(r.exc_info)) for r in caplog.records
    ]


def test_an_error_of_the_operating_system_names_no_file(caplog):
    """Files of a study are often called by the patient's name."""
    assert exit_code(lambda: failing(PermissionError(errno.EACCES, "Permission denied", "/inbox/DOE^JANE.dcm")), log) == 70

    assert "DOE" not in caplog.text


def test_a_command_that_ends_well_keeps_its_own_code():
    """`verify` answers 65 without an error when it finds something."""
    assert [0, 65] == [exit_code(lambda: 0, log), exit_code(lambda: 65, log)]


def test_standard_output_is_for_results_whoever_logged_there_before():
    """Airflow sets a handler on standard output when it is imported, and JSON with log lines in it is none."""
    code = "import logging, sys; from algorithms.contract.shell import log_to_stderr; "
    airflow = "logging.basicConfig(stream=sys.stdout, level='INFO'); "
    told = subprocess.run(
        [sys.executable, "-c", f"{code}{airflow}log_to_stderr(); logging.info('found')"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert told.stdout == ""
    assert "INFO root: found" in told.stderr
