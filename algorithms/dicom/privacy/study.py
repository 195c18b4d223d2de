"""The images of one patient without identity, proved: cleaned in a confined child, searched in this process.

`cleaned` writes, `proved` searches what was written for everything that was taken out of any image of that patient, and
`manifest` says what was done.  A finding is told by attribute and count, never by value.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from algorithms.dicom.confinement import Confinement
from algorithms.dicom.privacy.confined import Failure
from algorithms.dicom.privacy.needles import wanted
from algorithms.dicom.privacy.policy import policy_of
from algorithms.dicom.privacy.proof import Proof
from algorithms.dicom.privacy.subject import Subject
from algorithms.dicom.privacy.table import EDITION, table
from algorithms.dicom.privacy.taken import Taken
from algorithms.dicom.privacy.textless import require_reader, text_left

BATCH = 32
"""Files that cross to the child at once."""

KILLED: Failure = ("too large", "the file takes too much memory or time; ask the site to send it again")


@dataclass
class Cleaned:
    """What became of some files: refusals by file, counts of (keyword, action), and what the proof needs."""

    refused: dict[str, Failure] = field(default_factory=dict)
    actions: Counter[tuple[str, str]] = field(default_factory=Counter)
    taken: dict[Taken, None] = field(default_factory=dict, repr=False)
    kept: set[str] = field(default_factory=set, repr=False)
    retained: set[str] = field(default_factory=set, repr=False)
    dates: set[str] = field(default_factory=set, repr=False)


def batches(
    confinement: Confinement, function: str, context: Mapping[str, Any], items: Sequence[Any]
) -> Iterator[tuple[Sequence[Any], Any]]:
    """Yield some of the items and what the child answers; ``None`` for a single item that kills it."""
    groups = [items[start : start + BATCH] for start in range(0, len(items), BATCH)]
    again: list[Any] = []
    for group, answer in zip(groups, confinement.map(function, context, groups), strict=True):
        if not answer.failure:
            yield group, answer.value
        elif len(group) == 1:
            yield group, None
        else:
            again += group
    singles = [[item] for item in again]
    for group, answer in zip(singles, confinement.map(function, context, singles), strict=True):
        yield group, None if answer.failure else answer.value


def cleaned(
    confinement: Confinement,
    folders: tuple[Path, Path],
    pairs: Sequence[Sequence[str]],
    subject: Subject,
    policy: Mapping[str, Any],
) -> Cleaned:
    """Write the images of one study of one patient; ``pairs`` are names below the first of the folders and in the second."""
    context = {
        "source": str(folders[0]), "target": str(folders[1]), "secret": subject.secret.hex(), "patient": subject.patient,
        "study": subject.study, "policy": policy,
    }  # fmt: skip
    found = Cleaned()
    if policy.get("blank"):
        require_reader()
    for group, done in batches(confinement, "algorithms.dicom.privacy.confined:Cleaning", context, pairs):
        if done is None:
            found.refused[group[0][0]] = KILLED
            continue
        for (name, output), failure in zip(group, done["failures"], strict=True):
            shows_text = text_left(folders[1] / output) if name in done["blanked"] else None
            if refusal := failure or shows_text:
                found.refused[name] = (refusal[0], refusal[1])
        found.actions.update({(keyword, action): count for keyword, action, count in done["actions"]})
        found.taken.update(dict.fromkeys(Taken(*entry) for entry in done["taken"]))
        found.kept.update(done["kept"])
        found.retained.update(done["retained"])
        found.dates.update(done["dates"])
    return found


def proved(parts: Iterable[Cleaned], files: Iterable[Path], policy: Mapping[str, Any]) -> tuple[dict[str, Any], Counter[str]]:
    """Search the files of one patient, and return the result of the scan and how many files hold a value of which attribute.

    Raises
    ------
    DataError
        If a file is not built as an output must be.
    """
    rules = policy_of(policy)
    taken: dict[Taken, None] = {}
    kept: set[str] = set()
    dates: set[str] = set()
    public = set(rules.public_words())
    for part in parts:
        taken |= part.taken
        kept |= part.kept
        dates |= part.dates
        public |= part.retained
    searched = wanted(taken, sorted(public), sorted(kept), sorted(dates))
    paths = list(files)
    proof = Proof(searched, rules.allowed(), rules.private)
    leaks: Counter[str] = Counter()
    if not proof.clean(_mapped(paths)):
        proof = Proof(searched, rules.allowed(), rules.private)
        leaks.update(label for data in _mapped(paths) for label in proof.leaks(data))
    scan = {
        "files": proof.files_searched,
        "bytes": proof.bytes_searched,
        "values_searched": len(searched),
        "values_found": sum(leaks.values()),
    }
    return scan, leaks


def _mapped(paths: Iterable[Path]) -> Iterator[mmap]:
    """Yield the bytes of each file on the disk, without copying them."""
    for path in paths:
        with path.open("rb", buffering=0) as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            yield data


def told(leaks: Mapping[str, int]) -> str:
    """Return where values were found, for a message."""
    return ", ".join(f"{keyword} in {count} files" for keyword, count in sorted(leaks.items()))


def manifest(
    actions: Mapping[tuple[str, str], int],
    files: int,
    refused: Mapping[str, int],
    scan: Mapping[str, Any],
    policy: Mapping[str, Any],
) -> dict[str, Any]:
    """Return ``privacy.json``: counts by attribute and action, policy, edition and the result of the search; no values."""
    attributes: dict[str, dict[str, int]] = {}
    for (keyword, action), count in sorted(actions.items()):
        attributes.setdefault(keyword, {})[action] = count
    return {
        "profile": "DICOM PS3.15 Annex E, Basic Application Level Confidentiality Profile",
        "edition": EDITION,
        "table_rows": len(table()),
        "options": [{"code": code, "meaning": meaning} for code, meaning in policy_of(policy).methods()],
        "policy": "allow-list by attribute and VR at every depth: what is not listed is removed; UIDs, dates, times and "
        "ages by the options; private attributes but safe ones, overlays, curves, icons and signatures removed; preamble and "
        "file meta information new; nothing behind the data set",
        "policy_sha256": hashlib.sha256(json.dumps(policy, sort_keys=True).encode()).hexdigest(),
        "actions": {"X": "removed", "Z": "emptied", "D": "replaced", "U": "UID replaced", "C": "cleaned", "K": "kept"},
        "attributes": attributes,
        "files": files,
        "refused": dict(sorted(refused.items())),
        "scan": dict(scan),
    }
