"""One small risk model for all tests of a run, trained on stand-in features."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from algorithms.prostate.risk.description import RiskModel, read_model, write_model
from algorithms.prostate.training import risk
from algorithms.prostate.training.cohort import Cohort, cohort
from algorithms.prostate.training.fit import Recipe
from tests.algorithms.prostate.risk.stand_in import DIMENSION, embed


class StandIn:
    """Says what an encoder says of itself."""

    name = "stand-in"
    weights_sha256 = "5" * 64
    dimension = DIMENSION


@dataclass(frozen=True, eq=False)
class Trained:
    """A model, and the men that trained, held out for and judged it."""

    model: RiskModel
    training: Cohort
    held_out: Cohort
    judges: Cohort


@functools.cache
def trained() -> Trained:
    """Return a model of 3 members and 300 men; far from good, and made in seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    everyone = cohort(7, 500, embed)
    training, held_out, judges = (everyone.part(np.arange(a, b)) for a, b in ((0, 300), (300, 400), (400, 500)))
    recipe = Recipe(members=3, steps=50, rate=0.01)
    model = risk.train((training, held_out, judges), 1, StandIn(), "stand-in", recipe)
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        write_model("stand-in", Path(folder), model)
        return Trained(read_model("stand-in", Path(folder)), training, held_out, judges)
