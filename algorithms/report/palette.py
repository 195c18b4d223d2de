"""The report's colours, one place for page, PDF and drawings.

Every ink stands on its tint with a contrast of at least 7 to 1 (WCAG 2.2, success criterion 1.4.6), and no meaning
is carried by colour alone: a badge says its word.  Red-amber-blue is told apart by red-green colour blindness.
"""

from __future__ import annotations

from dataclasses import dataclass

INK = "#16202b"
MUTED = "#4d5967"
RULE = "#d5dbe2"
FAINT = "#f4f6f8"
ACCENT = "#7b1e2b"


@dataclass(frozen=True)
class Tone:
    """A dark ``ink`` for words, a ``line`` for shapes, and a pale ``tint`` for the ground."""

    ink: str
    line: str
    tint: str


TONES = {
    "positive": Tone("#8c1a1a", "#c53a30", "#fdf1ef"),
    "grey": Tone("#6a4300", "#d9a021", "#fdf6e4"),
    "negative": Tone("#0f4c61", "#2c84a3", "#edf6f9"),
    "warning": Tone("#6a4300", "#d9a021", "#fdf6e4"),
    "error": Tone("#47287a", "#7a55b5", "#f5f1fb"),
    "neutral": Tone("#3b4653", "#8793a1", "#f4f6f8"),
}
"""Colours of each tone of :data:`algorithms.report.blocks.TONES`."""
