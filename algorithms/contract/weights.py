"""The weights of a model: found, verified and read, without ever asking a network for one.

They lie below a folder of ours, under an absolute ``file://`` path, or in a store of ours at ``s3://``, from where they are
copied once.  What may be read is told by a sha256 that somebody has written down.  In messages ``whose`` names the model
("the encoder uni"), and ``paper`` what it is described in ("entry").
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.contract.store import open_store

if TYPE_CHECKING:  # a risk model has no need of torch
    import torch

SHOWN = 12
"""Digits of a sha256 that a message shows."""


def located(uri: str, sha256: str, folder: Path, *, whose: str, inside: str) -> Path:
    """Return where weights lie on this machine, or would; an object of a store is copied there first.

    Parameters
    ----------
    uri
        A path below ``folder``, ``file:///absolute/path`` or ``s3://bucket/path``.
    sha256
        Of the weights: what is copied from a store is known by it.
    folder, inside
        Where a relative path begins, and what a message calls it.
    whose
        The model's name in messages.

    Raises
    ------
    DataError
        If ``uri`` is anything else, such as a web page or a path that leaves ``folder``.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3":
        return _copied(uri, sha256)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        return Path(unquote(parts.path))
    path = Path(uri)
    if parts.scheme or not uri or path.is_absolute() or ".." in path.parts:
        raise DataError(f"uri of {whose} must be a path inside {inside}, file:///absolute/path or s3://bucket/path")
    return folder / path


def require_sha256(path: Path, sha256: str, *, whose: str, paper: str, remedy: str) -> None:
    """Return if the file or folder has this sha256; raises `DataError` that ends with ``remedy``."""
    found = sha256_path(path)
    if found != sha256:
        raise DataError(
            f"the weights of {whose} have sha256 {found[:SHOWN]}..., its {paper} names {sha256[:SHOWN]}...; {remedy}"
        )


def tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file by name; raises `DataError` if it is none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise DataError("the weights file is no readable safetensors file; fetch it again") from error


def require_fit(network: torch.nn.Module, state: dict[str, torch.Tensor], *, whose: str, paper: str) -> None:
    """Return if ``state`` has the parameters of ``network``, no more and no fewer; raises `DataError`."""
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    wrong = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
    if wrong:
        raise DataError(
            f"the weights of {whose} are of another architecture than its {paper} says: {len(wrong)} of {len(wanted)} "
            f"parameters are missing, unknown or of another shape, the first {wrong[0]}; "
            f"mend that {paper}, or put back the weights that belong to it"
        )


def _copied(uri: str, sha256: str) -> Path:
    """Return the copy of an object on this machine; one of other content is replaced, or gone where the store has none."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache") / "heartwood" / "weights"
    path = cache / f"{sha256}{Path(uri).suffix}"
    if path.is_file() and sha256_path(path) == sha256:
        return path
    path.unlink(missing_ok=True)
    store, _, name = uri.rpartition("/")
    source = open_store(store)
    if source.exists(name):
        cache.mkdir(parents=True, exist_ok=True)
        source.get_file(name, path)
    return path
