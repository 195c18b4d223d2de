"""What training and asking the networks costs: CPU seconds of a phantom, a lesson and a block, one thread.

    python -m benchmarks.training

CPU seconds, because a training has the machine for itself and a benchmark has not.  Twice as many threads do not halve them.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from algorithms.phantom.coronary.phantom import coronary_phantom
from algorithms.segmentation.entry import HEARTWOOD, Entry
from algorithms.segmentation.segmenter import PRECISIONS, Segmenter
from algorithms.segmentation.unet import ResidualUNet
from algorithms.train_segmentation.fit import Group, Plan, Pupil
from algorithms.train_segmentation.lessons import Lesson, lesson
from algorithms.train_segmentation.sample import read_sample, write_sample
from algorithms.train_segmentation.targets import phantom_study, targets
from algorithms.train_segmentation.tasks import BLOOD_HU, TASKS, Task
from benchmarks.evidence import keep

log = logging.getLogger("benchmarks.training")

SEED = 100_000
TIMES = 3
"""Repetitions; the least is kept, because other programs only ever add."""


def cpu_s(call: Callable[[], Any], times: int = TIMES) -> float:
    """Return the least CPU seconds of a call."""
    found = []
    for _ in range(times):
        started = time.process_time()
        call()
        found.append(time.process_time() - started)
    return round(min(found), 3)


def measured(task: Task, folder: Path) -> dict[str, Any]:
    """Return what one network costs."""
    started = time.process_time()
    image, made, facts = targets(phantom_study(coronary_phantom(SEED, task.phantom_size, "moderate")), task)
    write_sample(folder, image, made, facts | {"name": "p", "task": task.name, "held_back": False})
    prepared = round(time.process_time() - started, 1)
    sample = read_sample(folder)
    block = np.asarray(np.resize(np.asarray(sample.image), task.input.block), np.float32)
    core = tuple(side - 2 * task.input.margin for side in task.input.block)
    given = block[tuple(slice(0, side) for side in core)]
    out: dict[str, Any] = {
        "network": task.name,
        "parameters": sum(p.numel() for p in ResidualUNet(task.architecture).parameters()),
        "block": list(task.input.block),
        "lesson": list(task.taught),
        "phantom_cpu_s": prepared,
        "draw_cpu_s": cpu_s(lambda: lesson([sample], task, 1, 1)),
    }
    one = lesson([sample], task, 1, 1)
    for name in PRECISIONS:
        out[name] = costs(task, one, given, name)
        log.info("%s %s: %s", task.name, name, out[name])
    return out


def costs(task: Task, one: Lesson, given: np.ndarray, precision: str) -> dict[str, float]:
    """Return the CPU seconds of one lesson, and of the block whose core is ``given``, with these numbers in the network."""
    pupil = Pupil(task, Plan(100, 1, precision=precision), Group())
    pupil.learn([one])  # the first is longer: memory is found
    lesson_s = cpu_s(lambda: pupil.learn([one]))
    segmenter = Segmenter(_entry(task), pupil.network, precision)
    return {"lesson_cpu_s": lesson_s, "block_cpu_s": cpu_s(lambda: segmenter.probabilities(given, blood_hu=BLOOD_HU))}


def _entry(task: Task) -> Entry:
    texts = ("measured", task.title, task.name, HEARTWOOD, "", "0" * 64, "", "")
    return Entry(*texts, task.input, task.channels, architecture=task.architecture)


def main() -> None:
    """Measure both networks."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        networks = [measured(task, Path(folder) / name) for name, task in TASKS.items()]
    able = torch.cpu.get_capabilities()
    results = {"bfloat16_in_hardware": bool(able.get("amx_bf16") or able.get("avx512_bf16")), "networks": networks}
    log.info("kept in %s", keep("training", results))


if __name__ == "__main__":
    main()
