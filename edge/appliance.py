"""``python -m edge.appliance run CONFIG.yaml``: the thin appliance in a hospital, one process without Airflow.

It receives studies by C-STORE, waits until each is whole, takes identity out, encrypts, uploads and announces it.
``check`` looks at the configuration; ``list``, ``redrive`` and ``discard`` show and move dead letters, ``expect`` says how many
instances a study will have; all of them may be used while it runs.  docs/edge.md says what the configuration may hold and what
happens when.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from algorithms.contract.case import Home
from algorithms.contract.envelope import seal
from algorithms.contract.errors import EXIT_BUG, EXIT_OK, DataError
from algorithms.contract.shell import exit_code, log_to_stderr
from algorithms.dicom.privacy.policy import site_policy
from edge.config import Config
from edge.deidentifier import Deidentifier, by_command
from edge.head import UID
from edge.identities import destroy_outlived
from edge.spool import Spool
from edge.study import DAY_S, Place, work
from edge.tls import listening

log = logging.getLogger("edge.appliance")

T = TypeVar("T")

POLL_S = 1.0
"""Between two looks for studies that are due."""

LOOK_S = 3600.0
"""Between two looks for records of identities that are too old."""

STOP_S = 20.0
"""What open associations and a step under way get to end by themselves; systemd kills after 90 s."""


def run(config: Config, stop: threading.Event, deidentifier: Deidentifier | None = None) -> int:
    """Run until ``stop`` is set and return the exit code.

    Raises
    ------
    DataError
        If another appliance uses the home, a port cannot be listened on, or as `require_usable`.
    """
    from edge.health import HealthPage
    from edge.listener import Listener

    require_usable(config)
    home = Home(config.home)
    secret = home.secret()
    with _only_one(config.home):
        spool = Spool(config.home, bytes.fromhex(secret.read_text().strip()))
        log.info("the spool is in order: %s", json.dumps(spool.recover(time.time())))
        engine = deidentifier or by_command(home, config.deidentify.policy, config.deidentify.limit_s)
        place = Place(config, home, spool, engine, stop)
        broken = threading.Event()
        worker = threading.Thread(target=_work, args=(place, broken), name="worker", daemon=True)
        listener = _opened("listen", lambda: Listener(config.listen, spool))

        def alive() -> dict[str, bool]:
            return {"listener": listener.alive(), "worker": worker.is_alive()}

        health = _opened("health", lambda: HealthPage(spool, config, alive))
        log.info("health page on port %d", health.port)
        worker.start()
        stop.wait()
        log.info("stopping")
        listener.close(STOP_S)
        # What it is at is done again at the next start, so that one who will not wait loses time only.
        worker.join(STOP_S)
        health.close()
        spool.close()
    return EXIT_BUG if broken.is_set() else EXIT_OK


def require_usable(config: Config) -> None:
    """Raise `DataError` where something would be found unusable only when a study is there: key, policy, certificates, home."""
    seal(bytes(32), config.send.seal_for)
    site_policy(Path(config.deidentify.policy) if config.deidentify.policy else None)
    if config.listen.tls:
        listening(config.listen.tls)
    try:
        config.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=config.home):
            pass
    except OSError as error:
        raise DataError(f"home cannot be written ({error.strerror}); make it and give it to this user") from None


def _opened(section: str, open_port: Callable[[], T]) -> T:
    try:
        return open_port()
    except (OSError, OverflowError) as error:
        told = getattr(error, "strerror", None) or "no such port"
        raise DataError(f"{section}.address and {section}.port cannot be listened on ({told}); choose others") from None


def _work(place: Place, broken: threading.Event) -> None:
    """Work until it is time to stop; a bug ends the whole appliance, because one that only receives looks healthy for long."""
    look_at = time.monotonic()
    try:
        while not place.stop.is_set():
            if time.monotonic() >= look_at:
                _forget(place, time.time())
                look_at = time.monotonic() + LOOK_S
            if not _worked(place):
                place.stop.wait(POLL_S)
    except BaseException:
        broken.set()
        place.stop.set()
        raise


def _forget(place: Place, now: float) -> None:
    """Destroy what was kept of studies beyond their originals, when its time is over."""
    keep_days = place.config.keep_identity_days
    destroy_outlived(place.home, keep_days, now)
    try:
        place.spool.forget_sent(now - keep_days * DAY_S)
    except sqlite3.Error as error:
        log.error("the spool's database cannot be written (%s)", type(error).__name__)


def _worked(place: Place) -> int:
    try:
        return work(place)
    except (sqlite3.Error, OSError) as error:
        log.error("the spool cannot be worked on (%s); is its disk full?", type(error).__name__)
        return 0


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError("another appliance uses this home; stop it, or give this one a home of its own") from None
        yield


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    log_to_stderr()
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _do(options), log)


def _do(options: argparse.Namespace) -> int:
    config = Config.read(options.config)
    if options.action == "check":
        require_usable(config)
        _print({"usable": True})
        return EXIT_OK
    if options.action == "run":
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        return run(config, stop)
    spool = Spool(config.home, bytes.fromhex(Home(config.home).secret().read_text().strip()))
    dead = {study.study: study for study in spool.studies() if study.dead}
    if options.action == "list":
        for study in dead.values():
            _print({"id": study.study, "step": study.step, "instances": study.instances, "reason": study.dead})
    elif options.action == "expect":
        uid = sys.stdin.readline().strip() if options.study == "-" else options.study
        if not UID.fullmatch(uid) or options.instances < 1:
            raise DataError(
                "wanted the StudyInstanceUID of the study, digits and dots, and a number of instances of at least 1"
            )
        spool.expect(spool.study_name(uid), options.instances, time.time())
        _print({"expected": options.instances})
    else:
        chosen = set(dead) if options.all else set(options.id)
        if unknown := chosen - set(dead):
            raise DataError(f"{len(unknown)} of {len(chosen)} ids are of no dead letter; see list")
        moved = spool.redrive(chosen) if options.action == "redrive" else spool.discard(chosen)
        _print({options.action: moved})
    return EXIT_OK


def _print(result: dict[str, object]) -> None:
    print(json.dumps(result))  # noqa: T201 - the command's result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m edge.appliance",
        description="The thin appliance: DICOM in, encrypted uploads out.",
        epilog="docs/edge.md has an example of a configuration and all its keys.  Exit codes: 0 done; 65 somebody must mend "
        "what the message says; 75 try again later; 70 a bug.",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    helps = {
        "check": "say whether the configuration can be used; opens no port and sends nothing",
        "run": "receive and send until TERM",
        "list": "show the dead letters, one line of JSON each",
        "redrive": "try dead letters again, after mending what they say",
        "discard": "remove dead letters for good, with their originals",
        "expect": "say how many instances a study will have",
    }
    for name, help in helps.items():
        action = actions.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
        action.add_argument("config", type=Path, metavar="CONFIG", help="the configuration file (YAML)")
        if name in {"redrive", "discard"}:
            which = action.add_mutually_exclusive_group(required=True)
            which.add_argument("--id", nargs="+", metavar="ID", help="dead letters, as list shows them")
            which.add_argument("--all", action="store_true", help="all of them")
        if name == "expect":
            action.add_argument(
                "--study", required=True, metavar="UID", help="its StudyInstanceUID; - reads it from standard input"
            )
            action.add_argument("--instances", required=True, type=int, metavar="N", help="how many instances it has")
    return parser


if __name__ == "__main__":
    sys.exit(main())
