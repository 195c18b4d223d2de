"""``python -m edge.pseudonyms --case ID --out FILE``: what a hospital needs to file the results of a study that it sent here.

For the platform.  A study that an appliance has sent comes without identity, and the platform gives it other pseudonyms
nevertheless, as it does everything; its results carry those.  The file says which pseudonym of the appliance each of them
stands for.  With it ``edge.reidentify --pseudonyms FILE`` at the hospital goes from the results to the patient in one step.

The file identifies nobody, because a case is refused that came here under the name of a person.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from algorithms.contract.case import Home
from algorithms.contract.errors import EXIT_OK, DataError
from algorithms.contract.identity import recall
from algorithms.contract.shell import exit_code, log_to_stderr
from algorithms.contract.vault import new_file
from algorithms.dicom.pseudonym import PATIENT
from edge.audit import append
from edge.identities import UIDS

log = logging.getLogger("edge.pseudonyms")

IDENTIFYING = ("AccessionNumber", "PatientBirthDate", "StudyID", "ReferringPhysicianName", "IssuerOfPatientID")
"""Attributes that no study has after de-identification."""


def write_pseudonyms(home: Home, case_id: str, path: Path) -> int:
    """Write the first pseudonyms of a case into a new file and return how many they are.

    Raises
    ------
    DataError
        If the case is not remembered, came with an identity, the audit cannot be written, or there is such a file.
    """
    append(home, "pseudonyms", case_id, 1)
    identity = recall(home, case_id)
    named = {identity.attributes.get(keyword, "") for keyword in ("PatientID", "PatientName")}
    if not all(PATIENT.fullmatch(name) for name in named) or any(identity.attributes.get(keyword) for keyword in IDENTIFYING):
        raise DataError("the case came here under the name of a person; file its results with python -m edge.reidentify")
    try:
        with new_file(path) as file:
            file.write(json.dumps({"case_id": case_id, UIDS: dict(identity.uids)}, indent=1).encode() + b"\n")
    except OSError as error:
        raise DataError(f"the file of pseudonyms cannot be written ({error.strerror}); name a new one") from None
    log.info("case %s: wrote %d pseudonyms", case_id, len(identity.uids))
    return len(identity.uids)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    log_to_stderr()
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _do(options), log)


def _do(options: argparse.Namespace) -> int:
    count = write_pseudonyms(Home(options.home), options.case, options.out)
    print(json.dumps({"case_id": options.case, "pseudonyms": count}))  # noqa: T201 - the command's result
    return EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m edge.pseudonyms",
        description="At the platform: write what a hospital needs to file the results of a study that its appliance has sent.",
    )
    parser.add_argument("--case", required=True, metavar="ID", help="the case id: 16 digits and letters a to f")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="FILE", help="a new file, to go to the hospital with the results"
    )
    parser.add_argument("--home", type=Path, default=Path("data"), metavar="DIR", help="the platform's home (default: data)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
