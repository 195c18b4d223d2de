"""Several processes that train together; torchrun starts them, on this machine or on many.

    torchrun --nproc-per-node 2 -m algorithms.train_segmentation.processes --samples DIR --out DIR --plan JSON

The stage ``train`` starts exactly this where its parameter ``processes`` is more than 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from torch import distributed

from algorithms.contract.errors import TransientError
from algorithms.contract.pipeline import PROJECT
from algorithms.contract.shell import log_to_stderr
from algorithms.train_segmentation.fit import Group, Plan, fit
from algorithms.train_segmentation.learnt import keep_learnt
from algorithms.train_segmentation.sample import read_samples
from algorithms.train_segmentation.tasks import TASKS


def together(processes: int, samples: Path, out: Path, plan: Plan) -> None:
    """Train in several processes of this machine; what they have learnt lies in ``out``.

    Raises
    ------
    TransientError
        If one of them ended without: the same call goes on from the checkpoint.
    """
    started = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    told = ["--samples", str(samples), "--out", str(out), "--plan", json.dumps(asdict(plan))]
    done = subprocess.run(
        [*started, "-m", "algorithms.train_segmentation.processes", *told], cwd=PROJECT, stdout=sys.stderr, check=False
    )
    if done.returncode:
        raise TransientError(f"one of {processes} processes ended with exit code {done.returncode}; run the stage again")


def main(arguments: list[str] | None = None) -> int:
    """Train as one of the processes that torchrun has started."""
    parser = argparse.ArgumentParser("algorithms.train_segmentation.processes", description="Train together.")
    parser.add_argument("--samples", type=Path, required=True, help="the artefact samples of the stage prepare")
    parser.add_argument("--out", type=Path, required=True, help="where checkpoint and weights are kept")
    parser.add_argument("--plan", required=True, help="the fields of a Plan as JSON")
    given = parser.parse_args(arguments)
    log_to_stderr()
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    group = Group(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    samples = read_samples(given.samples, held_back=False)
    plan = Plan(**json.loads(given.plan))
    mean, losses = fit(TASKS[samples[0].facts["task"]], samples, plan, given.out, group)
    if group.rank == 0:
        keep_learnt(given.out, mean, losses)
    distributed.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
