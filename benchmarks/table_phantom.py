"""The table of the coronary phantom's statistics."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.markdown import measured, table

ROWS = {
    "blood_hu": ("blood in the ascending aorta (HU)", 0),
    "blood_noise_hu": ("deviation within it, slice by slice (HU)", 0),
    "noise_frequency_per_mm": ("mean frequency of the noise there (per mm)", 2),
    "edge_mm": ("edge at the aortic wall, step over steepest slope (mm)", 2),
    "fat_hu": ("fat (HU)", 0),
    "fat_deviation_hu": ("deviation within its most even cubes (HU)", 0),
    "muscle_hu": ("muscle (HU)", 0),
    "muscle_deviation_hu": ("deviation within its most even cubes (HU)", 0),
    "lung_hu": ("lung (HU)", 0),
    "lung_deviation_hu": ("deviation within its most even cubes (HU)", 0),
}


def phantom_statistics() -> str:
    """Return what was measured in the real scans beside the median and the range of the phantoms."""
    found = measured("phantom_statistics")["results"]
    phantoms = found["phantoms"]
    rows: list[list[Any]] = []
    for name, (text, digits) in ROWS.items():
        row = [text, _number(found["real"]["crop"].get(name), digits), _number(found["real"]["trunk"].get(name), digits)]
        rows.append([*row, *(_range([p[kind][name] for p in phantoms], digits) for kind in ("resampled", "scanned"))])
    head = ["what", "real arterial CT crop, 1.5 mm", "real trunk, 1 x 1 x 2 mm"]
    return table([*head, f"{len(phantoms)} phantoms at 1.5 mm: median (range)", "the same as scanned"], rows)


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _range(values: list[float | None], digits: int) -> str:
    """Return median and range of what could be measured."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    return f"{statistics.median(known):.{digits}f} ({min(known):.{digits}f} to {max(known):.{digits}f})"
