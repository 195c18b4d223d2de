"""Take the patient's identity out of the chosen series, and prove on every written byte that it is gone.

Every image is rebuilt from an allow-list in a confined child process; then this process searches all output for every text
that was taken out (`algorithms.dicom.privacy`).  A finding stops the case.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from algorithms.contract.errors import DataError
from algorithms.dicom.confinement import Confinement
from algorithms.dicom.headers import Header, read_named
from algorithms.dicom.privacy.policy import DEFAULT
from algorithms.dicom.privacy.study import Cleaned, cleaned, manifest, proved, told
from algorithms.dicom.privacy.subject import Subject, patient_key
from algorithms.dicom.pseudonym import digest
from algorithms.dicom.series import require_one_patient_and_study, slice_position_mm

log = logging.getLogger(__name__)


def run(inputs: Mapping[str, Path], out: Path) -> dict[str, float | int | str]:
    """Write the folder ``dicom`` and ``privacy.json`` from the study, its selection and the site's secret."""
    secret = bytes.fromhex(inputs["secret"].read_text().strip())
    names = json.loads(inputs["selection"].read_text())["instances"]
    target = out / "dicom"
    target.mkdir()
    with Confinement() as confinement:
        headers = read_named(confinement, inputs["study"], names)
        require_one_patient_and_study(headers)
        done = cleaned(confinement, (inputs["study"], target), _named(headers), _subject(headers, secret), DEFAULT)
    _require_whole(done, len(headers))
    scan, leaks = proved([done], sorted(target.iterdir()), DEFAULT)
    if leaks:
        raise DataError(
            f"values of removed attributes were found in the de-identified output ({told(leaks)}); the case is stopped and "
            "nothing is published; send the series without that content and report this to the operator"
        )
    document = manifest(done.actions, len(headers), {}, scan, DEFAULT)
    (out / "privacy.json").write_text(json.dumps(document, indent=1) + "\n")
    log.info(
        "searched %d files, %.1f MB, for %d values: none found", scan["files"], scan["bytes"] / 1e6, scan["values_searched"]
    )
    return {
        "files": len(headers),
        "elements_removed": sum(count for (_, action), count in done.actions.items() if action == "X"),
        "elements_replaced": sum(count for (_, action), count in done.actions.items() if action in {"Z", "D", "U", "C"}),
        "values_searched": scan["values_searched"],
        "values_found": 0,
    }


def _named(headers: Sequence[Header]) -> list[list[str]]:
    """Return each file with its new name, in the order of their positions."""
    order = sorted(headers, key=lambda h: (slice_position_mm(h) or 0.0, h.number("InstanceNumber") or 0.0, h.file))
    width = max(4, len(str(len(order))))
    return [[header.file, f"{index:0{width}d}.dcm"] for index, header in enumerate(order, start=1)]


def _subject(headers: Sequence[Header], secret: bytes) -> Subject:
    """Return whose series it is."""
    patient = patient_key(
        {header.text("PatientID") for header in headers},
        {header.text(keyword) for keyword in ("PatientName", "PatientBirthDate") for header in headers},
        {header.text("StudyInstanceUID") for header in headers},
    )
    study = digest(secret, "study", "\n".join(sorted(h.text("SOPInstanceUID") for h in headers))).hex()
    return Subject(secret, patient, study)


def _require_whole(done: Cleaned, files: int) -> None:
    """Raise `DataError` if an image was refused: a series with a hole cannot be answered."""
    if done.refused:
        kind, message = sorted(done.refused.values())[0]
        raise DataError(f"{len(done.refused)} of {files} images of the series were refused ({kind}): {message}")
