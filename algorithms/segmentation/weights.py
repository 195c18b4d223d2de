"""The weights that an entry names: found, verified and read, without ever asking a network for a model.

They lie in the entry's folder, under an absolute ``file://`` path, or in a store of ours at ``s3://``, from where they are
copied once.  Only what has the entry's sha256 is read, and nothing that is read runs code of the file.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import torch

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.contract.store import open_store
from algorithms.segmentation.entry import MODELS, Entry

SHOWN = 12
"""Digits of a sha256 that a message shows."""


def verified(entry: Entry, models: Path = MODELS) -> Path:
    """Return the path of the entry's weights, a file or a folder, which have the sha256 that it names.

    Raises
    ------
    DataError
        If they are absent or others.
    """
    path = _located(entry, models)
    if not path.exists():
        raise DataError(f"the weights of model {entry.name} are not at its uri (licence: {entry.licence}); put them there")
    found = sha256_path(path)
    if found != entry.sha256:
        raise DataError(
            f"the weights of model {entry.name} have sha256 {found[:SHOWN]}..., its entry names {entry.sha256[:SHOWN]}...; "
            "put back the weights that belong to it, or give the new ones an entry of their own"
        )
    return path


def tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file by name, float32; raises `DataError` if it is none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return {name: value.float() for name, value in load_file(path).items()}
    except SafetensorError as error:
        raise DataError("the weights are no readable safetensors file; fetch them again") from error


def require_fit(name: str, network: torch.nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Return if ``state`` has the parameters of ``network``, no more and no fewer; raises `DataError`."""
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    wrong = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
    if wrong:
        raise DataError(
            f"the weights of model {name} are of another architecture than its entry says: {len(wrong)} of {len(wanted)} "
            f"parameters are missing, unknown or of another shape, the first {wrong[0]}"
        )


def _located(entry: Entry, models: Path) -> Path:
    parts = urlsplit(entry.uri)
    if parts.scheme == "s3":
        return _copied(entry)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        return Path(unquote(parts.path))
    path = Path(entry.uri)
    if parts.scheme or not entry.uri or path.is_absolute() or ".." in path.parts:
        raise DataError(
            f"uri of model {entry.name} must be a path inside its entry's folder, file:///absolute/path or s3://bucket/path"
        )
    return models / entry.name / path


def _copied(entry: Entry) -> Path:
    """Return the copy of an object on this machine; it is verified like any other file, so a stale one is no danger."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache") / "heartwood" / "models"
    path = cache / f"{entry.sha256}{Path(entry.uri).suffix}"
    if not path.is_file() or sha256_path(path) != entry.sha256:
        store, _, name = entry.uri.rpartition("/")
        source = open_store(store)
        if source.exists(name):
            cache.mkdir(parents=True, exist_ok=True)
            source.get_file(name, path)
    return path
