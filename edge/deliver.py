"""``python -m edge.deliver --results DIR --to ARCHIVE --receipts FILE``: send a case's DICOM objects into an archive.

Each object has a receipt with the archive's last answer.  What was received is not sent again; what failed is tried again, now
and whenever the same command is given; what was refused is tried again by a new command only.  A process that is killed between
the archive's answer and its receipt sends that one object again, which archives know by its UID.

With ``--home`` the objects become the patient's first (`edge.reidentify`), in a folder of that home which is gone at the end.
"""

from __future__ import annotations

import argparse
import json
import logging
import ssl
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from algorithms.contract.case import Case, Home
from algorithms.contract.digest import sha256_path
from algorithms.contract.draft import draft
from algorithms.contract.errors import EXIT_DATA, EXIT_OK, EXIT_TRANSIENT, DataError, TransientError
from algorithms.contract.manifest import MANIFEST, Manifest
from algorithms.contract.shell import exit_code, log_to_stderr
from edge.archive import open_archive
from edge.receipts import FAILED, REFUSED, SENT, Receipts, open_receipts
from edge.reidentify import Wanted, reidentify_results
from edge.tls import Tls, calling

log = logging.getLogger("edge.deliver")

ATTEMPTS = 5
FIRST_WAIT_S = 2.0
"""Pause before the second try; each further one is twice as long."""

ARTEFACT = "dicom_results"
STAGE = "exchange"
PRELIMINARY = "PRELIMINARY"
"""With this begins the description of a series that nobody has released."""


@dataclass(frozen=True)
class Delivery:
    """Where objects go, what they are (UID and sha256), and where the answers are kept."""

    address: str
    objects: Mapping[Path, tuple[str, str]]
    receipts: Receipts
    token: str = ""
    tls: ssl.SSLContext | None = None

    def wanted(self) -> list[Path]:
        """Return what the archive does not have yet."""
        return [path for path, (uid, sha256) in self.objects.items() if self.receipts.wanted(self.address, uid, sha256)]

    def attempt(self, waiting: Sequence[Path]) -> dict[Path, str]:
        """Send what waits, keep each answer, and return the states of what is done with; the rest is to be tried again."""
        done: dict[Path, str] = {}
        try:
            with open_archive(self.address, waiting, self.token, self.tls) as archive:
                for path in waiting:
                    answer = archive.send(path)
                    self.receipts.keep(self.address, *self.objects[path], answer.state, answer.status)
                    if answer.state != FAILED:
                        done[path] = answer.state
        except TransientError as error:
            log.warning("%s", error)
            for path in waiting:
                if path not in done:
                    self.receipts.keep(self.address, *self.objects[path], FAILED, "no answer")
        return done


def deliver(
    paths: Sequence[Path],
    address: str,
    receipts: Receipts,
    *,
    token: str = "",
    tls: ssl.SSLContext | None = None,
    attempts: int = ATTEMPTS,
    wait_s: float = FIRST_WAIT_S,
) -> dict[str, int]:
    """Send the objects in ``paths`` that the archive does not have yet; return how many are in which state.

    Raises
    ------
    DataError
        If the address is none, the archive rejects us, or has another object under the same UID.
    """
    delivery = Delivery(address, {path: (_uid(path), sha256_path(path)) for path in paths}, receipts, token, tls)
    waiting = delivery.wanted()
    there = len(paths) - len(waiting)
    ended: Counter[str] = Counter()
    for attempt in range(1, attempts + 1):
        if not waiting:
            break
        done = delivery.attempt(waiting)
        ended.update(done.values())
        waiting = [path for path in waiting if path not in done]
        if waiting and attempt < attempts:
            log.info("%d of %d objects are not there after attempt %d of %d", len(waiting), len(paths), attempt, attempts)
            time.sleep(wait_s * 2 ** (attempt - 1))
    return {"there_before": there, SENT: ended[SENT], REFUSED: ended[REFUSED], FAILED: len(waiting)}


def objects_of(results: Path, preliminary: bool) -> list[Path]:
    """Return the DICOM files below a folder.

    Raises
    ------
    DataError
        If there is none, or some are of a case that nobody has released and ``preliminary`` is not wished for.
    """
    paths = sorted(path for path in results.rglob("*.dcm") if path.is_file() and not path.is_symlink())
    if not paths:
        raise DataError("the results hold no DICOM object (*.dcm); name the folder with the objects of a case")
    unreleased = sum(_description(path).startswith(PRELIMINARY) for path in paths)
    if unreleased and not preliminary:
        raise DataError(
            f"{unreleased} of {len(paths)} objects are preliminary: nobody has released the case; "
            "release it, or say --preliminary if the archive shall have them"
        )
    return paths


def results_of(case: Path) -> Path:
    """Return the folder with the DICOM objects of a case.

    Raises
    ------
    DataError
        If it has none, or several: the case was answered more than once.
    """
    folders = sorted(path.parent for path in (case / STAGE).glob(f"*/{MANIFEST}"))
    if len(folders) != 1:
        raise DataError(f"the case has {len(folders)} results of its stage {STAGE}, wanted one; name one of them by --results")
    return Manifest.read(folders[0]).output_path(ARTEFACT, folders[0])


def _uid(path: Path) -> str:
    from pydicom import dcmread

    return str(dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True).SOPInstanceUID)


def _description(path: Path) -> str:
    from pydicom import dcmread

    return str(dcmread(path, specific_tags=["SeriesDescription"], stop_before_pixels=True).get("SeriesDescription", ""))


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 75 where something may come through later, 65 where something was refused."""
    log_to_stderr()
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # its lines hold values of what is sent
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _do(options), log)


def _do(options: argparse.Namespace) -> int:
    token = options.token_file.read_text().strip() if options.token_file else ""
    with _results(options) as results, open_receipts(options.receipts) as receipts:
        paths = objects_of(results, options.preliminary)
        done = deliver(paths, options.to, receipts, token=token, tls=_tls(options), attempts=options.attempts)
    print(json.dumps(done))  # noqa: T201 - the command's result
    if done[REFUSED]:
        return EXIT_DATA
    return EXIT_TRANSIENT if done[FAILED] else EXIT_OK


def _tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    files = Tls(*(str(path) if path else None for path in (options.certificate, options.key, options.ca)))
    if bool(files.certificate) != bool(files.key):
        raise DataError("a certificate needs its key, and the key its certificate; give --certificate and --key")
    return calling(files) if options.tls or files != Tls() else None


@contextmanager
def _results(options: argparse.Namespace) -> Iterator[Path]:
    """Give the folder with what is to be sent."""
    results = options.results or results_of(options.case)
    if options.home is None:
        if options.pseudonyms:
            raise DataError("the file of pseudonyms leads to the patient through a vault only; name its home (--home)")
        yield results
        return
    case_id = Case.read(options.case).case_id if options.case else None
    with draft(options.home / "delivering") as folder:
        reidentify_results(Home(options.home), Wanted(results, case_id, options.pseudonyms), folder / "objects")
        yield folder / "objects"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m edge.deliver", description="Send a case's DICOM objects into an archive.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--case", type=Path, metavar="FOLDER", help="the folder of a case; its objects carry pseudonyms")
    source.add_argument("--results", type=Path, metavar="DIR", help="a folder with objects, such as edge.reidentify writes")
    parser.add_argument("--to", required=True, metavar="ARCHIVE", help="AET@host:port, or the https URL of a DICOMweb service")
    parser.add_argument("--receipts", required=True, type=Path, metavar="FILE", help="keeps the archive's answers (SQLite)")
    parser.add_argument(
        "--home", type=Path, metavar="DIR", help="whose vault knows the patient: the objects become the patient's first"
    )
    parser.add_argument(
        "--pseudonyms", type=Path, metavar="FILE", help="with --home: the platform's file, if the study was sent to a platform"
    )
    parser.add_argument("--tls", action="store_true", help="C-STORE over TLS; also by each of the next three")
    parser.add_argument(
        "--ca", type=Path, metavar="FILE", help="issuers of the archive's certificate, PEM (default: the system's)"
    )
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="our certificate, PEM, if the archive demands one")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the key of our certificate, PEM, without a password")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="holds the bearer token of the DICOMweb service")
    parser.add_argument(
        "--attempts", type=int, default=ATTEMPTS, metavar="N", help=f"tries of this command (default: {ATTEMPTS})"
    )
    parser.add_argument("--preliminary", action="store_true", help="send also what nobody has released")
    return parser


if __name__ == "__main__":
    sys.exit(main())
