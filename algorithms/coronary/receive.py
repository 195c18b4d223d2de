"""Choose the one CT series of a study that can be answered, and say why.

What cannot be a coronary volume is left out with a reason (localisers, reformats, screen saves, enhanced multi-frame
objects, matrices that no scanner makes).  What remains is ranked by the rules of `ranking`, the first rule first; the list is
kept in that order, so "series 2" of a case is the next best.  Only headers are read; whether the volume is good enough is
the volume stage's judgement, on pixels.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.dicom.headers import Folder, read_folder
from algorithms.dicom.hounsfield import LARGEST_MATRIX
from algorithms.dicom.kernel import kernel_class, kernel_name
from algorithms.dicom.series import (
    CT_IMAGE_STORAGE,
    CT_STORAGES,
    Series,
    modality_counts,
    normal,
    require_one_patient_and_study,
    slice_position_mm,
    split_series,
)

log = logging.getLogger(__name__)

THIN_MM = 1.0
"""Thickest slice that shows a coronary lumen of 2-4 mm; an own bound, scanners reconstruct 0.5-0.75 mm."""

COMPLETE_MM = 80.0
"""Shortest stack that may show a whole heart; ranks a full series before a part of one, the volume stage judges."""

LEAST_SLICES = 3
"""Fewer images are no stack (test bolus, premonitoring, dose sheet)."""

AXIAL_COSINE = 0.94
"""Least |cosine| between slice normal and body axis, 20 degrees: a tilted gantry stays, a reformat does not."""

DIASTOLE_PERCENT = (65.0, 85.0)
"""Phases of the R-R interval with least motion at low heart rates, round the usual 70-80 %."""

SYSTOLE_PERCENT = (30.0, 50.0)
"""The second quiet window, at the end of systole, used at high heart rates."""


@dataclass(frozen=True)
class Candidate:
    """A series with its facts, and the reason why it cannot be taken (empty where it can)."""

    series: Series
    facts: dict[str, Any]
    refused: str


def run(inputs: Mapping[str, Path], out: Path, *, series: int = 0) -> dict[str, float | int | str]:
    """Write ``selection.json`` for the study folder ``inputs["study"]``; ``series`` 0 lets the rules choose."""
    folder = read_folder(inputs["study"])
    selection = select(folder, inputs["study"], series)
    (out / "selection.json").write_text(json.dumps(selection, indent=1) + "\n")
    chosen = next(entry for entry in selection["series"] if entry["chosen"])
    log.info("chose %d of %d instances, one of %d series", chosen["instances"], len(folder.headers), len(selection["series"]))
    return {
        "instances": chosen["instances"],
        "dicom_files": len(folder.headers),
        "other_files": folder.not_dicom,
        "unreadable_files": folder.unreadable + folder.deflated,
        "series": len(selection["series"]),
    }


def select(folder: Folder, study: Path, wanted: int = 0) -> dict[str, Any]:
    """Return the document of ``selection.json``: chosen instances, every series with its reason, notes.

    Raises
    ------
    DataError
        If the folder is not one patient's one study with a CT series that can be a volume.
    """
    if not folder.headers:
        raise DataError(_nothing_dicom(folder))
    require_one_patient_and_study(folder.headers)
    ct = [h for h in folder.headers if h.text("SOPClassUID") in CT_STORAGES or h.text("Modality") == "CT"]
    if not ct:
        raise DataError(
            f"the study holds {modality_counts(folder.headers)} instances and no CT image; send the coronary CT series"
        )
    candidates = sorted((_candidate(s) for s in split_series(ct, study)), key=_rank)
    usable = [candidate for candidate in candidates if not candidate.refused]
    if not usable:
        reasons = "; ".join(sorted({candidate.refused for candidate in candidates}))
        raise DataError(f"none of the study's {len(candidates)} CT series can be used: {reasons}; send the coronary CT series")
    chosen = _chosen(candidates, usable, wanted)
    _require_sound(chosen.series)
    return {
        "instances": [header.file for header in chosen.series.headers],
        "series": [_entry(candidate, chosen, usable, wanted) for candidate in candidates],
        "notes": [*chosen.series.notes, *_file_notes(folder, len(folder.headers) - len(ct))],
    }


def _nothing_dicom(folder: Folder) -> str:
    if folder.deflated:
        return (
            f"{folder.deflated} files are in a deflated transfer syntax, which is not opened: it can hide any amount of data; "
            "export the study uncompressed or as JPEG 2000"
        )
    files = folder.not_dicom + folder.directories + folder.unreadable
    if not files:
        return "no file was received; send the folder that holds the CT series as DICOM files (Part 10)"
    damaged = f" ({folder.unreadable} begin like DICOM and cannot be read)" if folder.unreadable else ""
    return f"none of {files} files is a DICOM image{damaged}; send the CT series as DICOM files (Part 10)"


def _chosen(candidates: Sequence[Candidate], usable: Sequence[Candidate], wanted: int) -> Candidate:
    if wanted == 0:
        return usable[0]
    if wanted > len(candidates):
        raise DataError(
            f"series {wanted} was asked for and the study has {len(candidates)}; set series to 0 to let the rules choose"
        )
    if candidates[wanted - 1].refused:
        raise DataError(f"series {wanted} was asked for and cannot be used: {candidates[wanted - 1].refused}")
    return candidates[wanted - 1]


def _require_sound(series: Series) -> None:
    """Raise `DataError` for what damages the chosen series and cannot be repaired."""
    broken = {state: sum(h.pixels == state for h in series.headers) for state in ("missing", "truncated")}
    total = len(series.headers)
    if broken["truncated"]:
        raise DataError(
            f"{broken['truncated']} of {total} instances of the series end before their pixels do; ask the site to resend it"
        )
    if broken["missing"]:
        raise DataError(f"{broken['missing']} of {total} instances of the series hold no pixel data; ask the site to resend it")
    if series.conflict:
        raise DataError(series.conflict)


def _candidate(series: Series) -> Candidate:
    first = series.first
    positions = [p for p in map(slice_position_mm, series.headers) if p is not None]
    steps = np.diff(np.asarray(sorted(positions)))
    spacing_mm = float(np.median(steps)) if len(steps) else None
    thickness_mm = first.number("SliceThickness")
    phase = series.phase_percent if series.phase_percent is not None else stated_phase_percent(first.text("SeriesDescription"))
    facts: dict[str, Any] = {
        "modality": "CT",
        "rows": int(first.number("Rows") or 0),
        "columns": int(first.number("Columns") or 0),
        "slice_thickness_mm": thickness_mm,
        "slice_spacing_mm": None if spacing_mm is None else round(spacing_mm, 3),
        "coverage_mm": round(max(positions) - min(positions) + (spacing_mm or 0.0), 1) if positions else None,
        "pixel_spacing_mm": (first.numbers("PixelSpacing", 2) or (None,))[0],
        "kernel": kernel_name(first.text("ConvolutionKernel")) or "unusual",
        "kernel_class": kernel_class(first.text("ConvolutionKernel")),
        "phase_percent": phase,
        "contrast_stated": bool(first.text("ContrastBolusAgent")),
        "original": first.text("ImageType").upper().startswith("ORIGINAL"),
    }
    return Candidate(series, facts, _refusal(series, facts))


def _refusal(series: Series, facts: Mapping[str, Any]) -> str:
    """Return why a series cannot be a coronary volume, or an empty text."""
    first = series.first
    types = first.text("ImageType").upper().split("\\")
    orientation = first.numbers("ImageOrientationPatient", 6)
    kind = first.text("SOPClassUID")
    reformat = types[:2] == ["DERIVED", "SECONDARY"] or ("SECONDARY" in types[:2] and "AXIAL" not in types)
    matrix = f"{facts['rows']} x {facts['columns']}"
    burned = any(h.text("BurnedInAnnotation").upper() == "YES" for h in series.headers)
    rules = (
        (kind in CT_STORAGES - {CT_IMAGE_STORAGE}, "enhanced multi-frame CT is not read; export it as single-frame CT images"),
        (kind != CT_IMAGE_STORAGE, "its objects are not CT images (secondary capture, dose sheet or document)"),
        (burned, "its images carry burned-in text, which may identify the patient"),
        ("LOCALIZER" in types, "it is a localizer"),
        (reformat, "it is a derived reformat or capture, not an axial reconstruction"),
        (
            max(facts["rows"], facts["columns"]) > LARGEST_MATRIX,
            f"its matrix is {matrix}, wanted at most {LARGEST_MATRIX} squared",
        ),
        (orientation is None or facts["coverage_mm"] is None, "its images state no position or orientation"),
        (orientation is not None and abs(normal(orientation)[2]) < AXIAL_COSINE, "it is not axial"),
        (len(series.headers) < LEAST_SLICES, f"it has fewer than {LEAST_SLICES} images"),
    )
    return next((reason for holds, reason in rules if holds), "")


def ranking(candidate: Candidate) -> tuple[tuple[str, float], ...]:
    """Return the ranking rules with the candidate's mark in each, smaller is better; the first that differs decides."""
    facts = candidate.facts
    thickness_mm = facts["slice_thickness_mm"] or facts["slice_spacing_mm"] or 99.0
    return (
        ("covers a heart", float((facts["coverage_mm"] or 0.0) < COMPLETE_MM)),
        (f"slices of {THIN_MM:g} mm or less", float(thickness_mm > THIN_MM)),
        ("contrast agent stated", float(not facts["contrast_stated"])),
        ("original reconstruction", float(not facts["original"])),
        ("quiet cardiac phase", _phase_mark(facts["phase_percent"])),
        ("smooth or medium kernel", {"smooth": 0.0, "unknown": 1.0, "sharp": 2.0}[facts["kernel_class"]]),
        ("thinner slices", round(thickness_mm, 2)),
        ("nearer to 75 % of the R-R interval", abs((facts["phase_percent"] or 75.0) - 75.0)),
        ("more slices", -float(len(candidate.series.headers))),
        ("finer pixels", facts["pixel_spacing_mm"] or 99.0),
        ("lower series number", candidate.series.first.number("SeriesNumber") or 0.0),
    )


def _rank(candidate: Candidate) -> tuple[bool, tuple[float, ...], str]:
    return bool(candidate.refused), tuple(mark for _, mark in ranking(candidate)), min(h.file for h in candidate.series.headers)


def _phase_mark(percent: float | None) -> float:
    if percent is None:
        return 1.0
    if DIASTOLE_PERCENT[0] <= percent <= DIASTOLE_PERCENT[1]:
        return 0.0
    return 1.0 if SYSTOLE_PERCENT[0] <= percent <= SYSTOLE_PERCENT[1] else 2.0


def stated_phase_percent(description: str) -> float | None:
    """Return the cardiac phase that a series description names (``"BestDiast 74 %"`` gives 74), or ``None``."""
    found = re.search(r"(?<![\d.])(\d{1,2}(?:\.\d+)?) ?%", description)
    return float(found.group(1)) if found else None


def _entry(candidate: Candidate, chosen: Candidate, usable: Sequence[Candidate], wanted: int) -> dict[str, Any]:
    return {
        "chosen": candidate is chosen,
        "instances": len(candidate.series.headers),
        "reason": _reason(candidate, chosen, usable, wanted),
        "facts": candidate.facts,
    }


def _reason(candidate: Candidate, chosen: Candidate, usable: Sequence[Candidate], wanted: int) -> str:
    if candidate.refused:
        return f"left: {candidate.refused}"
    if candidate is chosen and wanted:
        return f"chosen: series {wanted} was asked for"
    if candidate is chosen:
        if len(usable) == 1:
            return "chosen: the only series that can be a coronary volume"
        return f"chosen: best of {len(usable)} by {_difference(candidate, usable[1])}"
    if wanted:
        return "left: another series was asked for"
    return f"left: the chosen series is better by {_difference(chosen, candidate)}"


def _difference(better: Candidate, worse: Candidate) -> str:
    """Return the rule by which one candidate comes before another."""
    for (rule, mark), (_, other) in zip(ranking(better), ranking(worse), strict=True):
        if mark < other:
            return rule
    return "file order, all rules being equal"


def _file_notes(folder: Folder, other_modality: int) -> list[str]:
    counted = (
        (folder.not_dicom, "files are not DICOM and were ignored"),
        (folder.directories, "DICOM directory files were ignored"),
        (folder.deflated, "files in a deflated transfer syntax were not opened"),
        (folder.unreadable, "DICOM files cannot be read and were ignored"),
        (other_modality, "instances of other modalities were ignored"),
    )
    return [f"{count} {what}" for count, what in counted if count]
