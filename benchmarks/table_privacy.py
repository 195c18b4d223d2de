"""Evidence tables of de-identification."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import measured, table


def deidentification() -> str:
    """Return the CPU time of an image beside a copy of its file and other tools."""
    found = measured("deidentification")["results"]
    ours, copied = found["ours"], found["file_copy"]
    rows: list[list[Any]] = [
        ["ours, proof included", f"{ours['cpu_ms_per_image']:.2f}", ""],
        ["ours, without the proof", f"{ours['cpu_ms_per_image_without_proof']:.2f}", ""],
        ["ours, the command with its processes, proof included", f"{found['command']['cpu_ms_per_image']:.2f}", ""],
        ["a copy of the file", f"{copied['cpu_ms_per_image']:.2f}", ""],
        *(
            [f"{peer['name']} {peer['version']}", f"{peer['cpu_ms_per_image']:.2f}", f"{peer['times_ours']:.1f}"]
            for peer in found["peers"]
        ),
    ]
    return table(["what", "CPU ms an image", "times ours"], rows)


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
