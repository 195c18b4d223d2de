"""An encoder's weights: found, verified and read, without ever asking a network for a model.

They lie inside the project, under an absolute ``file://`` path, or in a store of ours at ``s3://`` (`contract.store`), from
where they are copied once.  Only files of the described sha256 are read, as safetensors or with torch's reader of plain
tensors (``weights_only``), which runs no code of the file.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from urllib.parse import unquote, urlsplit

import torch

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.contract.pipeline import PROJECT
from algorithms.contract.store import open_store
from algorithms.slide.encoder.description import Description

SHOWN = 12
"""Digits of a sha256 that a message shows."""


def verified(description: Description, project: Path = PROJECT) -> Path:
    """Return the path of the encoder's weights, which have the described sha256.

    Raises
    ------
    DataError
        If they are absent (with their licence and where to ask for them), if no sha256 is pinned, or if theirs differs.
    """
    path = located(description, project)
    if not path.is_file():
        raise DataError(_absent(description))
    found = sha256_path(path)
    if not description.sha256:
        raise DataError(
            f"the weights of {description.name} are there and not pinned; if they are the ones you mean, "
            f'write sha256 = "{found}" into the description {description.name}.toml'
        )
    if found != description.sha256:
        raise DataError(
            f"the weights of {description.name} have sha256 {found[:SHOWN]}..., wanted {description.sha256[:SHOWN]}...; "
            f"put the described weights back, or describe the new ones under a name of their own"
        )
    return path


def located(description: Description, project: Path = PROJECT) -> Path:
    """Return where the weights lie on this machine, or would; objects of a store are copied there first."""
    parts = urlsplit(description.uri)
    if parts.scheme == "s3":
        return _copied(description)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        return Path(unquote(parts.path))
    path = Path(description.uri)
    if parts.scheme or not description.uri or path.is_absolute() or ".." in path.parts:
        raise DataError(
            f"uri of the encoder {description.name} must be a path inside the project, file:///absolute/path or s3://bucket/path"
        )
    return project / path


def state(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a weights file by name.

    Raises
    ------
    DataError
        If it is neither safetensors nor a torch file of plain tensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise DataError(
            f"the weights file is no readable {path.suffix or 'torch'} file of plain tensors ({type(error).__name__}); "
            "fetch it again, or convert it to safetensors"
        ) from error
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise DataError("the weights file holds more than named tensors; save the model's state_dict alone, as safetensors")
    return loaded


def _absent(description: Description) -> str:
    who = "its owner gives the weights to those who ask at" if description.gated else "the weights are at"
    return (
        f"the encoder {description.name} has no weights here (licence: {description.licence}); {who} {description.ask}; "
        f"put the file at {description.uri} and its sha256 into the description"
    )


def _copied(description: Description) -> Path:
    """Return the copy of an object on this machine; it is verified like any other file, so a stale one is no danger."""
    if not description.sha256:
        raise DataError(f"weights in a store must be pinned; write their sha256 into the description {description.name}.toml")
    suffix = Path(description.uri).suffix
    cache = Path(os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache") / "heartwood" / "encoders"
    path = cache / f"{description.sha256}{suffix}"
    if not path.is_file() or sha256_path(path) != description.sha256:
        store, _, name = description.uri.rpartition("/")
        cache.mkdir(parents=True, exist_ok=True)
        source = open_store(store)
        if not source.exists(name):
            raise DataError(_absent(description))
        source.get_file(name, path)
    return path
