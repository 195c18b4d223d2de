"""The weights that an entry names: found and verified as `contract.weights` does, in the words of the registry."""

from __future__ import annotations

from pathlib import Path

from algorithms.contract.errors import DataError
from algorithms.contract.weights import located, require_sha256
from algorithms.segmentation.entry import MODELS, Entry


def verified(entry: Entry, models: Path = MODELS) -> Path:
    """Return the path of the entry's weights, a file or a folder, which have the sha256 that it names.

    Raises
    ------
    DataError
        If they are absent or others.
    """
    whose = f"model {entry.name}"
    path = located(entry.uri, entry.sha256, models / entry.name, whose=whose, inside="its entry's folder")
    if not path.exists():
        raise DataError(f"the weights of {whose} are not at its uri (licence: {entry.licence}); put them there")
    remedy = "put back the weights that belong to it, or give the new ones an entry of their own"
    require_sha256(path, entry.sha256, whose=whose, paper="entry", remedy=remedy)
    return path
