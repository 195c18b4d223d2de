"""Markdown tables of what benchmarks kept."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.evidence import RESULTS


def table(head: list[Any], rows: list[list[Any]]) -> str:
    """Return a Markdown table."""
    lines: list[list[Any]] = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


def measured(benchmark: str) -> dict[str, Any]:
    """Return what a benchmark kept."""
    document: dict[str, Any] = json.loads((RESULTS / f"{benchmark}.json").read_text())
    return document
