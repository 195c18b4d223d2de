"""What is true of a synthetic patient, as files beside his slides."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.phantom.biopsy.man import (
    ENDPOINTS,
    PATTERNS,
    Man,
    adt_log_hazard_ratio,
    grade_group,
    log_hazard,
    true_incidence,
    true_risk,
)
from algorithms.phantom.biopsy.slide import Scan

CLINICAL = ("age_years", "psa_ng_ml", "gleason_primary", "gleason_secondary", "t_stage", "percent_positive_cores")
HORIZONS_YEARS = (5, 10)


def write_json(path: Path, document: Any) -> None:
    """Write a document as one file of readable JSON."""
    path.write_text(json.dumps(document, indent=1) + "\n")


def clinical(one: Man) -> dict[str, Any]:
    """Return what a clinic would send along."""
    return {name: getattr(one, name) for name in CLINICAL}


def man_truth(one: Man) -> dict[str, Any]:
    """Return everything that is true of a man: his variables, his tissue and his risks, with and without short-term ADT."""
    risks = [
        {
            "endpoint": endpoint,
            "horizon_years": years,
            "adt": adt,
            "risk": round(true_risk(one, endpoint, years, adt=adt), 6),
            "incidence": round(true_incidence(one, endpoint, years, adt=adt), 6),
        }
        for endpoint in ENDPOINTS
        for years in HORIZONS_YEARS
        for adt in (False, True)
    ]
    return {
        "clinical": clinical(one),
        "isup_grade_group": grade_group(one.gleason_primary, one.gleason_secondary),
        "patterns": dict(one.patterns),
        "pleomorphism": one.pleomorphism,
        "lymphocytes": one.lymphocytes,
        "stain": asdict(one.stain),
        "log_hazard": {endpoint: round(log_hazard(one, endpoint), 6) for endpoint in ENDPOINTS},
        "adt_log_hazard_ratio": round(adt_log_hazard_ratio(one), 6),
        "risks": risks,
        "note": "risks are net of death of another cause, which competes in incidences; adt false is radiotherapy alone",
    }


def slide_truth(scan: Scan, file: str, facts: dict[str, int | float]) -> dict[str, Any]:
    """Return what lies where on a slide.

    ``map`` gives, for each row of squares of ``spacing_px`` level-0 pixels, runs of (first column, columns, pattern).
    What is in no run is glass.
    A slide with serial sections repeats it every ``section_px``.
    """
    region, layout, mpp = scan.region, scan.layout, scan.mpp
    tissue = region.edge_um > 0
    square_mm2 = (region.spacing_um / 1000) ** 2
    area = {
        name: round(float(((region.patterns == code) & tissue).sum() * square_mm2), 4) for code, name in enumerate(PATTERNS)
    }
    marks = layout.marks
    pen = None
    if marks.pen is not None:
        x0, y0, x1, y1, width = marks.pen
        length = float(np.hypot(x1 - x0, y1 - y0))
        pen = {"line_px": _px((x0, y0, x1, y1, width), mpp), "mm2": round((length * width + np.pi * width**2 / 4) / 1e6, 4)}
    return {
        "file": file,
        **facts,
        "cores": len(layout.cores),
        "sections": layout.copies,
        "section_px": round(layout.section / mpp),
        "tissue_mm2": round(float(tissue.sum() * square_mm2), 4),
        "pattern_mm2": area,
        "pen": pen,
        "fold": {"line_px": _px(marks.fold, mpp)} if marks.fold else None,
        "blur": {"disc_px": _px(marks.blur, mpp)} if marks.blur else None,
        "dust": [_px(speck, mpp) for speck in marks.dust],
        "map": {"spacing_px": region.spacing_um / mpp, "patterns": list(PATTERNS), "rows": _runs(region.patterns, tissue)},
    }


def _px(values: tuple[float, ...], mpp: float) -> list[float]:
    """Return lengths in um as level-0 pixels."""
    return [round(value / mpp, 1) for value in values]


def _runs(patterns: np.ndarray, tissue: np.ndarray) -> list[list[list[int]]]:
    """Return each row as runs of (first column, number of columns, pattern)."""
    rows = []
    for codes, inside in zip(patterns, tissue, strict=True):
        values = np.where(inside, codes.astype(int), -1)
        starts = np.flatnonzero(np.diff(values, prepend=-2))
        ends = np.append(starts[1:], values.size)
        rows.append([[int(a), int(b - a), int(values[a])] for a, b in zip(starts, ends, strict=True) if values[a] >= 0])
    return rows


def pattern_map(truth: dict[str, Any]) -> np.ndarray:
    """Return the map of a slide's truth as (rows, columns) int8: -1 glass, else an index into ``PATTERNS``."""
    rows = truth["map"]["rows"]
    columns = max((run[0] + run[1] for row in rows for run in row), default=0)
    answer = np.full((len(rows), columns), -1, np.int8)
    for index, row in enumerate(rows):
        for start, count, code in row:
            answer[index, start : start + count] = code
    return answer
