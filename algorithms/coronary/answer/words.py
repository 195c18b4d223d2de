"""How fields, numbers and facts are written for a reader."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

UNITS = ("mmhg_s_ml", "ml_s", "mmhg", "pa_s", "kg_m3", "mm", "_g")
"""Endings of field names that are units."""

ABBREVIATIONS = {"ffr": "FFR", "lv": "LV", "hu": "HU", "reynolds": "Reynolds"}

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

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def words(name: str) -> str:
    """Return a field's name for a reader, without its unit: ``aortic_pressure_mmhg`` is ``Aortic pressure``."""
    for unit in UNITS:
        name = name.removesuffix(unit)
    parts = [ABBREVIATIONS.get(part, part) for part in name.replace("_", " ").split()]
    text = " ".join(parts)
    return text[:1].upper() + text[1:]


def shown(value: Any) -> str:
    """Return a value for a reader: short numbers, powers of ten where they must be, lists with signs between."""
    if isinstance(value, list):
        return " × ".join(shown(v) for v in value)
    if isinstance(value, bool | str) or value is None:
        return str(value)
    if isinstance(value, int):
        return str(value).replace("-", "−")
    if value and not 1e-3 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa} × 10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    return f"{value:.4g}".replace("-", "−")


def with_unit(value: Any, unit: str) -> str:
    """Return a value with its unit; a relative one as per cent."""
    if unit == "relative" and isinstance(value, float):
        return f"{100 * value:.3g} %"
    if unit == "radius_sd_mm":
        return f"{shown(value)} × that of each point"
    return shown(value) if unit in {"", "1"} else f"{shown(value)} {unit.replace('m3', 'm³')}"


def limit(text: str) -> str:
    """Return a check's limit with the signs of mathematics: ``<= 1e-09`` is ``≤ 10⁻⁹``."""
    text = re.sub(r"(?<![\w.])-(?=\d)", "−", text.replace("<=", "≤").replace(">=", "≥"))
    return re.sub(r"\b1e(-?\d+)", lambda m: "10" + str(int(m[1])).translate(SUPERSCRIPTS), text)


def sentence(message: str) -> str:
    """Return an error's message (lower case, no full stop) as a sentence."""
    text = message.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


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
