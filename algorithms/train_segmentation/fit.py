"""The training of one network, in one process or several, that ends with the same weights however often it was killed.

Each step takes ``batch`` lessons, dealt over the processes in turn; gradients are averaged, so that two processes with one
lesson each learn what one process with two does, to rounding.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import distributed

from algorithms.contract.weights import tensors
from algorithms.segmentation.segmenter import PRECISIONS
from algorithms.segmentation.unet import ResidualUNet
from algorithms.train_segmentation import checkpoint
from algorithms.train_segmentation.lessons import Lesson, lesson
from algorithms.train_segmentation.losses import loss
from algorithms.train_segmentation.sample import Sample
from algorithms.train_segmentation.tasks import Task

log = logging.getLogger(__name__)

MEAN_DECAY = 0.998
"""Weights that are kept are a running mean of the last 500 steps or so (Tarvainen and Valpola, arXiv:1703.01780)."""

WARM_UP = 0.05
"""Share of the steps in which the learning rate rises to its greatest; it falls as a cosine to 0 after them."""

LARGEST_GRADIENT = 5.0
"""Norm to which gradients are cut: one odd block must not undo an hour."""

AHEAD = 2
"""Steps whose lessons are drawn while the network learns."""

PROGRESS_S = 30.0
"""Least time between two lines of progress."""


@dataclass(frozen=True)
class Plan:
    """How a network is trained: steps, lessons of a step, greatest learning rate, seed, numbers inside the network.

    ``begin`` is the path of the weights that it begins with; empty for random ones.
    """

    steps: int
    batch: int = 2
    rate: float = 2e-3
    decay: float = 1e-3
    seed: int = 1
    precision: str = "fastest"
    keep_every: int = 50
    begin: str = ""


@dataclass(frozen=True)
class Group:
    """Which of how many processes this is."""

    rank: int = 0
    size: int = 1


def fit(
    task: Task, samples: Sequence[Sample], plan: Plan, folder: Path, group: Group | None = None
) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Return the mean weights and the loss of every step; goes on from the checkpoint in ``folder``.

    The first process of the group keeps the checkpoint.
    """
    group = group or Group()
    if plan.batch % group.size:
        raise ValueError(f"a batch of {plan.batch} cannot be dealt over {group.size} processes")
    pupil = Pupil(task, plan, group)
    pupil.go_on_from(folder)
    mine = list(range(group.rank, plan.batch, group.size))
    said = time.monotonic()
    for step, lessons in _in_turn(task, samples, plan, mine, pupil.step):
        pupil.learn(lessons)
        done = step + 1
        if group.rank == 0 and (done % plan.keep_every == 0 or done == plan.steps):
            checkpoint.keep(folder, pupil.standing())
        if time.monotonic() - said > PROGRESS_S and group.rank == 0:
            said = time.monotonic()
            log.info("step %d of %d, loss %.4f", done, plan.steps, float(np.mean(pupil.losses[-plan.keep_every :])))
    return pupil.mean, pupil.losses


class Pupil:
    """A network with its optimiser, its mean weights and the losses so far."""

    def __init__(self, task: Task, plan: Plan, group: Group) -> None:
        self.plan, self.group = plan, group
        gpus = torch.cuda.device_count()
        self.device = torch.device("cuda", group.rank % gpus) if gpus else torch.device("cpu")
        self.dtype = PRECISIONS[plan.precision]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            network = ResidualUNet(task.architecture)
        if plan.begin:
            network.load_state_dict({name: value.float() for name, value in tensors(Path(plan.begin)).items()})
        self.network = network.to(self.device).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=plan.rate, weight_decay=plan.decay)
        self.mean = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.losses: list[float] = []
        self.step = 0

    def go_on_from(self, folder: Path) -> None:
        """Take up what a killed run has left in ``folder``, if anything."""
        standing = checkpoint.found(folder, self.device)
        if standing is None:
            return
        self.network.load_state_dict(standing.network)
        self.optimiser.load_state_dict(standing.optimiser)
        self.mean, self.losses, self.step = standing.mean, standing.losses, standing.step
        log.info("goes on at step %d of %d", self.step, self.plan.steps)

    def standing(self) -> checkpoint.Standing:
        """Return what a checkpoint holds."""
        network, optimiser = self.network.state_dict(), self.optimiser.state_dict()
        return checkpoint.Standing(self.step, network, optimiser, self.mean, self.losses)

    def learn(self, lessons: Sequence[Lesson]) -> None:
        """Take one step."""
        self._set_rate()
        image, target, known = (
            torch.from_numpy(np.stack([getattr(one, name) for one in lessons])).to(self.device)
            for name in ("image", "target", "known")
        )
        image = image.contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype is torch.bfloat16):
            logits = self.network(image)
        found = loss(logits, target, known)
        self.optimiser.zero_grad(set_to_none=True)
        found.backward()  # type: ignore[no-untyped-call]
        self.losses.append(self._shared(found.detach()))
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        self.optimiser.step()
        self.step += 1
        with torch.no_grad():
            # At first the mean follows fast, or it would hold the random beginning for long.
            share = min(MEAN_DECAY, self.step / (self.step + 10))
            for name, value in self.network.state_dict().items():
                self.mean[name].lerp_(value, 1 - share)

    def _set_rate(self) -> None:
        part = self.step / max(1, self.plan.steps)
        rise = min(1.0, (part + 1 / max(1, self.plan.steps)) / WARM_UP)
        for parameters in self.optimiser.param_groups:
            parameters["lr"] = self.plan.rate * rise * 0.5 * (1 + math.cos(math.pi * part))

    def _shared(self, found: torch.Tensor) -> float:
        """Average the gradients over all processes, and return the average loss."""
        if self.group.size > 1:
            gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
            flat = torch.cat([found.reshape(1), *(g.reshape(-1) for g in gradients)]) / self.group.size
            distributed.all_reduce(flat)
            found, at = flat[0], 1
            for gradient in gradients:
                gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
                at += gradient.numel()
        return float(found)


def _in_turn(
    task: Task, samples: Sequence[Sample], plan: Plan, mine: Sequence[int], first: int
) -> Iterator[tuple[int, list[Lesson]]]:
    """Yield each step that is left with this process's lessons, which are drawn ahead by threads."""
    with ThreadPoolExecutor(max(1, min(AHEAD * len(mine), torch.get_num_threads()))) as pool:
        drawn: dict[int, list[Future[Lesson]]] = {}
        for step in range(first, plan.steps):
            for ahead in range(step, min(step + AHEAD, plan.steps)):
                if ahead not in drawn:
                    numbers = [ahead * plan.batch + i for i in mine]
                    drawn[ahead] = [pool.submit(lesson, samples, task, plan.seed, number) for number in numbers]
            yield step, [future.result() for future in drawn.pop(step)]
