"""``python -m edge.reidentify --results DIR --out DIR``: file results under the patient again.

For the hospital, before results enter its archive: every DICOM object below the results becomes one of the original study, with
the patient's name and number, and so does the FHIR bundle that ``--fhir`` names.  It runs where the identity was taken out,
because only that home's vault knows it.  The vault of a platform knows its cases (``--case``); that of an appliance, or of
``algorithms.dicom.deidentify --vault``, knows studies, which the results themselves name.  Where the platform has given a
study of the appliance other pseudonyms, ``--pseudonyms`` is the platform's file about them (`edge.pseudonyms`).

Who asks is written into the audit first; without that line nothing is looked up.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path

from algorithms.contract.case import Home
from algorithms.contract.errors import EXIT_OK, DataError
from algorithms.contract.identity import Identity, is_remembered, recall, record_of
from algorithms.contract.shell import exit_code, log_to_stderr
from edge.audit import append
from edge.identities import behind, pseudonyms

log = logging.getLogger("edge.reidentify")


@dataclass(frozen=True)
class Wanted:
    """What is to be the patient's again, and what leads to the patient.

    ``case_id`` is that of a case of this home; without it the results name their study.  ``pseudonyms`` is the platform's file
    for results of a study that it gave other pseudonyms, ``fhir`` the bundle.
    """

    results: Path
    case_id: str | None = None
    pseudonyms: Path | None = None
    fhir: Path | None = None


def reidentify_results(home: Home, wanted: Wanted, out: Path) -> int:
    """Write every DICOM object of the results into ``out``, and the bundle, as the patient's; return how many.

    Raises
    ------
    DataError
        If there is none, the audit cannot be written, the study is not remembered, ``out`` holds something, or an object is not
        of the study; nothing is left in ``out`` then.
    """
    from pydicom import dcmread

    from algorithms.dicom.reidentified import reidentify
    from edge.fhir_identity import reidentify_bundle

    paths = sorted(path for path in wanted.results.rglob("*.dcm") if path.is_file() and not path.is_symlink())
    if not paths:
        raise DataError("the results hold no DICOM object (*.dcm); name the folder dicom_results of the case's stage exchange")
    if out.exists() and any(out.iterdir()):
        raise DataError("the folder for the patient's objects is not empty; name a new one")
    heads = [dcmread(path, specific_tags=["SOPInstanceUID", "StudyInstanceUID"]) for path in paths]
    identity = _identity(home, wanted, str(heads[0].get("StudyInstanceUID", "")), len(paths) + (wanted.fhir is not None))
    secret = bytes.fromhex(home.secret().read_text().strip())
    own = {str(head.SOPInstanceUID) for head in heads}
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    written: list[Path] = []
    try:
        for path in paths:
            dataset = dcmread(path)
            reidentify(dataset, identity, own, secret)
            written.append(out / path.name)
            dataset.save_as(written[-1], enforce_file_format=True)
        if wanted.fhir is not None:
            bundle = reidentify_bundle(json.loads(wanted.fhir.read_text()), identity, secret)
            written.append(out / "fhir.json")
            written[-1].write_text(json.dumps(bundle, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    log.info("%d objects are the patient's again", len(written))
    return len(written)


def _identity(home: Home, wanted: Wanted, study: str, objects: int) -> Identity:
    """Return who the results are about, whose StudyInstanceUID is ``study``, after a line in the audit."""
    seconds = pseudonyms(wanted.pseudonyms) if wanted.pseudonyms else None
    if seconds is not None and study not in seconds:
        raise DataError("the file of pseudonyms is of another case than the results; ask the platform for that of this case")
    record = wanted.case_id or record_of(home, study if seconds is None else seconds[study])
    append(home, "reidentify", record, objects)
    if not wanted.case_id and not is_remembered(home, record):
        raise DataError(
            "this home's vault knows no study of these results, or no longer; name the case (--case) if they are of a case of "
            "this home, or the platform's file (--pseudonyms) if the study was sent to a platform"
        )
    identity = recall(home, record)
    return identity if seconds is None else behind(identity, seconds)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    log_to_stderr()
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _do(options), log)


def _do(options: argparse.Namespace) -> int:
    wanted = Wanted(options.results, options.case, options.pseudonyms, options.fhir)
    count = reidentify_results(Home(options.home), wanted, options.out)
    print(json.dumps({"case_id": options.case, "objects": count}))  # noqa: T201 - the command's result
    return EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m edge.reidentify", description="File results under the patient again.")
    parser.add_argument("--results", required=True, type=Path, metavar="DIR", help="the folder with the DICOM objects")
    parser.add_argument(
        "--fhir", type=Path, metavar="FILE", help="the fhir.json of the results, if it shall be the patient's too"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new folder; what it gets identifies a person")
    parser.add_argument(
        "--home", type=Path, default=Path("data"), metavar="DIR", help="whose vault knows the patient (default: data)"
    )
    parser.add_argument(
        "--case", metavar="ID", help="the case, 16 digits and letters a to f, if the home is the platform's that answered it"
    )
    parser.add_argument(
        "--pseudonyms",
        type=Path,
        metavar="FILE",
        help="the platform's file (edge.pseudonyms), if the study was sent to a platform",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
