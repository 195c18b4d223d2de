"""What a training leaves: the weights as they will ship, and the loss of every step."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save

from algorithms.segmentation.entry import WEIGHTS

LOSSES = "losses.json"


def keep_learnt(out: Path, weights: Mapping[str, torch.Tensor], losses: Sequence[float]) -> None:
    """Write the weights as float16, in which they are judged and shipped, and the losses."""
    halves = {name: value.detach().cpu().half().contiguous() for name, value in weights.items()}
    (out / LOSSES).write_text(json.dumps([round(value, 5) for value in losses]) + "\n")
    (out / WEIGHTS).write_bytes(save(halves))
