"""The blocks with which the first page of a held, rejected or failed case begins; a diagnostic adds what it found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from algorithms.report.blocks import Block, Callout, Verdict
from algorithms.report.words import sentence


def held_blocks(result: Mapping[str, Any], text: str) -> list[Block]:
    """Return the verdict of a held case with ``text``, and why it is held."""
    found = [sentence(r["message"]) for r in result["reasons"]]
    remedies = dict.fromkeys(r["remedy"] for r in result["reasons"])
    return [
        Verdict("warning", "Held for review", "A physician must look before this is used", text),
        Callout("warning", "Why it is held, and what helps", (*found, *remedies)),
    ]


def unanswered_blocks(result: Mapping[str, Any], rejected_title: str) -> list[Block]:
    """Return the verdict of a rejected or failed case: what stopped it, what to do, what had been doubtful before."""
    first = result["reasons"][0]
    said, facts = sentence(first["message"]), (("Stage", first["stage"]),)
    if result["verdict"] == "rejected":
        verdict = Verdict("warning", "Rejected", rejected_title, said, facts)
    else:
        verdict = Verdict("error", "Not finished", "The computation did not finish", said, facts)
    remedy = [first["remedy"]] + ([f"Reference: {first['reference']}"] if first["reference"] else [])
    blocks: list[Block] = [verdict, Callout("neutral", "What to do", tuple(remedy))]
    if len(result["reasons"]) > 1:
        before = tuple(sentence(r["message"]) for r in result["reasons"][1:])
        blocks.append(Callout("warning", "What was doubtful before", before))
    return blocks
