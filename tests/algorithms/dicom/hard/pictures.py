"""Pictures with and without burned-in text."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LABELS = ("Quastenflosser", "Ottokar", "KH7301942", "1951-12-24", "Radiology", "Hospital")
"""An invented name, an identifier, a date and a place, as a console writes them beside a picture."""


def anatomy(seed: int, side: int = 384) -> np.ndarray:
    """Return an axial chest as uint8, ``(Y, X)``: body, lungs, spine, noise; its brightest values are those of the spine."""
    down, across = np.mgrid[:side, :side] / side - 0.5
    picture = np.full((side, side), 15.0)
    for left, top, width, height, step in (
        (0.0, 0.0, 0.42, 0.34, 90), (-0.17, -0.02, 0.13, 0.2, -70), (0.17, -0.02, 0.13, 0.2, -70), (0.0, 0.22, 0.06, 0.06, 110),
    ):  # fmt: skip
        picture += step * (((across - left) / width) ** 2 + ((down - top) / height) ** 2 < 1)
    picture += np.random.default_rng(seed).normal(0, 7, picture.shape)
    levels: np.ndarray = np.clip(picture, 0, 255).astype(np.uint8)
    return levels


def labelled(picture: np.ndarray, ink: int, size: int, labels: tuple[str, ...] = LABELS) -> np.ndarray:
    """Return a copy with labels of ``size`` pixels in two columns, spread over the picture's height."""
    image = Image.fromarray(picture.copy())
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    rows, columns = picture.shape
    for number, label in enumerate(labels):
        place = (8 + number % 2 * columns // 2, 8 + number // 2 * rows // ((len(labels) + 1) // 2))
        draw.text(place, label, fill=ink, font=font)
    return np.asarray(image)
