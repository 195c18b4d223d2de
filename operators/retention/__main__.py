"""``python -m operators.retention shred CASE_ID | restore CASE_ID FOLDER | run``: forget a case, or read its originals back."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from dataclasses import asdict
from pathlib import Path

from algorithms.contract.case import Case
from algorithms.contract.errors import EXIT_OK
from algorithms.contract.shell import exit_code, log_to_stderr
from operators import settings
from operators.case import require_region
from operators.credentials import deployment_store
from operators.results.audit import Action, append
from operators.results.database import transaction
from operators.retention.archive import restore
from operators.retention.inbox import expire
from operators.retention.shred import RESULTS, request, requests, shred
from operators.settings import Settings

log = logging.getLogger("operators.retention")


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 65 a person must act, 70 a bug, 75 try again later."""
    log_to_stderr()
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _done(options), log)


def _done(options: argparse.Namespace) -> int:
    print(json.dumps(_do(options, settings.load())))
    return EXIT_OK


def _do(options: argparse.Namespace, here: Settings) -> dict[str, str | int]:
    if options.command == "shred":
        asked = request(here, options.case_id, options.results)
        if options.now:
            shred(asked, here, deployment_store(here))
        return {"case_id": asked.case_id, "state": "shredded" if options.now else "requested"}
    if options.command == "restore":
        return _restore(options, here)
    store = deployment_store(here)
    asked_for = requests(here.home_folder)
    for asked in asked_for:
        shred(asked, here, store)
    return {"shredded": len(asked_for), **asdict(expire(here, time.time()))}


def _restore(options: argparse.Namespace, here: Settings) -> dict[str, str | int]:
    case = Case.read(here.home_folder.case_folder(options.case_id))
    require_region(case, here)
    number = restore(case, here.home_folder, deployment_store(here), options.folder)
    with transaction(here.results_url) as connection:
        append(connection, action=Action.RESTORED, case_id=case.case_id, site=case.site, detail={"files": number})
    return {"case_id": case.case_id, "files": number}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m operators.retention", description="Forget a case, or read its originals back.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shredding = commands.add_parser("shred", help="ask for a case to be shredded; the DAG retention does it")
    shredding.add_argument("--results", choices=RESULTS, default="keep", help="what becomes of its results (default: keep)")
    shredding.add_argument("--now", action="store_true", help="do it at once")
    restoring = commands.add_parser("restore", help="write the archived originals of a case into a new folder; they identify")
    commands.add_parser("run", help="what the DAG does: shred what was asked for, delete what has expired")
    for command in (shredding, restoring):
        command.add_argument("case_id", metavar="CASE_ID", help="16 hexadecimal digits")
    restoring.add_argument("folder", type=Path, metavar="FOLDER", help="a folder that does not exist")
    return parser


if __name__ == "__main__":
    sys.exit(main())
