"""``python -m operators.intake list|redrive|discard``: what to do with arrivals that could not be admitted."""

from __future__ import annotations

import argparse
import json
import logging
import sys

from algorithms.contract.errors import EXIT_DATA, EXIT_OK, DataError
from algorithms.contract.shell import exit_code, log_to_stderr
from operators import settings
from operators.intake.arrivals import Letter
from operators.intake.ways import arrivals, ways
from operators.results.audit import Action, append
from operators.results.database import transaction
from operators.settings import Settings

log = logging.getLogger("operators.intake")

COMMANDS = {
    "list": "show the dead letters, one line of JSON each",
    "redrive": "let them arrive again, once what they were refused for is mended",
    "discard": "remove them for good",
}


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 65 a person must act, 70 a bug, 75 try again later."""
    log_to_stderr()
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _do(options, settings.load()), log)


def _do(options: argparse.Namespace, here: Settings) -> int:
    found: set[str] = set()
    code = EXIT_OK
    for way in ways(here):
        place = arrivals(way, here)
        with place.letters() as letters:
            chosen = [
                letter for letter in letters if options.command == "list" or options.all or letter.letter_id in options.id
            ]
            found |= {letter.letter_id for letter in chosen}
            for letter in chosen:
                print(json.dumps(_shown(way, letter)))
                try:
                    if options.command == "redrive":
                        place.redrive(letter)
                        _record(way, letter, here)
                    elif options.command == "discard":
                        place.discard(letter)
                except DataError as error:
                    log.error("%s: %s", letter.letter_id, error)
                    code = EXIT_DATA
    if missing := set(options.id) - found:
        log.error("no such dead letters: %s", ", ".join(sorted(missing)))
        return EXIT_DATA
    return code


def _record(way: str, letter: Letter, here: Settings) -> None:
    assert letter.message is not None
    detail = {"way": way, "upload": letter.message.upload}
    with transaction(here.results_url) as connection:
        append(connection, action=Action.REDRIVEN, case_id=None, site=letter.message.site, detail=detail)


def _shown(way: str, letter: Letter) -> dict[str, str]:
    known = {"upload": letter.message.upload, "site": letter.message.site} if letter.message else {}
    return {"id": letter.letter_id, "way": way, "reason": letter.reason, **known}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m operators.intake", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help in COMMANDS.items():
        command = commands.add_parser(name, help=help, description=help)
        command.set_defaults(id=[], all=False)
        if name != "list":
            which = command.add_mutually_exclusive_group(required=True)
            which.add_argument("--id", nargs="+", default=[], metavar="ID", help="these")
            which.add_argument("--all", action="store_true", help="every one")
    return parser


if __name__ == "__main__":
    sys.exit(main())
