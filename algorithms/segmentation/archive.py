"""A model that is a folder, on the disk or as one zip file (a store keeps files): the same paths either way."""

from __future__ import annotations

import zipfile
from pathlib import Path

from algorithms.contract.errors import DataError

Place = Path | zipfile.Path
"""A folder or file of a model; both kinds know ``/``, ``exists``, ``iterdir``, ``read_text`` and ``open``."""

LARGEST_TEXT_BYTES = 64 * 2**20
"""A description that unpacks to more is a bomb."""


def opened(path: Path) -> Place:
    """Return the folder that a model is, or the one in its zip file; raises `DataError` if it is neither."""
    if path.is_dir():
        return path
    if zipfile.is_zipfile(path):
        place = zipfile.Path(zipfile.ZipFile(path))
        inside = list(place.iterdir())
        return inside[0] if len(inside) == 1 and inside[0].is_dir() else place
    raise DataError("the model is neither a folder nor a zip file of one; pack its folder as a zip file")


def text(place: Place, name: str) -> str:
    """Return the text of a file of the model; raises `DataError` where it is absent or too large."""
    found = place / name
    if not found.exists():
        raise DataError(f"the model has no {name}; pack the whole folder")
    with found.open("rb") as file:
        content = file.read(LARGEST_TEXT_BYTES + 1)
    if len(content) > LARGEST_TEXT_BYTES:
        raise DataError(f"{name} of the model has more than {LARGEST_TEXT_BYTES / 2**20:.0f} MiB, wanted a description")
    return content.decode()
