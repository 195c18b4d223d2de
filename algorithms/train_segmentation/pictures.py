"""Pictures of a judged study: the slice with most errors in three directions, truth and answer as outlines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from algorithms.report.drawing import WIDTH_IN, figure, save
from algorithms.report.palette import MUTED, TONES
from algorithms.train_segmentation.judgement import HALF
from algorithms.train_segmentation.sample import FULL, Sample
from algorithms.train_segmentation.tasks import OSTIA, Task

WINDOW_HU = (-150.0, 650.0)
"""Fat to bright blood."""

VIEWS = ("from below", "from the front", "from the left")


def draw_case(sample: Sample, answer: np.ndarray, task: Task, path: Path) -> None:
    """Write a picture of the channel with most voxels on the wrong side of a half, in its slices with most of them."""
    truth = np.asarray(sample.targets) >= HALF * FULL
    found = answer >= HALF
    shown = [i for i, name in enumerate(task.channels) if sample.known[i] and name not in OSTIA]
    channel = max(shown, key=lambda i: int((truth[i] != found[i]).sum()))
    wrong = truth[channel] != found[channel]
    image = np.asarray(sample.image)
    with figure(WIDTH_IN, 2.9) as drawn:
        for axis, title in enumerate(VIEWS):
            at = int(wrong.sum(axis=tuple(a for a in range(3) if a != axis)).argmax())
            axes = drawn.add_axes((0.005 + 0.3317 * axis, 0.1, 0.325, 0.8))
            grey, true, said = (np.take(values, at, axis=axis) for values in (image, truth[channel], found[channel]))
            axes.imshow(grey, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], origin="upper" if axis == 0 else "lower")
            for mask, tone in ((true, "negative"), (said, "positive")):
                if mask.any() and not mask.all():
                    axes.contour(mask, levels=[0.5], colors=[TONES[tone].line], linewidths=0.9)
            axes.set_axis_off()
            axes.set_title(f"{title}, slice {at}", loc="left", color=MUTED, fontsize=8)
        drawn.text(0.005, 0.02, f"{task.channels[channel]}: truth in blue, answer in red", color=MUTED, fontsize=8)
        save(drawn, path, dpi=150)


def draw_losses(losses: Sequence[float], path: Path) -> None:
    """Write the loss of every step, and its running mean."""
    values = np.asarray(losses, float)
    span = max(1, len(values) // 40)
    smooth = np.convolve(values, np.full(span, 1 / span), mode="valid")
    with figure(WIDTH_IN, 2.2) as drawn:
        axes = drawn.add_axes((0.08, 0.2, 0.9, 0.72))
        axes.plot(np.arange(1, len(values) + 1), values, color=TONES["neutral"].line, lw=0.4, alpha=0.6)
        axes.plot(np.arange(len(smooth)) + span, smooth, color=TONES["negative"].ink, lw=1.6)
        axes.set(xlabel="step", ylabel="loss", ylim=(0, None), xlim=(0, len(values) + 1))
        save(drawn, path)
