"""Write the answer for other systems: DICOM objects that belong to the study, and a FHIR bundle; all from ``result.json``.

What a case can give depends on how far it came: a case refused at the door has a bundle and no DICOM, one refused later has
its report as a document, and one with a vessel tree has everything.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.coronary.coded import codes
from algorithms.coronary.coded.bundle import TITLE, coronary_bundle
from algorithms.coronary.coded.findings import findings
from algorithms.coronary.coded.labels import in_frames, vessel_labels
from algorithms.coronary.grid import read_grid
from algorithms.coronary.pipeline import EXCHANGE
from algorithms.coronary.report import read_pictures
from algorithms.dicom.hounsfield import read_headers, series_grid
from algorithms.dicom.results.capture import key_picture
from algorithms.dicom.results.document import encapsulated_pdf
from algorithms.dicom.results.origin import Origin, read_images, write_object
from algorithms.dicom.results.seg import Segment, segmentation
from algorithms.dicom.results.sr import Measured, structured_report
from algorithms.report.raster import svg_png

log = logging.getLogger(__name__)

PRODUCT = "Heartwood coronary"
SEGMENTER = "Heartwood coronary lumen"
MODEL = "Heartwood FFR-CT"

LEFT_OUT = "quality"
"""Kind of picture that shows slices of the study, which is in the archive anyway."""

DRAWING_PX = 1400
"""Width of a drawing that was made of lines, in pixels: that of the reformations beside it."""

Objects = dict[str, Dataset]
"""The DICOM objects by the name of their file."""


def run(inputs: Mapping[str, Path], out: Path) -> dict[str, float | int | str]:
    """Write the folder ``dicom_results``, with ``contents.json`` naming its objects, and ``fhir.json``; return counts."""
    if "result" not in inputs:
        raise DataError("the stage report left no result; run it again, then this stage")
    result = json.loads(inputs["result"].read_text())
    seed = _seed(inputs)
    folder = out / "dicom_results"
    folder.mkdir()
    origin: Origin | None = None
    found: list[Measured] = []
    made: Objects = {}
    if "dicom" in inputs:
        paths = sorted(inputs["dicom"].iterdir())
        origin = Origin(read_images(paths), seed, PRODUCT, result["heartwood"], bool(result["released"]))
        found, made, lacking = _objects(inputs, result, origin)
    else:
        lacking = ["no DICOM object: the study was refused before it was de-identified"]
    for name, dataset in made.items():
        write_object(dataset, folder / name)
    (folder / "contents.json").write_text(json.dumps(_contents(result, origin, made, lacking), indent=1) + "\n")
    bundle = coronary_bundle(result, seed, origin, found, list(made.values()))
    (out / "fhir.json").write_text(json.dumps(bundle, indent=1) + "\n")
    size_mb = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    log.info("%d DICOM objects, %.1f MB, %d findings, %d resources", len(made), size_mb, len(found), len(bundle["entry"]))
    return {"objects": len(made), "findings": len(found), "resources": len(bundle["entry"]), "not_made": len(lacking)}


def _seed(inputs: Mapping[str, Path]) -> str:
    """Return what stands for the content: the hashes of what the objects are made of, and of the stage that makes them."""
    listing = {name: sha256_path(inputs[name]) for name in ("result", "pdf", "lumen", "pictures") if name in inputs}
    return hashlib.sha256(json.dumps([EXCHANGE.version, listing]).encode()).hexdigest()


def _objects(
    inputs: Mapping[str, Path], result: Mapping[str, Any], origin: Origin
) -> tuple[list[Measured], Objects, list[str]]:
    """Return the findings, the objects, and why some are not there."""
    made: Objects = {}
    lacking: list[str] = []
    numbers: dict[str, int] = {}
    if not origin.framed:
        lacking.append("no segmentation and no points: the images state no frame of reference")
    elif "lumen" in inputs and result["branches"]:
        made["segmentation.dcm"], numbers = lumen_segmentation(inputs, result, origin)
    else:
        lacking.append("no segmentation: the case has no vessel tree")
    found = findings(result, origin.uid, numbers)
    if found:
        made["measurements.dcm"] = structured_report(origin, found, made.get("segmentation.dcm"), codes.PROCEDURE, MODEL)
    else:
        lacking.append("no structured report: nothing was measured, or it is withheld")
    made["report.dcm"] = encapsulated_pdf(origin, inputs["pdf"].read_bytes(), TITLE, codes.REPORT_DOCUMENT)
    shown = {"pictures": inputs["pictures"]} if "pictures" in inputs else {}
    pictures, _ = read_pictures(shown, bool(result["ffr_withheld"]))
    kept = [(entry, picture.data) for entry, picture in pictures if entry["kind"] != LEFT_OUT]
    for number, (entry, data) in enumerate(kept, start=1):
        pixels = svg_png(data, DRAWING_PX) if entry["path"].endswith(".svg") else data
        made[f"picture-{number:02d}.dcm"] = key_picture(origin, pixels, entry["name"], number, entry["caption"])
    if not kept:
        lacking.append("no key pictures: none were drawn")
    return found, made, lacking


def lumen_segmentation(inputs: Mapping[str, Path], result: Mapping[str, Any], origin: Origin) -> tuple[Dataset, dict[str, int]]:
    """Return the segmentation of the lumen by vessel, and the number of each vessel's segment."""
    lumen = read_grid(inputs["lumen"])
    labels = vessel_labels(lumen, result["branches"])
    first = origin.images[0]
    shape = (len(origin.images), int(first.Rows), int(first.Columns))
    frames = in_frames(lumen.with_values(labels), series_grid(read_headers(inputs["dicom"])), shape)
    present = np.flatnonzero(np.bincount(frames.ravel(), minlength=len(result["branches"]) + 1)[1:]) + 1
    renumbered = np.zeros(len(result["branches"]) + 1, dtype=np.uint8)
    renumbered[present] = np.arange(1, len(present) + 1)
    names = [result["branches"][number - 1]["name"] for number in present]
    segments = [Segment(name, codes.vessel_code(name), origin.uid("tracking", name)) for name in names]
    described = "Coronary lumen by vessel"
    dataset = segmentation(origin, renumbered[frames], segments, described, (SEGMENTER, codes.ALGORITHM_FAMILY))
    return dataset, {name: number for number, name in enumerate(names, start=1)}


def _contents(
    result: Mapping[str, Any], origin: Origin | None, made: Mapping[str, Dataset], lacking: list[str]
) -> dict[str, Any]:
    """Return what is in the folder and what is not, for whoever sends it on."""
    entries = [
        {
            "file": name,
            "SOPClassUID": str(dataset.SOPClassUID),
            "SOPInstanceUID": str(dataset.SOPInstanceUID),
            "SeriesInstanceUID": str(dataset.SeriesInstanceUID),
            "SeriesDescription": str(dataset.SeriesDescription),
        }
        for name, dataset in made.items()
    ]
    study = None if origin is None else str(origin.images[0].StudyInstanceUID)
    return {
        "case_id": result["case_id"],
        "verdict": result["verdict"],
        "released": result["released"],
        "StudyInstanceUID": study,
        "objects": entries,
        "not_made": lacking,
    }
