"""The sections that every diagnostic's report has: checks, privacy, methods, provenance, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from algorithms.report.blocks import (
    Badge,
    Bibliography,
    Block,
    Callout,
    Cell,
    Cited,
    Code,
    Column,
    Figure,
    Methods,
    Picture,
    Section,
    Table,
)  # fmt: skip
from algorithms.report.words import Vocabulary, limit, shown, typeset, with_unit

Pictures = Sequence[tuple[Mapping[str, Any], Picture]]
"""Entries of pictures.json, each with its picture."""

NOT_AVAILABLE = "–"


def figures(pictures: Pictures, columns: int = 1, **wanted: str | None) -> list[Figure]:
    """Return one figure of all pictures whose entries have the fields ``wanted``, or nothing."""
    found = [(e, p) for e, p in pictures if all(e[name] == value for name, value in wanted.items())]
    return [Figure(tuple(p for _, p in found), found[0][0]["caption"], columns)] if found else []


def checks_section(result: Mapping[str, Any], vocabulary: Vocabulary, caption: str) -> Section | None:
    """Return every check with its limit and whether it passed."""
    if not result["checks"]:
        return None
    rows = tuple(
        (
            vocabulary.name(c["name"]), c["stage"], with_unit(c["value"], c["unit"]), limit(c["limit"]),
            Badge("passed", "negative") if c["passed"] else Badge("failed", "positive"), typeset(c["help"]),
        )
        for c in result["checks"]
    )  # fmt: skip
    columns = (
        Column("Check", width=1.3), Column("Stage", width=0.7), Column("Found", width=0.8), Column("Wanted", width=0.7),
        Column("", width=0.65), Column("What it is", width=2.2),
    )  # fmt: skip
    return Section("Run checks", (Table(columns, rows, caption, small=True),))


def scan_rows(searched: int, found: int) -> tuple[tuple[str, Cell], ...]:
    """Return the proof of de-identification: how many identifying values were looked for, how many were left."""
    return (
        ("Identifying values searched for", str(searched)),
        ("Found in what was kept", Badge(str(found), "positive" if found else "negative")),
    )


def sources_of(stage: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the references that a stage's ``source`` names, one for each part between semicolons; own pages are none."""
    parts = (part.strip() for part in stage["source"].split(";"))
    return tuple(part for part in parts if part and not part.startswith("docs/"))


def stage_sentences(
    record: Mapping[str, Any], sentences: Mapping[str, str], bibliography: Bibliography
) -> list[tuple[str, Cited]]:
    """Return the name and the methods sentence of every finished stage, with the sources that the stage itself declares."""
    return [
        (stage["name"], bibliography.cite(sentences.get(stage["name"], stage["help"]), *sources_of(stage)))
        for stage in record["stages"]
        if stage["state"] == "done"
    ]


def methods_section(text: Methods, bibliography: Bibliography) -> Section | None:
    """Return the methods text with its references, or ``None`` where nothing was done."""
    return Section("Methods", (text, bibliography.references())) if text.paragraphs else None


def provenance_section(result: Mapping[str, Any], defaults: Mapping[str, Mapping[str, Any]]) -> Section:
    """Return how each number can be made again: stages, versions, keys, settings, and the hash of every artefact."""
    stages = tuple(
        (
            s["name"], str(s["version"]), Badge(s["state"], _STATES.get(s["state"], "neutral")),
            Code((s["key"] or "")[:12]), _settings(s, defaults),
        )
        for s in result["provenance"]
    )  # fmt: skip
    columns = [Column("Stage", width=0.9), Column("Version", True), Column("State", width=0.7), Column("Key", width=1.1)]
    caption = (
        "Stages as they ran. A key is a hash of the stage, its version, its settings and its inputs; "
        "* marks a setting that is not the default."
    )
    blocks: list[Block] = [Table((*columns, Column("Settings", width=3.2)), stages, caption, small=True)]
    hashes = tuple((name, s["name"], Code(digest)) for s in result["provenance"] for name, digest in s["outputs"].items())
    if hashes:
        named = (Column("Artefact", width=0.8), Column("Stage", width=0.8), Column("sha256", width=4.6))
        blocks.append(Table(named, hashes, "Artefacts by content.", small=True))
    return Section("Provenance", tuple(blocks))


_STATES = {"done": "negative", "failed": "positive"}


def _settings(stage: Mapping[str, Any], defaults: Mapping[str, Mapping[str, Any]]) -> str:
    known = defaults.get(stage["name"], {})
    return ", ".join(
        f"{name} = {shown(value)}{'' if known.get(name, value) == value else '*'}"
        for name, value in stage["parameters"].items()
    )


def limits_section(result: Mapping[str, Any], limits: Sequence[str]) -> Section:
    """Return what the report may not be used for, and, where it has values, what they cannot say."""
    blocks = [Callout("neutral", "For research only", (result["statement"],))]
    if result["verdict"] in {"answered", "held"}:
        blocks.append(Callout("neutral", "What this report cannot know", tuple(limits)))
    return Section("Limits and use", tuple(blocks))
