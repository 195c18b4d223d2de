"""Evidence tables of de-identification."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import measured, table


def burned_in() -> str:
    """Return how much burned-in text is seen, by size and ground, and how much where there is none."""
    results = measured("burned_in")["results"]
    sizes = sorted({row["size_pixels"] for row in results["with_text"]})
    kinds = list(dict.fromkeys(row["kind"] for row in results["with_text"]))
    seen = {(row["kind"], row["size_pixels"]): row for row in results["with_text"]}
    rows: list[list[Any]] = [
        [kind, *(_seen(seen[kind, size], results["words_per_picture"]) for size in sizes)] for kind in kinds
    ]
    rows += [
        [f"no text: {row['kind']}", f"{row['pictures_with_words']} of {row['pictures']}", *[""] * (len(sizes) - 1)]
        for row in results["without_text"]
    ]
    return table(["pictures with words seen, words seen of those drawn", *(f"{size} pixels high" for size in sizes)], rows)


def _seen(row: dict[str, Any], words_per_picture: int) -> str:
    # A label that is read in two pieces counts as two words, so that more can be seen than were drawn.
    drawn = row["pictures"] * words_per_picture
    return f"{row['pictures_with_words']} of {row['pictures']}, {100 * min(row['words'] / drawn, 1):.0f} %"
