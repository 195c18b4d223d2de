"""Build the volume in Hounsfield units and judge whether it can be answered.

``volume.nii`` is int16 HU with its axes along left, posterior and superior (LPS direction identity), so that a voxel index
is a position without a rotation.  Checks that reject raise `DataError`; the others are facts for the report.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from algorithms.contract.check import Check, check
from algorithms.contract.errors import DataError
from algorithms.coronary.grid import Grid as Volume
from algorithms.coronary.grid import write_grid
from algorithms.coronary.quality import judge
from algorithms.dicom.geometry import Grid
from algorithms.dicom.headers import Header
from algorithms.dicom.hounsfield import read_headers, read_hounsfield, series_grid

log = logging.getLogger(__name__)

FACT_TEXTS = ("PatientSex", "PatientAge", "Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "BodyPartExamined")
FACT_NUMBERS = ("PatientSize", "PatientWeight", "KVP", "SliceThickness", "XRayTubeCurrent", "ExposureTime", "HeartRate",
                "NominalPercentageOfCardiacPhase", "CTDIvol", "ReconstructionDiameter", "TriggerTime")  # fmt: skip
"""Attributes shown in the report; de-identification keeps them or has emptied them."""


def run(
    inputs: Mapping[str, Path],
    out: Path,
    *,
    least_coverage_mm: float,
    thickest_slice_mm: float,
    least_contrast_hu: float,
) -> dict[str, float | int | str]:
    """Write ``volume.nii`` and ``quality.json`` for the de-identified series ``inputs["dicom"]``."""
    headers = read_headers(inputs["dicom"])
    require_stack(headers, least_coverage_mm, thickest_slice_mm)
    grid = series_grid(headers)
    volume = read_hounsfield(inputs["dicom"], headers, grid)
    judgement = judge(volume, grid.spacing_mm, least_contrast_hu)
    checks = [*_stack_checks(headers, grid, least_coverage_mm, thickest_slice_mm), *judgement.checks]
    aorta_hu, noise_hu = round(judgement.aorta_hu, 1), round(judgement.noise_hu, 1)
    quality = {
        "facts": _facts(inputs["dicom"] / headers[0].file, grid, volume.shape),
        "aorta_hu_estimate": aorta_hu,
        "noise_hu": noise_hu,
        "checks": checks,
    }
    write_grid(Volume(volume, grid.spacing_mm, grid.origin_mm), out / "volume.nii")
    (out / "quality.json").write_text(json.dumps(quality, indent=1) + "\n")
    log.info(
        "volume of %d x %d x %d voxels, contrast %.0f HU, noise %.0f HU", *volume.shape, judgement.aorta_hu, judgement.noise_hu
    )
    return {
        "slices": int(volume.shape[0]),
        "coverage_mm": round(volume.shape[0] * grid.spacing_mm[0], 1),
        "aorta_hu_estimate": aorta_hu,
        "noise_hu": noise_hu,
        "checks_failed": sum(not entry["passed"] for entry in checks),
    }


def require_stack(headers: Sequence[Header], least_coverage_mm: float, thickest_slice_mm: float) -> None:
    """Raise `DataError` if the slices are too few or too thick to show the coronary arteries, before any pixel is read."""
    heights = [p[2] for h in headers if (p := h.numbers("ImagePositionPatient", 3)) is not None]
    spacing_mm = (max(heights) - min(heights)) / (len(heights) - 1) if len(heights) > 1 else 0.0
    coverage_mm = len(heights) * spacing_mm
    if coverage_mm < least_coverage_mm - 0.5 * spacing_mm:
        raise DataError(
            f"{len(headers)} slices covering {coverage_mm:.0f} mm; a coronary study covers the heart, "
            f"{least_coverage_mm:.0f} mm or more; send the complete thin-slice coronary series"
        )
    thickness_mm = max((h.number("SliceThickness") or 0.0) for h in headers)
    if thickness_mm > thickest_slice_mm + 1e-3:
        raise DataError(
            f"slices of {thickness_mm:.3g} mm; a coronary lumen needs {thickest_slice_mm:.3g} mm or less; "
            "send the thin-slice reconstruction"
        )


def _stack_checks(headers: Sequence[Header], grid: Grid, least_coverage_mm: float, thickest_slice_mm: float) -> list[Check]:
    spacing_mm = grid.spacing_mm
    thickness_mm = max((h.number("SliceThickness") or 0.0) for h in headers)
    widest = f"<= {thickness_mm:g}" if thickness_mm else "slice thickness, which is not stated"
    return [
        check("coverage", (round(len(headers) * spacing_mm[0], 1), "mm"), f">= {least_coverage_mm:g}",
              True, "height of the volume from feet to head"),
        check("slice_thickness", (round(thickness_mm, 3), "mm"), f"<= {thickest_slice_mm:g}",
              True, "thickness that the header states"),
        check("slice_spacing", (round(spacing_mm[0], 4), "mm"), widest,
              thickness_mm == 0 or spacing_mm[0] <= thickness_mm + 1e-3, "wider spacing than thickness leaves gaps"),
        check("pixel_spacing", (round(max(spacing_mm[1:]), 4), "mm"), "<= 0.5",
              round(max(spacing_mm[1:]), 2) <= 0.5, "a field of view of 250 mm or less shows the lumen finely enough"),
    ]  # fmt: skip


def _facts(path: Path, grid: Grid, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return what the report shows of the acquisition and the patient, from one image of the de-identified series."""
    import pydicom

    dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*FACT_TEXTS, *FACT_NUMBERS])
    facts: dict[str, Any] = {"spacing_mm": [round(s, 6) for s in grid.spacing_mm], "shape": list(shape)}
    facts |= {keyword: str(value) for keyword in FACT_TEXTS if (value := dataset.get(keyword))}
    return facts | {keyword: float(value) for keyword in FACT_NUMBERS if (value := dataset.get(keyword)) is not None}
