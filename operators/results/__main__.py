"""``python -m operators.results upgrade``: bring the results database of this deployment to the newest revision."""

from __future__ import annotations

import argparse
import logging
import sys

from operators import settings
from operators.results.database import upgrade

log = logging.getLogger("operators.results")


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    parser = argparse.ArgumentParser("python -m operators.results", description=__doc__)
    parser.add_argument("command", choices=["upgrade"])
    parser.add_argument("--url", help="SQLAlchemy URL (default: [heartwood] results of the Airflow configuration)")
    options = parser.parse_args(arguments)
    upgrade(options.url or settings.load().results_url)
    log.info("the results database is at the newest revision")
    return 0


if __name__ == "__main__":
    sys.exit(main())
