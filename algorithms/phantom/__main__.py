"""Write a synthetic study with its truth: ``python -m algorithms.phantom coronary OUT --seed 3 --size small``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """Return the command line of the phantoms."""
    top = argparse.ArgumentParser(
        prog="python -m algorithms.phantom",
        description="Write a synthetic examination (OUT/study) and everything that is true of it (OUT/truth).",
    )
    kinds = top.add_subparsers(dest="kind", required=True)
    coronary = kinds.add_parser(
        "coronary",
        help="a coronary CT angiography",
        description="Write a coronary CT angiography as a DICOM study, with labels, centrelines, radii and stenoses beside it.",
    )
    coronary.add_argument("out", type=Path, metavar="OUT", help="folder to write into; made where it is missing")
    coronary.add_argument("--seed", type=int, default=1, help="the person: anatomy, disease, identity; >= 0 (default: 1)")
    coronary.add_argument(
        "--size",
        choices=("small", "medium", "full"),
        default="small",
        help="voxels of 0.8 mm (seconds), 0.5 mm, or 512 x 512 x 250 of about 0.41 x 0.5 mm (default: small)",
    )
    coronary.add_argument(
        "--difficulty",
        choices=("easy", "moderate", "hard"),
        default="easy",
        help="noise of 12, 25 or 40 HU; less contrast as it grows; motion at hard (default: easy)",
    )
    coronary.add_argument(
        "--companions",
        action="store_true",
        help="also write what else a scanner sends: localizer, calcium score (3 mm, no contrast), dose report",
    )
    return top


def main(arguments: list[str] | None = None) -> int:
    """Write what the command line asks for, and say in one line of JSON where it is."""
    given = parser().parse_args(arguments)
    if given.seed < 0:
        parser().error("--seed must be >= 0")
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    from algorithms.phantom.coronary import coronary_phantom, write_truth
    from algorithms.phantom.coronary_dicom import write_study

    phantom = coronary_phantom(given.seed, given.size, given.difficulty)
    write_study(phantom, given.out / "study")
    if given.companions:
        from algorithms.phantom.coronary_companions import write_companions

        write_companions(phantom, given.out / "study")
    write_truth(phantom, given.out / "truth")
    answer = {"study": str(given.out / "study"), "truth": str(given.out / "truth"), "lesions": len(phantom.tree["stenoses"])}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
