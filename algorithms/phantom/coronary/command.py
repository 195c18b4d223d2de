"""The command line of the coronary phantom: what can be chosen, what is written."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from algorithms.phantom.coronary.companions import write_companions
from algorithms.phantom.coronary.dicom import write_study
from algorithms.phantom.coronary.phantom import coronary_phantom, write_truth
from algorithms.phantom.coronary.variety import NAMES, Variety, variety_of

SETTINGS = tuple(field.name for field in fields(Variety))
DEMO = ("--size", "medium", "--seed", "101")
"""What ``make demo`` answers: seconds to make, two minutes to answer."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    parser.description = "Write a coronary CT angiography as a DICOM study; labels, centrelines, radii, stenoses beside it."
    parser.add_argument("--seed", type=int, default=1, help="the person: anatomy, disease, identity; >= 0 (default: 1)")
    parser.add_argument(
        "--size",
        choices=("small", "medium", "full"),
        default="small",
        help="voxels of 0.8 mm (seconds), 0.5 mm, or 512 x 512 x 250 of about 0.41 x 0.5 mm (default: small)",
    )
    parser.add_argument(
        "--difficulty",
        choices=NAMES,
        default="easy",
        help="easy, moderate, hard: noise of 12, 25 or 40 HU, less contrast as it grows, motion at hard; wide: everything "
        "that varies between scanners and patients is drawn from the seed; the others are named cases (default: easy)",
    )
    parser.add_argument(
        "--set",
        action="append",
        type=_setting,
        default=[],
        metavar="FIELD=VALUE",
        help=f"one setting put over those of the difficulty, e.g. kernel=sharp; there are {', '.join(SETTINGS)}",
    )
    parser.add_argument(
        "--companions",
        action="store_true",
        help="also write what else a scanner sends: localizer, calcium score (3 mm, no contrast), dose report",
    )


def make(out: Path, options: argparse.Namespace) -> dict[str, int]:
    """Write ``out/study`` and ``out/truth``; return how many stenoses there are."""
    settings = dict(options.set)
    variety = variety_of(options.difficulty, options.seed, settings)
    # A study with settings of its own is another study, so its name, from which its UIDs are made, says them.
    name = " ".join([options.difficulty, *(f"{field}={value}" for field, value in sorted(settings.items()))])
    phantom = coronary_phantom(options.seed, options.size, name, variety)
    write_study(phantom, out / "study")
    if options.companions:
        write_companions(phantom, out / "study")
    write_truth(phantom, out / "truth")
    return {"lesions": len(phantom.tree["stenoses"])}


def _setting(text: str) -> tuple[str, str]:
    """Return field and value of ``text``, refused where no scan can have them."""
    field, _, value = text.partition("=")
    try:
        variety_of("easy", 0, {field: value})
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return field, value
