"""Evidence table of the training of networks."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import measured, table


def training() -> str:
    """Return what a phantom, a lesson and a block of each network cost."""
    rows: list[list[Any]] = []
    for one in measured("training")["results"]["networks"]:
        for precision in ("float32", "bfloat16"):
            cost = one[precision]
            lesson, block = ("x".join(map(str, one[name])) for name in ("lesson", "block"))
            rows.append(
                [
                    f"{one['network']}, {one['parameters'] / 1e6:.2f} million parameters, {precision}",
                    f"{one['phantom_cpu_s']:.0f}",
                    f"{one['draw_cpu_s']:.2f}",
                    f"{cost['lesson_cpu_s']:.2f} ({lesson})",
                    f"{cost['block_cpu_s']:.2f} ({block})",
                ]
            )
    heads = ["CPU seconds, one thread", "a phantom prepared", "a lesson drawn", "a lesson learnt", "a block answered"]
    return table(heads, rows)
