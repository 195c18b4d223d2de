"""How the fields and facts of a coronary case are written for a reader."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from algorithms.report import words
from algorithms.report.words import Vocabulary, shown

UNITS = ("per_min", "mmhg_s_ml", "ml_s", "mmhg", "pa_s", "kg_m3", "mm", "_g")
"""Endings of field names that are units."""

ABBREVIATIONS = {"ffr": "FFR", "lv": "LV", "hu": "HU", "reynolds": "Reynolds", "womersley": "Womersley"}

FACTS = {
    "PatientSex": ("Sex", ""), "PatientAge": ("Age", ""), "PatientSize": ("Height", "m"), "PatientWeight": ("Weight", "kg"),
    "Manufacturer": ("Scanner", ""), "ManufacturerModelName": ("Model", ""), "BodyPartExamined": ("Body part", ""),
    "spacing_mm": ("Voxel spacing (z, y, x)", "mm"), "shape": ("Voxels (z, y, x)", ""),
    "SliceThickness": ("Slice thickness", "mm"), "ReconstructionDiameter": ("Field of view", "mm"),
    "ConvolutionKernel": ("Kernel", ""), "KVP": ("Tube voltage", "kV"), "XRayTubeCurrent": ("Tube current", "mA"),
    "ExposureTime": ("Exposure time", "ms"), "HeartRate": ("Heart rate", "/min"),
    "NominalPercentageOfCardiacPhase": ("Cardiac phase", "% of RR"),
}  # fmt: skip
"""Facts of quality.json in the order and words of a reader, with their unit in DICOM (PS3.6, PS3.3)."""

VOCABULARY = Vocabulary(UNITS, ABBREVIATIONS)


def with_unit(value: Any, unit: str) -> str:
    """Return a value with its unit; the standard deviation of a radius is that of each point."""
    return f"{shown(value)} × that of each point" if unit == "radius_sd_mm" else words.with_unit(value, unit)


def facts(image: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the facts of a study, known ones first, with their values in words."""
    given = image["facts"]
    rows = []
    for name in [*(n for n in FACTS if n in given), *(n for n in given if n not in FACTS)]:
        title, unit = FACTS.get(name, (name, ""))
        if given[name] not in (None, "", []):
            rows.append((title, _age(given[name]) if name == "PatientAge" else with_unit(given[name], unit)))
    return rows


def _age(value: str) -> str:
    """Return DICOM's age string (PS3.5 6.2: 063Y) in words."""
    match = re.fullmatch(r"(\d{3})([DWMY])", str(value))
    return f"{int(match[1])} {['days', 'weeks', 'months', 'years']['DWMY'.index(match[2])]}" if match else str(value)
