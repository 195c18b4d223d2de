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
from algorithms.slide.file.facts import facts
from algorithms.slide.file.tiff import index
from algorithms.slide.pixels.reader import Slide, open_slide
from algorithms.slide.tissue import verdict
from algorithms.slide.tissue.focus import Focus, measure
from algorithms.slide.tissue.folds import fold_mask
from algorithms.slide.tissue.mask import BLURRED, FOLD, TISSUE, Areas, background, balanced, find
from algorithms.slide.tissue.overview import Overview, overview

log = logging.getLogger(__name__)

ASSUMED_MPP = 0.5
"""Scale at which a slide without one is drawn."""

FACTS = ("vendor", "width", "height", "levels", "mpp", "mpp_from", "objective_power", "compression")
"""What ``quality.json`` says of a slide; `algorithms.slide.file.facts` finds it."""


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
    nothing: dict[str, Any] = {"facts": dict.fromkeys(FACTS), "overview": None, "measures": None, "checks": []}
    entry: dict[str, Any] = {"slide": path.stem, "usable": False, "reasons": []} | nothing
    try:
        entry["facts"], reason = scaled_facts(path, settings.given_mpp)
        slide = open_slide(path)
    except DataError as error:
        return entry | {"reasons": [str(error)]}
    mpp = entry["facts"]["mpp"] if reason is None else ASSUMED_MPP
    with slide:
        picture = overview(slide, mpp, settings.overview_um)
        labels, focus = label(slide, picture, mpp, settings)
    height, width = labels.shape
    entry["overview"] = {"width": width, "height": height, "level0_px_per_px": picture.scale}
    _write_pictures(folder, picture.rgb, labels)
    if reason is not None:
        return entry | {"reasons": [reason]}
    found = verdict.measures(labels, focus, picture.scale * mpp, picture.unreadable)
    reasons = verdict.tissue_reasons(found, settings.limits)
    checks = [
        *verdict.scale_checks(mpp, entry["facts"]["objective_power"]),
        *verdict.tissue_checks(found, settings.limits),
    ]
    return entry | {"measures": found.document(), "checks": checks, "reasons": reasons, "usable": not reasons}


def label(slide: Slide, picture: Overview, mpp: float, settings: Settings) -> tuple[np.ndarray, Focus]:
    """Return the labels of a slide's overview, (Y, X) uint8, and the focus of its tissue."""
    pixel_um = picture.scale * mpp
    labels = find(picture.rgb, pixel_um, settings.areas)
    tissue = labels == TISSUE
    folded = fold_mask(balanced(picture.rgb, background(picture.rgb)), tissue, pixel_um)
    focus = measure(tissue & ~folded, picture.scale, mpp, slide)
    labels[tissue & focus.blurred(labels.shape, settings.limits.blur_um)] = BLURRED
    labels[folded] = FOLD
    return labels, focus


def scaled_facts(path: Path, given_mpp: float) -> tuple[dict[str, Any], str | None]:
    """Return what the file says of itself, and why its scale cannot be used; ``given_mpp`` stands in for a missing one.

    A scale that the file states and that can be true is kept: a scanner knows better than a form.

    Raises
    ------
    DataError
        If the file is no slide or its index is damaged.
    """
    stated = facts(index(path))
    found = {name: value for name, value in stated.document().items() if name in FACTS}
    reason = verdict.scale_reason(stated.mpp)
    if reason and given_mpp:
        return found | {"mpp": given_mpp, "mpp_from": "given"}, None
    return found | {"mpp_from": None if stated.mpp is None else "file"}, reason


def _write_pictures(folder: Path, rgb: np.ndarray, labels: np.ndarray) -> None:
    from PIL import Image

    folder.mkdir()
    Image.fromarray(rgb).save(folder / "thumbnail.png")
    Image.fromarray(labels).save(folder / "mask.png")
