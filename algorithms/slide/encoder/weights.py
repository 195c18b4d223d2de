"""An encoder's weights: found and verified as `contract.weights` does, in the words of its description, and read.

They are read as safetensors or with torch's reader of plain tensors (``weights_only``), which runs no code of the file.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import torch

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.contract.pipeline import PROJECT
from algorithms.contract.weights import located, require_sha256, tensors
from algorithms.slide.encoder.description import Description


def verified(description: Description, project: Path = PROJECT) -> Path:
    """Return the path of the encoder's weights, which have the described sha256.

    Raises
    ------
    DataError
        If they are absent (with their licence and where to ask for them), if no sha256 is pinned, or if theirs differs.
    """
    whose = f"the encoder {description.name}"
    if description.uri.startswith("s3:") and not description.sha256:
        raise DataError(f"weights in a store must be pinned; write their sha256 into the description {description.name}.toml")
    path = located(description.uri, description.sha256, project, whose=whose, inside="the project")
    if not path.is_file():
        raise DataError(_absent(description))
    if not description.sha256:
        raise DataError(
            f"the weights of {whose} are there and not pinned; if they are the ones you mean, "
            f'write sha256 = "{sha256_path(path)}" into the description {description.name}.toml'
        )
    remedy = "put the described weights back, or describe the new ones under a name of their own"
    require_sha256(path, description.sha256, whose=whose, paper="description", remedy=remedy)
    return path


def state(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a weights file by name.

    Raises
    ------
    DataError
        If it is neither safetensors nor a torch file of plain tensors.
    """
    if path.suffix == ".safetensors":
        return tensors(path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
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
