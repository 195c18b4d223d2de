"""Models from elsewhere as TorchScript: a file of its own, or the ``models/model.ts`` of a MONAI bundle.

TorchScript is a program: it is run by torch's interpreter, not by Python, but it is a program.  What is believed is the sha256
that a person has put into the entry.  No pickled Python object is made from either.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from algorithms.contract.errors import DataError
from algorithms.segmentation.archive import opened
from algorithms.segmentation.entry import Entry

MODEL = "models/model.ts"
"""Where a MONAI bundle keeps its network as TorchScript (MONAI bundle specification, directory structure)."""


class First(nn.Module):
    """A network that may answer with several resolutions, of which the first is the finest."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the answer, or the first of several."""
        answer: Any = self.network(x)
        first: torch.Tensor = answer[0] if isinstance(answer, tuple | list) else answer
        return first


def torchscript_network(entry: Entry, path: Path) -> nn.Module:
    """Return the network of a TorchScript file."""
    return _loaded(entry, path.read_bytes())


def bundle_network(entry: Entry, path: Path) -> nn.Module:
    """Return the network of a MONAI bundle, which must have it as TorchScript.

    Raises
    ------
    DataError
        If it has not: its Python configuration would have to be run.
    """
    model = opened(path) / MODEL
    if not model.exists():
        raise DataError(
            f"the bundle has no {MODEL}; make it where the bundle came from, with python -m monai.bundle ckpt_export, "
            "because its configuration names Python code, which is not run here"
        )
    with model.open("rb") as file:
        return _loaded(entry, file.read())


def _loaded(entry: Entry, content: bytes) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch points to torch.export; the files are there
            return First(torch.jit.load(io.BytesIO(content), map_location="cpu"))  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise DataError(f"the weights of model {entry.name} are no TorchScript that torch {torch.__version__} reads") from error
