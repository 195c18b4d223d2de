"""Masks of a synthetic patient's slides against their truth, and of a real slide against what one sees on it."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from algorithms.phantom.biopsy import command
from algorithms.phantom.biopsy.record import pattern_map
from algorithms.prostate import tiles, tissue
from algorithms.prostate.pipeline import TILES, TISSUE
from algorithms.slide.tissue.mask import BLURRED, FOLD, PEN
from algorithms.slide.tissue.mask import TISSUE as SHARP
from tests.algorithms.slide.painted_slide import stroke

REAL_DATA = os.environ.get("HEARTWOOD_REAL_DATA")
SEED = 3
"""A patient with two slides: a pen mark on the first, a fold on the second."""


def judged(folder: Path, sources: list[Path]) -> list[tuple[dict, np.ndarray]]:
    """Run the stage on these files; return each slide's entry and mask."""
    (folder / "slides").mkdir(parents=True)
    for number, source in enumerate(sources, start=1):
        (folder / "slides" / f"s{number:02d}.tiff").symlink_to(source)
    tissue.run({"slides": folder / "slides"}, folder, **TISSUE.settings({}))
    slides = json.loads((folder / "quality.json").read_text())["slides"]
    return [(slide, np.asarray(Image.open(folder / "tissue" / slide["slide"] / "mask.png"))) for slide in slides]


def dice(found: np.ndarray, true: np.ndarray) -> float:
    return float(2 * (found & true).sum() / (found.sum() + true.sum()))


def strip(truth: dict, kind: str, shape: tuple[int, int], scale: int) -> np.ndarray:
    """Return where a slide's pen mark or fold lies on its overview."""
    x0, y0, x1, y1, width = (side / scale for side in truth[kind]["line_px"])
    return stroke(shape, (y0, x0), (y1, x1), width)


@pytest.mark.slow
def test_masks_of_a_synthetic_patient_are_those_of_the_truth(tmp_path):
    """The phantom says where it drew what; its map has squares of 16 um, the mask pixels of 8 um, so a rim cannot be exact.

    The pen's label is widened by 16 um on purpose: on a stroke of 120 um that is 2 * 0.79 / 1.79 = 0.88 of Dice at most.
    A fold is cut by glands' lumens, where nothing is dense.
    """
    command.make(tmp_path, argparse.Namespace(seed=SEED, size="small", bad=None))
    slides = judged(tmp_path / "case", sorted((tmp_path / "study").glob("*.svs")))

    for number, (slide, mask) in enumerate(slides, start=1):
        truth = json.loads((tmp_path / "truth" / f"slide-{number}.json").read_text())
        scale, patterns = slide["overview"]["level0_px_per_px"], pattern_map(truth) >= 0
        rows, columns = (((np.arange(side) + 0.5) * scale / truth["map"]["spacing_px"]).astype(int) for side in mask.shape)
        wide = np.zeros((rows[-1] + 1, columns[-1] + 1), dtype=bool)
        part = patterns[: wide.shape[0], : wide.shape[1]]
        wide[: part.shape[0], : part.shape[1]] = part
        true = wide[np.ix_(rows, columns)]
        assert dice(np.isin(mask, (SHARP, BLURRED, FOLD)), true & (mask != PEN)) > 0.97
        assert slide["measures"]["tissue_mm2"] == pytest.approx(truth["tissue_mm2"], rel=0.03)
        assert not (mask == BLURRED).any()
        if truth["pen"]:
            pen = strip(truth, "pen", mask.shape, scale)
            assert (mask[pen] == PEN).mean() > 0.98
            assert dice(mask == PEN, pen) > 0.75
        else:
            assert not (mask == PEN).any()
        if truth["fold"]:
            fold = strip(truth, "fold", mask.shape, scale) & true
            assert (mask[fold] == FOLD).mean() > 0.6
            assert dice(mask == FOLD, fold) > 0.7
        else:
            assert not (mask == FOLD).any()


@pytest.mark.skipif(REAL_DATA is None, reason="needs HEARTWOOD_REAL_DATA")
def test_a_real_slide_is_sharp_tissue(tmp_path):
    """1.11 x 1.48 mm of skin, two fifths of it tissue, with keratin and flecks of green ink; no pen mark, blur or fold.

    The largest open glass inside is 0.2 mm wide and no tissue.
    """
    ((slide, mask),) = judged(tmp_path, [Path(str(REAL_DATA)) / "slide" / "cmu-1-small-region.svs"])
    tiles.run({"tissue": tmp_path / "tissue", "quality": tmp_path / "quality.json"}, tmp_path, **TILES.settings({}))

    assert slide["usable"]
    assert slide["measures"]["tissue_fraction"] == pytest.approx(0.4, abs=0.03)
    assert np.isin(mask, (0, SHARP)).all()
    assert 45 <= json.loads((tmp_path / "tiles.json").read_text())["slides"][0]["tiles"] <= 55
