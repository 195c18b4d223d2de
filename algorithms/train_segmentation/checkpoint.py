"""Where a training stands, in one file that is replaced by a rename: a killed run finds the last whole one.

There is no state of a random generator in it: lesson ``n`` is drawn from its own numbers (`lessons`), so the step is enough.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

CHECKPOINT = "checkpoint.pt"


@dataclass
class Standing:
    """The step that comes next, the states of network and optimiser, the mean weights, and the losses so far."""

    step: int
    network: dict[str, torch.Tensor]
    optimiser: dict[str, Any]
    mean: dict[str, torch.Tensor]
    losses: list[float]


def keep(folder: Path, standing: Standing) -> None:
    """Write the checkpoint."""
    draft = folder / f"{CHECKPOINT}.part"
    with draft.open("wb") as file:
        torch.save(vars(standing), file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / CHECKPOINT)


def found(folder: Path, device: torch.device) -> Standing | None:
    """Return the checkpoint in ``folder``, ``None`` where there is none."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    # Plain tensors and numbers: no code of the file is run.
    return Standing(**torch.load(path, map_location=device, weights_only=True))


def forget(folder: Path) -> None:
    """Remove the checkpoint of a training that is done."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
