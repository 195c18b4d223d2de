"""Judge each de-identified slide: its scale, where its tissue, pen marks, blur and folds lie, and whether it can be answered.

``tissue/s01/thumbnail.png`` is the overview, ``mask.png`` of the same size says per pixel 0 background, 1 tissue, 2 pen,
3 blurred tissue, 4 folded tissue.  ``quality.json`` has facts, measures, checks and the verdict of every slide; the case
goes on with the usable ones.  A slide without a usable scale is drawn as if a pixel were 0.5 um, and nothing of it is measured.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.slide import verdict
from algorithms.slide.focus import Focus, measure
from algorithms.slide.folds import fold_mask
from algorithms.slide.overview import Overview, overview, scale_of
from algorithms.slide.patches import Patches
from algorithms.slide.tissue import BLURRED, FOLD, TISSUE, Areas, background, balanced, find

log = logging.getLogger(__name__)

ASSUMED_MPP = 0.5
"""Scale at which a slide without one is drawn."""

COMPRESSIONS = {1: "none", 5: "LZW", 7: "JPEG", 8: "deflate", 33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000"}
"""Names of TIFF compressions (TIFF 6.0; Aperio's own numbers for JPEG 2000)."""


@dataclass(frozen=True)
class Settings:
    """What a case asks of its slides: a scale for those without one (0: none), the overview's pixel in um, areas, limits."""

    given_mpp: float
    overview_um: float
    areas: Areas
    limits: verdict.Limits


def run(
    inputs: Mapping[str, Path],
    out: Path,
    *,
    mpp: float,
    overview_um: float,
    speck_least_mm2: float,
    hole_most_mm2: float,
    tissue_least_mm2: float,
    blur_most_um: float,
    slide_blurred_most: float,
) -> dict[str, float | int | str]:
    """Write ``tissue/`` and ``quality.json`` for the slides of ``inputs["slides"]``."""
    limits = verdict.Limits(tissue_least_mm2, blur_most_um, slide_blurred_most)
    settings = Settings(mpp, overview_um, Areas(speck_least_mm2, hole_most_mm2), limits)
    (out / "tissue").mkdir()
    slides = []
    for path in sorted(inputs["slides"].glob("*.tiff")):
        slide = judge(path, out / "tissue" / path.stem, settings)
        slides.append(slide)
        log.info("%s: %s", path.stem, "usable" if slide["usable"] else "; ".join(slide["reasons"]))
    if not slides:
        raise DataError("no slide was left to judge; send the scanner's original files")
    usable = [slide for slide in slides if slide["usable"]]
    if not usable:
        raise DataError(none_usable(slides))
    (out / "quality.json").write_text(json.dumps({"slides": slides}, indent=1) + "\n")
    return {
        "slides": len(slides),
        "slides_usable": len(usable),
        "tissue_mm2": round(sum(slide["measures"]["tissue_mm2"] for slide in usable), 3),
        "checks_failed": sum(not entry["passed"] for slide in usable for entry in slide["checks"]),
    }


def none_usable(slides: list[dict[str, Any]]) -> str:
    """Return the sentence that refuses the case, with each slide's reasons."""
    each = "; ".join(f"{slide['slide']}: {', and '.join(slide['reasons'])}" for slide in slides)
    return f"none of {len(slides)} slides can be answered: {each}"


def judge(path: Path, folder: Path, settings: Settings) -> dict[str, Any]:
    """Return a slide's entry of ``quality.json``; its pictures are written to ``folder`` where it can be read."""
    import openslide

    entry: dict[str, Any] = {"slide": path.stem, "usable": False, "reasons": [], "facts": _no_facts(), "overview": None,
                             "measures": None, "checks": []}  # fmt: skip
    try:
        entry["facts"], reasons = facts(path, settings.given_mpp)
    except openslide.OpenSlideError:
        return entry | {"reasons": ["the file cannot be opened as a slide; send the scanner's original file again"]}
    known = not reasons
    mpp = entry["facts"]["mpp"] if known else ASSUMED_MPP
    picture = overview(path, mpp, settings.overview_um)
    labels, focus = label(path, picture, mpp, settings)
    height, width = labels.shape
    entry["overview"] = {"width": width, "height": height, "level0_px_per_px": picture.scale}
    _write_pictures(folder, picture.rgb, labels)
    if known:
        found = verdict.measures(labels, focus, picture.scale * mpp, picture.unreadable)
        reasons = verdict.tissue_reasons(found, settings.limits)
        entry["measures"] = found.document()
        scale_checks = verdict.scale_checks(mpp, entry["facts"]["objective_power"])
        entry["checks"] = [*scale_checks, *verdict.tissue_checks(found, settings.limits)]
    return entry | {"reasons": reasons, "usable": not reasons}


def label(path: Path, picture: Overview, mpp: float, settings: Settings) -> tuple[np.ndarray, Focus]:
    """Return the labels of a slide's overview, (Y, X) uint8, and the focus of its tissue."""
    pixel_um = picture.scale * mpp
    labels = find(picture.rgb, pixel_um, settings.areas)
    tissue = labels == TISSUE
    folded = fold_mask(balanced(picture.rgb, background(picture.rgb)), tissue, pixel_um)
    with Patches(path) as patches:
        focus = measure(tissue & ~folded, picture.scale, mpp, lambda x, y, side: patches.square(x, y, side, mpp))
    labels[tissue & focus.blurred(labels.shape, settings.limits.blur_um)] = BLURRED
    labels[folded] = FOLD
    return labels, focus


def facts(path: Path, given_mpp: float) -> tuple[dict[str, Any], list[str]]:
    """Return what the file says of itself, and why its scale cannot be used; ``given_mpp`` stands in for a missing one.

    A scale that the file states and that can be true is kept: a scanner knows better than a form.
    """
    import openslide

    from algorithms.slide.tiff import index

    with openslide.OpenSlide(path) as slide:
        stated, _ = scale_of(slide.properties)
        power = slide.properties.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER)
        found = _no_facts() | {
            "vendor": slide.properties.get(openslide.PROPERTY_NAME_VENDOR),
            "width": slide.dimensions[0],
            "height": slide.dimensions[1],
            "levels": [list(size) for size in slide.level_dimensions],
            "objective_power": float(power) if power else None,
        }
    compression = index(path).pages[0].compression
    found["compression"] = COMPRESSIONS.get(compression, f"TIFF {compression}")
    reason = verdict.scale_reason(stated)
    if reason and given_mpp:
        return found | {"mpp": given_mpp, "mpp_from": "given"}, []
    return found | {"mpp": stated, "mpp_from": "file" if stated else None}, [reason] if reason else []


def _no_facts() -> dict[str, Any]:
    return dict.fromkeys(("vendor", "width", "height", "levels", "mpp", "mpp_from", "objective_power", "compression"))


def _write_pictures(folder: Path, rgb: np.ndarray, labels: np.ndarray) -> None:
    from PIL import Image

    folder.mkdir()
    Image.fromarray(rgb).save(folder / "thumbnail.png")
    Image.fromarray(labels).save(folder / "mask.png")
