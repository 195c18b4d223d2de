"""``python -m operators.watch``: send where the cases of this deployment are, again and again; or write the dashboard.

It is a process of its own beside Airflow's, with the same configuration.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading

from sqlalchemy.exc import SQLAlchemyError

from algorithms.contract.errors import TransientError
from algorithms.contract.shell import log_to_stderr
from operators import settings
from operators.watch import metrics
from operators.watch.dashboard import dashboard

log = logging.getLogger("operators.watch")


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    log_to_stderr()
    parser = argparse.ArgumentParser("python -m operators.watch", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    cases = commands.add_parser("cases", help="send the gauges until TERM")
    cases.add_argument("--every", type=float, default=15.0, help="seconds from one time to the next (default: 15)")
    cases.add_argument("--once", action="store_true", help="send them once and end")
    commands.add_parser("dashboard", help="write the Grafana dashboard to standard output")
    options = parser.parse_args(arguments)
    if options.command == "dashboard":
        print(json.dumps(dashboard(), indent=2))
        return 0
    return watch(options.every, once=options.once)


def watch(every_s: float, *, once: bool) -> int:
    """Send the gauges until the process is asked to end; a database that is away for a time is no reason to stop."""
    from operators.watch.deployment import tell  # imports Airflow's models, which the dashboard does without

    metrics.prepare()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while True:
        try:
            tell(settings.load())
        except (SQLAlchemyError, TransientError) as error:
            # Its text may hold a statement with values.
            log.warning("a database does not answer (%s)", type(error).__name__)
            if once:
                return 75
        if once or stop.wait(every_s):
            return 0


if __name__ == "__main__":
    sys.exit(main())
