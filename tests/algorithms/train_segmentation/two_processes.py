"""One of two processes that train together; `test_fit` starts both."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from torch import distributed

from algorithms.train_segmentation.fit import Group, fit
from algorithms.train_segmentation.sample import read_sample
from tests.algorithms.train_segmentation.small_task import BALLS
from tests.algorithms.train_segmentation.test_fit import PLAN


def main() -> None:
    """Train as the process that the environment says, and keep what the first one has learnt."""
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    distributed.init_process_group("gloo", init_method=(folder / "meeting").as_uri(), rank=rank, world_size=2)
    samples = [read_sample(folder / name) for name in ("s1", "s2")]
    mean, losses = fit(BALLS, samples, PLAN, folder / "shared", Group(rank, 2))
    if rank == 0:
        torch.save({"mean": mean, "losses": losses}, folder / "shared" / "weights.pt")
    distributed.destroy_process_group()
