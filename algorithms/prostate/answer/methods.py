"""The methods text: one sentence a finished stage, with the sources that the stage itself declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from algorithms.report.blocks import Bibliography, Cited, Methods
from algorithms.report.sections import stage_sentences

SENTENCES = {
    "receive": "Slides were told from other files, and those that cannot be used were set aside with the reason.",
    "deidentify": "The encoded tiles were copied into new files without label, macro or text, and the result was scanned.",
    "clinical": "Grade group and NCCN group were computed from the clinical variables by rule.",
    "tissue": "Tissue, pen marks, focus and folds were judged on an overview of each slide.",
    "tiles": "A grid of tiles of one physical size was laid over the readable tissue.",
    "encode": "Each tile was turned into a vector by the encoder, a vision transformer.",
    "aggregate": (
        "All tiles of all slides were pooled by attention and joined with the clinical variables; a survival model gave the "
        "risks, an ensemble their intervals."
    ),
    "recommend": "Suggestions follow by rule from the NCCN group and the risk.",
    "render": "Pictures were drawn from these results.",
}

IMAGE = {"receive", "deidentify", "tissue", "tiles", "encode"}
"""Stages of the first paragraph; the others make up the second."""


def methods(record: Mapping[str, Any], bibliography: Bibliography) -> Methods:
    """Return the methods text of what was done, numbering its references in ``bibliography``."""
    image: list[Cited] = []
    risk: list[Cited] = []
    for name, said in stage_sentences(record, SENTENCES, bibliography):
        (image if name in IMAGE else risk).append(said)
    return Methods(tuple(tuple(paragraph) for paragraph in (image, risk) if paragraph))
