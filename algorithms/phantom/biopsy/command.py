"""The command line of the biopsy phantom: what can be chosen, what is written."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.phantom.biopsy import bad, record
from algorithms.phantom.biopsy.identity import invent
from algorithms.phantom.biopsy.layout import SIZES, layouts, region
from algorithms.phantom.biopsy.man import Man, man
from algorithms.phantom.biopsy.slide import Scan
from algorithms.phantom.biopsy.svs import write_svs
from algorithms.phantom.biopsy.tissue import slide_stain

log = logging.getLogger(__name__)

SEED = 986
"""A man of intermediate risk, whose clinic knows less than his slides tell."""
DEMO = ("--size", "medium", "--seed", str(SEED))
"""What ``make demo`` answers: three slides of whole cores."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    parser.description = "Write a man's needle-biopsy slides (Aperio-like SVS) and clinical.json; his true risks beside them."
    parser.add_argument("--seed", type=int, default=SEED, help=f"the man: disease, fate, identity; >= 0 (default: {SEED})")
    parser.add_argument(
        "--size",
        choices=tuple(SIZES),
        default="small",
        help="two slides of short cores, three of whole ones (0.5 um a pixel), or one 60,000 pixels square (default: small)",
    )
    parser.add_argument("--bad", choices=tuple(bad.KINDS), help="also write one file that cannot be used, of this kind")


def patient(seed: int) -> Man:
    """Return the man that ``seed`` (>= 0) stands for."""
    return man(np.random.default_rng([seed, 0]))


def make(out: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Write ``out/study`` and ``out/truth``; return how many slides there are and how much tissue they hold."""
    study, truth = out / "study", out / "truth"
    study.mkdir(parents=True, exist_ok=True)
    truth.mkdir(parents=True, exist_ok=True)
    for earlier in [*study.glob("slide-*.svs"), *truth.glob("slide-*.json")]:
        earlier.unlink()  # another man's slides in the same folder would be a case of two patients
    one, size = patient(options.seed), SIZES[options.size]
    rng = np.random.default_rng([options.seed, 1])
    identity = invent(np.random.default_rng([options.seed, 2]), one.age_years)
    tissue_mm2 = 0.0
    slides = layouts(one, size, rng)
    for number, layout in enumerate(slides, 1):
        scan = Scan(one, slide_stain(one.stain, rng), layout, region(layout), size.mpp, size.tile_px)
        name = f"slide-{number}.svs"
        facts = write_svs(study / name, scan, identity, number)
        said = record.slide_truth(scan, name, facts)
        record.write_json(truth / f"slide-{number}.json", said)
        tissue_mm2 += said["tissue_mm2"] * said["sections"]
        log.info("wrote slide %d of %d, %d x %d pixels", number, len(slides), facts["width"], facts["height"])
    record.write_json(study / "clinical.json", record.clinical(one))
    record.write_json(truth / "man.json", record.man_truth(one))
    record.write_json(truth / "planted.json", identity.planted(len(slides)))
    if options.bad:
        bad.write_bad(study, options.bad, scan, identity)
    return {"slides": len(slides), "tissue_mm2": round(tissue_mm2, 2)}
