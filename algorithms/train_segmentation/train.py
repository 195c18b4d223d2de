"""The stage ``train``: the weights that the samples teach; a run that was killed goes on at its checkpoint."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.segmentation.entry import read_entry
from algorithms.segmentation.weights import verified
from algorithms.train_segmentation import checkpoint
from algorithms.train_segmentation.fit import Plan, fit
from algorithms.train_segmentation.learnt import LOSSES, keep_learnt
from algorithms.train_segmentation.processes import together
from algorithms.train_segmentation.sample import read_samples
from algorithms.train_segmentation.tasks import TASKS

log = logging.getLogger(__name__)

SPAN = 50
"""Most steps over which a loss is averaged where it is told: one lesson is easy, the next hard."""


def begun_weights(data: Mapping[str, Any]) -> str:
    """Return the path of the weights that a training of ``data`` begins with, empty for random ones.

    Raises
    ------
    DataError
        If the registry's model of that name is another one by now.
    """
    if "begun_with" not in data:
        return ""
    entry = read_entry(data["begun_with"]["name"])
    if entry.sha256 != data["begun_with"]["sha256"]:
        raise DataError(f"model {entry.name} was replaced since this training was received; receive it again")
    return str(verified(entry))


def run(
    inputs: Mapping[str, Path],
    out: Path,
    *,
    steps: int,
    lessons_at_once: int,
    learning_rate: float,
    training_seed: int,
    training_precision: str,
    processes: int,
) -> dict[str, float | int | str]:
    """Write ``weights.safetensors`` and ``losses.json``."""
    begin = begun_weights(json.loads(inputs["data"].read_text()))
    plan = Plan(steps, lessons_at_once, learning_rate, seed=training_seed, precision=training_precision, begin=begin)
    if processes > 1:
        together(processes, inputs["samples"], out, plan)
    else:
        samples = read_samples(inputs["samples"], held_back=False)
        keep_learnt(out, *fit(TASKS[samples[0].facts["task"]], samples, plan, out))
    checkpoint.forget(out)
    losses = json.loads((out / LOSSES).read_text())
    span = max(1, min(SPAN, len(losses) // 2))
    first, last = (round(float(np.mean(part)), 4) for part in (losses[:span], losses[-span:]))
    log.info("learnt in %d steps, loss from %.3f to %.3f", len(losses), first, last)
    return {"steps": len(losses), "first_loss": first, "last_loss": last}
