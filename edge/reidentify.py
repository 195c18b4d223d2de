"""``python -m edge.reidentify --case ID --results DIR --out DIR``: file a case's results under the patient again.

For the hospital, before results enter its archive: every DICOM object below the results becomes one of the original study, with
the patient's name and number, and so does the FHIR bundle that ``--fhir`` names.  It runs where the identity was taken out,
because only that home's vault knows it; where a study was de-identified twice, by the hospital and by the platform, each
undoes its own.

Who asks is written into the audit first; without that line nothing is looked up.
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
from edge.audit import append

log = logging.getLogger("edge.reidentify")


def reidentify_case(home: Home, case_id: str, results: Path, out: Path, fhir: Path | None = None) -> int:
    """Write every DICOM object below ``results`` into ``out``, and the bundle ``fhir``, as the patient's; return how many.

    Raises
    ------
    DataError
        If there is none, the audit cannot be written, the case is not remembered, ``out`` holds something, or an object is not
        of the case; nothing is left in ``out`` then.
    """
    from pydicom import dcmread

    from algorithms.dicom.reidentified import reidentify
    from edge.fhir_identity import reidentify_bundle

    paths = sorted(path for path in results.rglob("*.dcm") if path.is_file() and not path.is_symlink())
    if not paths:
        raise DataError("the results hold no DICOM object (*.dcm); name the folder dicom_results of the case's stage exchange")
    if out.exists() and any(out.iterdir()):
        raise DataError("the folder for the patient's objects is not empty; name a new one")
    append(home, "reidentify", case_id, len(paths) + (fhir is not None))
    identity = recall(home, case_id)
    secret = bytes.fromhex(home.secret().read_text().strip())
    own = {str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID) for path in paths}
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    written: list[Path] = []
    try:
        for path in paths:
            dataset = dcmread(path)
            reidentify(dataset, identity, own, secret)
            written.append(out / path.name)
            dataset.save_as(written[-1], enforce_file_format=True)
        if fhir is not None:
            bundle = reidentify_bundle(json.loads(fhir.read_text()), identity, secret)
            written.append(out / "fhir.json")
            written[-1].write_text(json.dumps(bundle, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    log.info("case %s: %d objects are the patient's again", case_id, len(written))
    return len(written)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    log_to_stderr()
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _do(options), log)


def _do(options: argparse.Namespace) -> int:
    count = reidentify_case(Home(options.home), options.case, options.results, options.out, options.fhir)
    print(json.dumps({"case_id": options.case, "objects": count}))  # noqa: T201 - the command's result
    return EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m edge.reidentify", description="File a case's results under the patient again.")
    parser.add_argument("--case", required=True, metavar="ID", help="the case id: 16 digits and letters a to f")
    parser.add_argument("--results", required=True, type=Path, metavar="DIR", help="the folder with the case's DICOM objects")
    parser.add_argument("--fhir", type=Path, metavar="FILE", help="the case's fhir.json, if it shall be the patient's too")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new folder; what it gets identifies a person")
    parser.add_argument(
        "--home", type=Path, default=Path("data"), metavar="DIR", help="whose vault knows the patient (default: data)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
