"""Take the patient's identity out of the accepted slides, and prove on every written byte that it is gone.

Each slide is written anew from its encoded tiles (`algorithms.slide.privacy.deidentification`); then every copy is held
against its original and searched for every text of any slide of the case (`algorithms.slide.privacy.proof`).  A finding
stops the case.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from algorithms.contract.errors import DataError
from algorithms.slide.file.facts import Facts, facts
from algorithms.slide.file.tiff import TiffIndex, index
from algorithms.slide.privacy.deidentification import Copied, copy, description
from algorithms.slide.privacy.proof import prove
from algorithms.slide.privacy.residue import Search, Taken

log = logging.getLogger(__name__)

POLICY = (
    "a new file with the encoded tiles of the pyramid, pixels bit for bit; fields by allow-list, rebuilt from checked numbers; "
    "label, macro, thumbnail, other images, colour profile, private data, dates, serial numbers and free text left behind; "
    "comments and application data inside tiles and bytes behind their ends removed"
)

CHECKS = (
    "every tile of each copy is that of the original, but for removed comments and application data",
    "each copy has only the fields of the allow-list",
    "every byte of each copy belongs to a directory, a value or a tile",
    "none of the texts of the originals that are searched for (docs/privacy.md) is in the copies",
)


def run(inputs: Mapping[str, Path], out: Path) -> dict[str, float | int | str]:
    """Write the folder ``slides`` and ``privacy.json`` from the study and its selection."""
    entries = [entry for entry in json.loads(inputs["selection"].read_text())["slides"] if entry["accepted"]]
    target = out / "slides"
    target.mkdir(exist_ok=True)
    originals = {entry["slide"]: index(inputs["study"] / entry["file"]) for entry in entries}
    known = {slide: facts(original) for slide, original in originals.items()}
    taken = Taken(public=[description(slide_facts) for slide_facts in known.values()])
    copied = {slide: copy(original, known[slide], target / f"{slide}.tiff", taken) for slide, original in originals.items()}
    searched = _prove(originals, known, target, taken)
    document = _privacy(copied, len(taken), searched)
    (out / "privacy.json").write_text(json.dumps(document, indent=1) + "\n")
    log.info("searched %d slides, %.1f MB, for %d texts: none found", len(copied), searched / 1e6, len(taken))
    return {
        "slides": len(copied),
        "bytes": sum(one.bytes for one in copied.values()),
        "tiles": sum(one.tiles for one in copied.values()),
        "tiles_damaged": sum(one.tiles_damaged for one in copied.values()),
        "pages_dropped": sum(sum(one.pages_dropped.values()) for one in copied.values()),
        "segments_stripped": sum(one.segments_stripped for one in copied.values()),
        "values_searched": len(taken),
        "values_found": 0,
    }


def _prove(originals: Mapping[str, TiffIndex], known: Mapping[str, Facts], target: Path, taken: Taken) -> int:
    """Return the bytes searched; raises `DataError` if a text of an original is in a copy, without saying which."""
    search = Search(taken)
    leaking: Sequence[str] = []
    searched = 0
    for slide, original in originals.items():
        before = len(search.found)
        searched += prove(original, known[slide], target / f"{slide}.tiff", search)
        leaking = [*leaking, slide] if len(search.found) > before else leaking
    if search.found:
        raise DataError(
            f"{len(search.found)} texts that were taken out are found in the de-identified slides ({', '.join(leaking)}); "
            "the case is stopped and nothing is published; export the slides without that text and report this to the operator"
        )
    return searched


def _privacy(copied: Mapping[str, Copied], texts: int, searched: int) -> dict[str, Any]:
    """Return ``privacy.json``: counts, the policy and the result of the search; no values."""
    return {
        "slides": [{"slide": slide, **asdict(one)} for slide, one in copied.items()],
        "scan": {"searched": texts, "found": 0, "bytes": searched},
        "policy": POLICY,
        "checks": list(CHECKS),
    }
