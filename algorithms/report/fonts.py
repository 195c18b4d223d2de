"""The typeface of reports and pictures: Source Sans Pro (Adobe; SIL Open Font Licence 1.1), from its package."""

from __future__ import annotations

import base64
import functools
import io
from pathlib import Path

FAMILY = "Source Sans Pro"
REGULAR, SEMIBOLD, ITALIC = "SourceSansPro-Regular.ttf", "SourceSansPro-Semibold.ttf", "SourceSansPro-It.ttf"
FACES = (REGULAR, SEMIBOLD, ITALIC)
"""The faces that are used, by file name."""

WEIGHTS = {REGULAR: 400, SEMIBOLD: 600}
"""Faces that go into a page, with their CSS weight; a page slants its few italics itself."""


def face_path(name: str) -> Path:
    """Return where the face file ``name`` lies."""
    import font_source_sans_pro

    return Path(font_source_sans_pro.font_directory) / name


@functools.cache
def web_face(name: str, characters: str) -> str:
    """Return the face ``name``, cut down to ``characters``, as base64 of a WOFF file: about 20 kB for English text."""
    from fontTools import subset

    options = subset.Options(flavor="woff", layout_features=["kern", "liga", "tnum", "lnum"], notdef_outline=True)
    options.recalc_timestamp = False
    stream = io.BytesIO()
    with subset.load_font(face_path(name), options) as font:
        subsetter = subset.Subsetter(options)
        subsetter.populate(text=characters)
        subsetter.subset(font)
        subset.save_font(font, stream, options)
    return base64.b64encode(stream.getvalue()).decode()
