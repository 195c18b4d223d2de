"""A drawing as a picture of pixels, for where vectors are not shown; equal drawings give equal bytes."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import typst

from algorithms.report import fonts

DRAWN = """\
#set page(width: auto, height: auto, margin: 0pt)
#set text(font: "{family}")
#image("drawing.svg", width: {width_pt}pt)
"""

WIDTH_PT = 500.0


def svg_png(drawing: bytes, width_px: int) -> bytes:
    """Return an SVG drawing as a PNG file that is ``width_px`` wide."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "drawing.svg").write_bytes(drawing)
        (root / "drawing.typ").write_text(DRAWN.format(family=fonts.FAMILY, width_pt=WIDTH_PT))
        (root / "fonts").mkdir()
        for name in fonts.FACES:
            shutil.copyfile(fonts.face_path(name), root / "fonts" / name)
        return typst.compile(
            root / "drawing.typ",
            root=root,
            font_paths=[root / "fonts"],
            ignore_system_fonts=True,
            format="png",
            ppi=72 * width_px / WIDTH_PT,
        )
