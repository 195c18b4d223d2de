"""Whether pictures whose text was blacked out show any that is left: read by tesseract, every frame, before they may leave.

This runs outside the confined child, on files that were built there anew: their matrix is what their header says.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.dicom.burned_in import grey_levels, words_in
from algorithms.dicom.privacy.pixels import LAYOUT, layout_of
from algorithms.dicom.privacy.syntax import PIXEL_DATA, Readers, read

MOST_FRAMES = 30
"""Different frames of one file that are read; a longer film would take hours."""

LEAST_CONFIDENCE = 40.0
"""Of a word, in per cent; a doubtful one keeps a picture behind."""

TEXT = (
    "text in pixels",
    "an image shows text beside its blanked rectangles; add a rectangle to the policy, or leave it behind",
)
TOO_LONG = ("too long to read", f"an image has more than {MOST_FRAMES} different frames to be read; send fewer frames")
UNREADABLE = ("too long to read", "an image takes too long to be read by character recognition; leave it behind")


def require_reader() -> None:
    """Raise `DataError` if tesseract is missing."""
    if shutil.which("tesseract") is None:
        raise DataError(
            "the policy chooses clean_pixel_data and tesseract is not installed; install the Debian package tesseract-ocr, "
            "or take the option out"
        )


def text_left(path: Path) -> tuple[str, str] | None:
    """Return why a de-identified picture may not leave, or ``None`` where no frame shows a word."""
    try:
        frames = _different_frames(path)
        if len(frames) > MOST_FRAMES:
            return TOO_LONG
        shown = any(words_in(grey_levels(frame), LEAST_CONFIDENCE) for frame in frames)
    except subprocess.TimeoutExpired:
        return UNREADABLE
    return TEXT if shown else None


def _different_frames(path: Path) -> list[np.ndarray]:
    """Return each different frame, (Y, X) or (Y, X, 3)."""
    file = read(path.read_bytes(), Readers())
    spans = {span[0]: span for span in file.spans}
    key = tuple(file.data[spans[tag][2] : spans[tag][5]] if tag in spans else None for tag in LAYOUT)
    layout = layout_of(key)
    kind = f"<{'i' if layout.signed else 'u'}{layout.bits_allocated // 8}"
    size = layout.rows * layout.columns * layout.samples
    pixels = np.frombuffer(file.data, kind, size * layout.frames, spans[PIXEL_DATA][3])
    found: dict[bytes, np.ndarray] = {}
    for frame in pixels.reshape(layout.frames, size):
        if layout.planar:
            picture = frame.reshape(layout.samples, layout.rows, layout.columns).transpose(1, 2, 0)
        else:
            picture = frame.reshape(layout.rows, layout.columns, layout.samples)
        found.setdefault(frame.tobytes(), picture[..., 0] if layout.samples == 1 else picture)
    return list(found.values())
