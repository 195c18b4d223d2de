"""Take the patient's identity out of the chosen series, and prove on every written byte that it is gone.

Every image is rebuilt from an allow-list in a confined child process (`algorithms.dicom.deidentification`); then this
process searches all output for every text that was taken out (`algorithms.dicom.residue`).  A finding stops the case.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from algorithms.contract.errors import DataError
from algorithms.dicom.confidentiality import EDITION
from algorithms.dicom.confinement import Confinement
from algorithms.dicom.ct_policy import OPTIONS
from algorithms.dicom.deidentification import Taken, written_tags
from algorithms.dicom.headers import Header, read_named
from algorithms.dicom.pseudonym import digest
from algorithms.dicom.residue import Proof, wanted
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
        actions, taken, kept, dates = _write(confinement, inputs["study"], target, headers, secret)
    searched = wanted(taken, kept, dates)
    proof = Proof(searched, written_tags())
    _prove(target, proof)
    document = _privacy(actions, len(headers), len(searched), proof.bytes_searched)
    (out / "privacy.json").write_text(json.dumps(document, indent=1) + "\n")
    log.info("searched %d files, %.1f MB, for %d values: none found", len(headers), proof.bytes_searched / 1e6, len(searched))
    removed = sum(count for (_, action), count in actions.items() if action == "X")
    return {
        "files": len(headers),
        "elements_removed": removed,
        "elements_replaced": sum(count for (_, action), count in actions.items() if action in {"Z", "D", "U", "C"}),
        "values_searched": len(searched),
        "values_found": 0,
    }


def _write(
    confinement: Confinement, study: Path, target: Path, headers: Sequence[Header], secret: bytes
) -> tuple[Counter[tuple[str, str]], list[Taken], set[str], set[str]]:
    """Write the images in the order of their positions, and return what was done and taken out."""
    order = sorted(headers, key=lambda h: (slice_position_mm(h) or 0.0, h.number("InstanceNumber") or 0.0, h.file))
    width = max(4, len(str(len(order))))
    items = [[header.file, f"{index:0{width}d}.dcm"] for index, header in enumerate(order, start=1)]
    context = {
        "source": str(study),
        "target": str(target),
        "secret": secret.hex(),
        "patient": patient_key(headers),
        "study": digest(secret, "study", "\n".join(sorted(h.text("SOPInstanceUID") for h in headers))).hex(),
    }
    actions: Counter[tuple[str, str]] = Counter()
    taken: dict[Taken, None] = {}
    kept: set[str] = set()
    dates: set[str] = set()
    for answer in confinement.map("algorithms.dicom.deidentification:deidentify_file", context, items):
        if answer.failure:
            raise DataError(f"an image of the series cannot be read safely ({answer.failure}); ask the site to resend it")
        done: dict[str, Any] = answer.value
        actions.update({(keyword, action): count for keyword, action, count in done["actions"]})
        taken.update(dict.fromkeys(Taken(*entry) for entry in done["taken"]))
        kept.update(done["kept"])
        dates.update(done["dates"])
    return actions, list(taken), kept - {""}, dates


def patient_key(headers: Sequence[Header]) -> str:
    """Return what one patient is known by at the site: the PatientID, or name and birth date where there is none."""
    identifiers = sorted({header.text("PatientID") for header in headers} - {""})
    if identifiers:
        return identifiers[0]
    others = {header.text(keyword) for keyword in ("PatientName", "PatientBirthDate") for header in headers} - {""}
    return "\n".join(sorted(others or {header.text("StudyInstanceUID") for header in headers}))


def _prove(target: Path, proof: Proof) -> None:
    """Raise `DataError` if an output file holds a value that was taken out; says of which attribute, never which value."""
    leaks: Counter[str] = Counter()
    for path in sorted(target.iterdir()):
        leaks.update(proof.leaks(path.read_bytes()))
    if leaks:
        named = ", ".join(f"{keyword} in {count} files" for keyword, count in sorted(leaks.items()))
        raise DataError(
            f"values of removed attributes were found in the de-identified output ({named}); the case is stopped and "
            "nothing is published; send the series without that content and report this to the operator"
        )


def _privacy(actions: Mapping[tuple[str, str], int], files: int, searched: int, bytes_searched: int) -> dict[str, Any]:
    """Return ``privacy.json``: counts by attribute and action, the policy and the result of the search; no values."""
    attributes: dict[str, dict[str, int]] = {}
    for (keyword, action), count in sorted(actions.items()):
        attributes.setdefault(keyword, {})[action] = count
    return {
        "profile": "DICOM PS3.15 Annex E, Basic Application Level Confidentiality Profile",
        "edition": EDITION,
        "options": [{"code": code, "meaning": meaning} for code, meaning in sorted(option.value for option in OPTIONS)],
        "policy": "allow-list: an attribute that is not listed is removed; UIDs by keyed hash; dates shifted by one keyed "
        "offset per patient; times removed; ages above 89 years grouped; private attributes and overlays removed",
        "actions": {"X": "removed", "Z": "emptied", "D": "replaced", "U": "UID replaced", "C": "cleaned", "K": "kept"},
        "attributes": attributes,
        "files": files,
        "scan": {"files": files, "bytes": bytes_searched, "values_searched": searched, "values_found": 0},
    }
