"""``python -m operators.results upgrade | verify | reader ROLE SITE | writer ROLE``: look after the results database."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import asdict

from algorithms.contract.errors import EXIT_DATA, EXIT_OK
from algorithms.contract.shell import exit_code, log_to_stderr
from algorithms.contract.store import Store, open_store
from operators import settings
from operators.credentials import deployment_store
from operators.results.database import transaction, upgrade
from operators.results.heads import verify
from operators.results.roles import let_read, let_write

log = logging.getLogger("operators.results")


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 65 a person must act, 70 a bug, 75 try again later."""
    log_to_stderr()
    options = _parser().parse_args(arguments)
    url = options.url or settings.load().results_url
    return exit_code(lambda: _do(options, url), log)


def _do(options: argparse.Namespace, url: str) -> int:
    if options.command == "upgrade":
        upgrade(url)
        log.info("the results database is at the newest revision")
        return EXIT_OK
    if options.command == "verify":
        return _verify(url, open_store(options.store) if options.store else deployment_store(settings.load()))
    with transaction(url) as connection:
        if options.command == "reader":
            let_read(connection, options.role, options.site)
        else:
            let_write(connection, options.role)
    log.info("granted")
    return EXIT_OK


def _verify(url: str, store: Store) -> int:
    with transaction(url) as connection:
        verified = verify(connection, store)
    print(json.dumps(asdict(verified)))
    for finding in verified.findings:
        log.error("audit line %d: %s", finding.number, finding.what)
    return EXIT_DATA if verified.findings else EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m operators.results", description="Look after the results database.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("upgrade", help="bring the tables to the newest revision")
    verifying = commands.add_parser("verify", help="hold the audit against its hashes and the published heads")
    verifying.add_argument("--store", metavar="URI", help="where the heads are (default: [heartwood] store)")
    reader = commands.add_parser("reader", help="let a role of PostgreSQL read the rows of a site")
    writer = commands.add_parser("writer", help="let a role of PostgreSQL do the platform's work")
    for command in (reader, writer):
        command.add_argument("role", metavar="ROLE", help="its name on the server")
    reader.add_argument("site", metavar="SITE", help="code of the site")
    for command in commands.choices.values():
        command.add_argument("--url", help="SQLAlchemy URL (default: [heartwood] results)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
