"""De-identify any folder of DICOM files: ``python -m algorithms.dicom.deidentify IN OUT --key-file KEY``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import secrets
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from algorithms.contract.case import Home
from algorithms.contract.errors import EXIT_DATA, EXIT_OK, DataError
from algorithms.contract.shell import exit_code, log_to_stderr
from algorithms.dicom.privacy.folder import deidentify_folder
from algorithms.dicom.privacy.policy import site_policy

log = logging.getLogger("algorithms.dicom.deidentify")

EXPLAINED = """\
IN may hold any files in any folders, several patients and studies mixed.  Original CT and MR images are written to

    OUT/<patient>/<study>/<series>/0001.dcm ...    in the order of their positions, all names made anew
    OUT/<patient>/<study>/privacy.json             what was done to each attribute, and what was searched; no values

Whatever may show or hold text (captures, dose sheets, localizers, reports) is refused unless the policy chooses the option that
cleans it, and so are damaged files: a refused file is counted by reason in the summary, and copied to the quarantine folder, if
one is given, under a new name beside a file with the reason.
The quarantine holds identifying data.  IN is never changed.

Before anything appears in OUT, every byte written for a patient is searched for every value that was taken out of that
patient's files.  If one is found, nothing of that patient appears.  A run that is killed leaves a hidden folder in OUT with
images that were not searched; run it again, or delete OUT.

With --vault, DIR/vault keeps who each study is about, sealed (mode 0600), so that results can be filed under the patient again:
python -m edge.reidentify --home DIR.  Without it nothing leads back.

The key makes all pseudonyms: the same key gives the same patient the same pseudonym, UIDs and date shift in every run.
Keep it secret; whoever has it can tell whether a pseudonym belongs to a known identifier.

exit codes: 0 done (some files may have been refused: see the summary); 65 nothing could be de-identified, or a value was
found in a patient's output; 75 try again later; 70 a bug
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    command = argparse.ArgumentParser(
        prog="python -m algorithms.dicom.deidentify",
        description="Take the identity out of DICOM images, and prove that it is gone (PS3.15 Annex E).",
        epilog=EXPLAINED,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("source", type=Path, metavar="IN", help="folder to read; every file below it")
    command.add_argument(
        "target", type=Path, metavar="OUT", help="folder to write; must be empty or missing, but for what a killed run left"
    )
    command.add_argument(
        "--key-file", type=Path, required=True, metavar="KEY",
        help="secret of the pseudonyms, 64 hexadecimal digits, readable by its owner only; made where it is missing",
    )  # fmt: skip
    command.add_argument(
        "--policy", type=Path, metavar="FILE",
        help="a site's policy in YAML (docs/privacy.md); default: basic profile, dates shifted, age, sex, size, weight kept",
    )  # fmt: skip
    command.add_argument(
        "--quarantine",
        type=Path,
        metavar="DIR",
        help="folder for refused files and their reasons; default: they stay in IN only",
    )
    command.add_argument(
        "--vault", type=Path, metavar="DIR",
        help="home whose vault (DIR/vault) shall remember who each study is about; default: nothing is remembered",
    )  # fmt: skip
    return command


def key_of(path: Path) -> bytes:
    """Return the key in a file; a new one is made where there is no file.

    Raises
    ------
    DataError
        If others may read the file, or it holds no key.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
        log.info("made a new key file")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise DataError(f"the key file has mode {mode:04o}, wanted 0600: others can read it; run chmod 600 on it")
    try:
        key = bytes.fromhex(path.read_text().strip())
    except (ValueError, UnicodeDecodeError):
        key = b""
    if len(key) < 32:
        raise DataError("the key file holds no key, wanted 64 hexadecimal digits; name another file, or a new one to be made")
    return key


def _require_apart(source: Path, target: Path, quarantine: Path | None, key: Path, vault: Path | None) -> None:
    """Raise `DataError` if what identifies would lie in what leaves, or the next run would read what this one writes."""
    places = {"IN": source.resolve(), "OUT": target.resolve(), "the key file": key.resolve()}
    if quarantine is not None:
        places["the quarantine"] = quarantine.resolve()
    if vault is not None:
        places["the vault"] = vault.resolve() / "vault"
    apart = [("IN", "OUT"), ("OUT", "IN"), ("the key file", "OUT"), ("the quarantine", "OUT"), ("OUT", "the quarantine"),
             ("the quarantine", "IN"), ("the vault", "OUT"), ("OUT", "the vault"), ("the vault", "IN")]  # fmt: skip
    for inner, outer in apart:
        if inner in places and outer in places and places[inner].is_relative_to(places[outer]):
            raise DataError(f"{inner} lies in {outer}; originals and results must be apart, name another place")


def run(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for, and write the summary to standard output."""
    given = parser().parse_args(arguments)
    policy = site_policy(given.policy)
    if not given.source.is_dir():
        raise DataError("IN is no folder; name a folder with DICOM files")
    _require_apart(given.source, given.target, given.quarantine, given.key_file, given.vault)
    home = Home(given.vault) if given.vault else None
    summary = deidentify_folder(given.source, given.target, key_of(given.key_file), policy, given.quarantine, home=home)
    sys.stdout.write(json.dumps(summary) + "\n")
    if summary["patients_stopped"]:
        log.error(
            "values of removed attributes were found in the output of %d patients (%s); nothing of them was written; "
            "report this to the operator", summary["patients_stopped"], summary["values_found_in"],
        )  # fmt: skip
        return EXIT_DATA
    if not summary["files_written"]:
        log.error("none of %d files could be de-identified; the summary counts the reasons", summary["files_read"])
        return EXIT_DATA
    return EXIT_OK


def main() -> int:
    """Run the command, and turn failures into exit codes."""
    log_to_stderr()
    return exit_code(run, log)


if __name__ == "__main__":
    sys.exit(main())
