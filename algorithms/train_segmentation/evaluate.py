"""The stage ``evaluate``: what the network makes of the studies that it has not learnt from, the worst first."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.contract.digest import sha256_path
from algorithms.segmentation.entry import HEARTWOOD, Entry
from algorithms.segmentation.segmenter import Segmenter, own_network
from algorithms.train_segmentation.judgement import judged, means
from algorithms.train_segmentation.pictures import draw_case
from algorithms.train_segmentation.sample import FULL, Sample, read_samples
from algorithms.train_segmentation.tasks import TASKS, Task

log = logging.getLogger(__name__)

PRECISION = "float32"
"""Numbers inside the network while it is judged: those that give the same figures on most machines."""

Figures = dict[str, dict[str, float | None]]


def candidate(weights: Path, task: Task) -> Entry:
    """Return the entry of weights that are not in the registry yet."""
    return Entry(
        name="candidate",
        title=task.title,
        task=task.name,
        format=HEARTWOOD,
        uri=weights.name,
        sha256=sha256_path(weights),
        licence="",
        statement="",
        input=task.input,
        channels=task.channels,
        architecture=task.architecture,
    )


def case_figures(answer: np.ndarray, channels: Sequence[str], sample: Sample, task: Task) -> Figures:
    """Return the figures of each channel that the sample knows and the model answers with, by its name."""
    truth = {name: number for number, name in enumerate(task.channels) if sample.known[number]}
    return {
        name: judged(name, answer[number], np.asarray(sample.targets[truth[name]]) / FULL, task.input.spacing_mm)
        for number, name in enumerate(channels)
        if name in truth
    }


def all_figures(segmenter: Segmenter, samples: Sequence[Sample], task: Task) -> list[Figures]:
    """Return the figures of every sample."""
    return [case_figures(answer_to(segmenter, one), segmenter.entry.channels, one, task) for one in samples]


def answer_to(segmenter: Segmenter, sample: Sample) -> np.ndarray:
    """Return what the network says of a sample, (channels, Z, Y, X)."""
    return segmenter.probabilities(np.asarray(sample.image), blood_hu=sample.blood_hu)


def badness(figures: Figures) -> float:
    """Return how bad a case is: what its worst channel lacks of a full overlap; a structure that was missed counts in full."""
    lack = [1 - (f.get("dice") or 0.0) for f in figures.values() if "dice" in f]
    return max(lack, default=0.0)


def run(inputs: Mapping[str, Path], out: Path) -> dict[str, float | int | str]:
    """Write ``evaluation.json`` and ``pictures``."""
    samples = read_samples(inputs["samples"], held_back=True)
    task = TASKS[samples[0].facts["task"]]
    entry = candidate(inputs["weights"], task)
    segmenter = Segmenter(entry, own_network(entry, inputs["weights"]), PRECISION)
    (out / "pictures").mkdir()
    cases: list[dict[str, Any]] = []
    for number, sample in enumerate(samples, start=1):
        answer = answer_to(segmenter, sample)
        figures = case_figures(answer, task.channels, sample, task)
        draw_case(sample, answer, task, out / "pictures" / f"{sample.name}.png")
        cases.append({"label": sample.name, "source": sample.facts["source"], "badness": badness(figures), "channels": figures})
        log.info("judged %d of %d held-back studies", number, len(samples))
    cases.sort(key=lambda case: (-case["badness"], case["label"]))
    found = means([case["channels"] for case in cases])
    document = {"task": task.name, "precision": PRECISION, "means": found, "cases": cases}
    (out / "evaluation.json").write_text(json.dumps(document, indent=1) + "\n")
    overlaps = [f["dice"] for f in found.values() if f.get("dice") is not None]
    return {"cases": len(cases), "mean_dice": round(float(np.mean(np.array(overlaps, float))), 4)}
