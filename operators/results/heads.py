"""The head of the audit in the object store, and the audit held against it.

::

    audit/heads/<number of lines>-<hash of the last one>.json

A head is an object like any other: it is never replaced.  So lines that were cut off at the end, or a chain that was written
anew, show in the heads that were published before, unless somebody may also delete from the store.
"""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import Connection

from algorithms.contract.store import Store
from operators.results.audit import GENESIS, Head, lines

HEADS = "audit/heads"
NAME = re.compile(rf"{HEADS}/([0-9]{{12}})-([0-9a-f]{{64}})\.json")


@dataclass(frozen=True)
class Finding:
    """A place where the audit is not what was written, by the number of its line."""

    number: int
    what: str


@dataclass(frozen=True)
class Verified:
    """How much was looked at, and what was found."""

    lines: int
    heads: int
    findings: tuple[Finding, ...]


def publish_head(end: Head, store: Store) -> None:
    """Put the head of the audit into the store; an audit without lines has none."""
    if not end.count:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "head.json"
        path.write_text(json.dumps(asdict(end), sort_keys=True) + "\n")
        store.put_file(path, f"{HEADS}/{end.count:012d}-{end.hash}.json")


def verify(connection: Connection, store: Store) -> Verified:
    """Hold every line against its hash, the line before and the published heads."""
    # Listed first: a head that is published meanwhile may be of a line that is not seen here.
    published = [(int(m[1]), m[2]) for m in map(NAME.fullmatch, store.list(f"{HEADS}/")) if m]
    wanted: dict[int, set[str]] = {}
    for count, sealed in published:
        wanted.setdefault(count, set()).add(sealed)
    findings: list[Finding] = []
    number, before = 0, GENESIS
    for line, sealed in lines(connection):
        if line.number != number + 1:
            findings.append(Finding(number + 1, f"{line.number - number - 1} lines are missing here"))
        elif line.previous != before:
            findings.append(Finding(line.number, "does not follow the line before"))
        if line.hash() != sealed:
            findings.append(Finding(line.number, "is not what was written"))
        if wanted.get(line.number, {sealed}) != {sealed}:
            findings.append(Finding(line.number, "is not the line whose hash was published"))
        number, before = line.number, sealed
    last = max((count for count, _ in published), default=0)
    if last > number:
        findings.append(Finding(number + 1, f"{last - number} lines are missing at the end"))
    return Verified(number, len(published), tuple(findings))
