"""Tell the slides of a study from its other files, and say why one cannot be used.

Only the directories of each file are read, and a few tiles.  A slide that cannot be answered is left out with its reason and
the case goes on with the others; slides of two patients stop it, since nobody could say whose risk that would be.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from algorithms.contract.errors import DataError
from algorithms.prostate.variables import LARGEST_FILE_BYTES, declared, read_declared
from algorithms.slide.file.encoded import require_readable, same_tiles
from algorithms.slide.file.facts import Facts, facts
from algorithms.slide.file.formats import TEXT, TIFF, file_format
from algorithms.slide.file.tiff import SOFTWARE, TiffIndex, index
from algorithms.slide.privacy.identity import Marks, marks, require_one_patient

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A file that is a slide or was meant as one; ``reason`` says why it cannot be used, and is empty where it can."""

    slide: str
    file: str
    reason: str
    index: TiffIndex | None = None
    facts: Facts | None = None

    def document(self) -> dict[str, Any]:
        """Return the entry of ``selection.json``."""
        return {
            "slide": self.slide,
            "file": self.file,
            "accepted": not self.reason,
            "reason": self.reason or None,
            "facts": {} if self.facts is None else self.facts.document(),
        }


def run(inputs: Mapping[str, Path], out: Path) -> dict[str, float | int | str]:
    """Write ``selection.json`` and ``declared.json`` for the study folder ``inputs["study"]``."""
    study = inputs["study"]
    secret = bytes.fromhex(inputs["secret"].read_text().strip())
    names, ignored = _sorted_out(study)
    clinical, leftover = _clinical(study, [entry["file"] for entry in ignored if entry["reason"] == TEXT])
    candidates = _without_copies(
        [_candidate(study, name, f"s{number:0{_digits(names)}d}") for number, name in enumerate(names, 1)]
    )
    require_one_patient([_marks(candidate.index, secret) for candidate in candidates if candidate.index is not None])
    accepted = [candidate for candidate in candidates if not candidate.reason]
    ignored = [entry | {"reason": _ignored_because(entry, leftover)} for entry in ignored if entry["file"] != clinical]
    if not accepted:
        raise DataError(_nothing_usable(candidates, ignored))
    document = {
        "slides": [candidate.document() for candidate in candidates],
        "ignored": ignored,
        "clinical_file": bool(clinical),
    }
    said = read_declared(study / clinical) if clinical else declared({})
    (out / "selection.json").write_text(json.dumps(document, indent=1) + "\n")
    (out / "declared.json").write_text(json.dumps(said, indent=1) + "\n")
    log.info("accepted %d of %d slides, ignored %d other files", len(accepted), len(candidates), len(ignored))
    return {
        "slides": len(candidates),
        "slides_accepted": len(accepted),
        "files_ignored": len(ignored),
        "clinical_values": len(said["values"]),
        "clinical_fields_dropped": said["dropped_fields"],
    }


def _digits(names: Sequence[str]) -> int:
    return max(2, len(str(len(names))))


def _sorted_out(study: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the names of the files that may be slides, and the others with what they are."""
    names: list[str] = []
    ignored: list[dict[str, str]] = []
    for path in sorted(path for path in study.iterdir() if path.is_file()):
        name, slide = file_format(path)
        if slide:
            names.append(path.name)
        else:
            ignored.append({"file": path.name, "reason": name})
    return names, ignored


def _candidate(study: Path, name: str, slide: str) -> Candidate:
    """Return what becomes of one file that may be a slide."""
    kind, _ = file_format(study / name)
    if kind != TIFF:
        return Candidate(slide, name, f"it is {kind}, wanted a tiled pyramid TIFF or Aperio SVS; export it again")
    found: TiffIndex | None = None
    try:
        found = index(study / name)
        known = facts(found)
        for page in known.pages:
            require_readable(found, page)
    except DataError as refusal:
        log.info("slide %s cannot be used: %s", slide, refusal)
        return Candidate(slide, name, str(refusal), found)
    return Candidate(slide, name, "", found, known)


def _without_copies(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates with one of each slide: of copies the first that says its scale, or else the first."""
    order = sorted(candidates, key=lambda c: (c.facts is None or c.facts.mpp is None, c.slide))
    kept: list[Candidate] = []
    reasons: dict[str, str] = {}
    for candidate in order:
        same = next((other.slide for other in kept if _same(other, candidate)), "")
        if same:
            reasons[candidate.slide] = f"it is the same slide as {same}: its encoded pixels are equal; a slide counts once"
        else:
            kept.append(candidate)
    return [replace(candidate, reason=reasons.get(candidate.slide, candidate.reason)) for candidate in candidates]


def _same(one: Candidate, other: Candidate) -> bool:
    if one.reason or other.reason or one.index is None or other.index is None:
        return False
    return same_tiles(one.index, other.index)


def _marks(found: TiffIndex, secret: bytes) -> Marks:
    """Return the keyed hashes of what a slide's texts say of patient and case."""
    texts = [page.description for page in (*found.pages, *found.sub_pages)]
    return marks([*texts, found.text(found.pages[0], SOFTWARE)], secret)


def _clinical(study: Path, texts: Sequence[str]) -> tuple[str, set[str]]:
    """Return the name of the file with the clinical variables, or an empty name, and those of other JSON files.

    It is recognised by its content, a JSON object: the door has dropped its name.
    """
    objects = [name for name in texts if _begins_an_object(study / name)]
    if len(objects) <= 1:
        return (objects[0] if objects else ""), set()
    telling = [name for name in objects if _says_something(study / name)]
    if len(telling) > 1:
        raise DataError(f"{len(telling)} files hold clinical variables, wanted one; send clinical.json once")
    return (telling[0] if telling else ""), set(objects) - set(telling)


def _begins_an_object(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


def _says_something(path: Path) -> bool:
    said = read_declared(path) if path.stat().st_size <= LARGEST_FILE_BYTES else {"values": {}}
    return bool(said["values"]) or bool(said.get("problems"))


def _ignored_because(entry: Mapping[str, str], json_files: set[str]) -> str:
    if entry["file"] in json_files:
        return "it is a JSON file without clinical variables"
    return f"it is {entry['reason']}, not a slide and not clinical.json"


def _nothing_usable(candidates: Sequence[Candidate], ignored: Sequence[Mapping[str, str]]) -> str:
    """Return why the case cannot go on: every slide with its reason, or what the files are."""
    if candidates:
        reasons = "; ".join(f"{candidate.slide}: {candidate.reason}" for candidate in candidates)
        return f"none of {len(candidates)} slides can be used ({reasons}); send tiled pyramid TIFF or Aperio SVS files"
    if not ignored:
        return "no file was received; send the folder that holds the biopsy slides"
    kinds = sorted({entry["reason"] for entry in ignored})
    return f"none of {len(ignored)} files is a slide ({'; '.join(kinds)}); send tiled pyramid TIFF or Aperio SVS files"
