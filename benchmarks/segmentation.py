"""What following the arteries saves, and what the line filter costs: ``python -m benchmarks.segmentation``.

On one full-size phantom that no training has seen, in one process and one thread, as CPU seconds:

- the fine network asked where the lumen leads, against the same network in a sliding window over the whole volume: with the
  blocks that Heartwood would use, and with blocks that overlap by half, as MONAI and nnU-Net do (reckoned from the time of a
  block, the others are run);
- Heartwood's tubeness at candidate voxels against scikit-image's Frangi filter with the same scales in the same box; each
  answer is cut where it agrees best with the true lumen, among the same candidates.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from algorithms.coronary.anatomy import find_anatomy
from algorithms.coronary.grid import Grid
from algorithms.coronary.learned_lumen import followed
from algorithms.coronary.vesselness import SCALES_MM, tubeness
from algorithms.coronary.vessels import lumen_likeness
from algorithms.phantom.coronary.phantom import coronary_phantom
from algorithms.segmentation.resample import origin_mm, resampled
from algorithms.segmentation.segmenter import Answers, load
from benchmarks.evidence import keep

log = logging.getLogger("benchmarks.segmentation")

SEED, DIFFICULTY = 401, "usual"
"""A study of the wide benchmark."""

MODEL = "fine"


def main() -> None:
    """Measure and keep the evidence."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    phantom = coronary_phantom(SEED, "full", DIFFICULTY)
    volume = Grid(phantom.volume_hu, phantom.spacing_mm, phantom.origin_mm)
    truth = volume.with_values(phantom.lumen_fraction >= 32)
    anatomy = find_anatomy(volume)
    ostia = np.array([ostium.point_mm for _, ostium in sorted(anatomy.ostia.items())])
    start, stop = (tuple(int(n) for n in corner) for corner in anatomy.heart_box)
    found = {
        "study": f"{DIFFICULTY}, seed {SEED}, {' x '.join(map(str, volume.values.shape))} voxels",
        "network": network(volume, volume.box(start, stop), ostia, anatomy.aorta.mean_hu),
        "filter": line_filter(volume.box(start, stop), truth.box(start, stop), anatomy.aorta.mean_hu),
    }
    log.info("%s\nkept in %s", found, keep("segmentation", found))


def network(volume: Grid, box: Grid, ostia_mm: np.ndarray, aorta_hu: float) -> dict[str, Any]:
    """Return blocks and CPU seconds of following the lumen, of the whole volume, and of it with overlap."""
    import torch

    torch.set_num_threads(1)
    segmenter = load(MODEL)
    seen = segmenter.entry.input
    spacing = seen.spacing_mm
    fine = Grid(resampled(box.values, box.spacing_mm, spacing), spacing, origin_mm(box.origin_mm, box.spacing_mm, spacing))
    segmenter.answer(np.zeros(seen.block, np.float32))  # the first call chooses kernels
    answers, followed_s = timed(lambda: followed(fine, ostia_mm, [segmenter], aorta_hu))
    whole = Answers(segmenter, resampled(volume.values, volume.spacing_mm, spacing), aorta_hu)
    shape: tuple[int, ...] = whole.asked.shape
    blocks, whole_s = timed(whole.ask)
    half = [side // 2 for side in seen.block]
    overlapping = 1
    for side, step in zip(shape, half, strict=True):
        overlapping *= 1 + max(0, -(-(side - 2 * step) // step))
    return {
        "followed_blocks": answers.blocks,
        "followed_s": round(followed_s, 1),
        "whole_blocks": blocks,
        "whole_s": round(whole_s, 1),
        "overlapping_blocks": overlapping,
        "overlapping_s": round(overlapping * whole_s / blocks, 1),
        "speed_up": round(whole_s / followed_s, 1),
        "speed_up_overlapping": round(overlapping * whole_s / blocks / followed_s, 1),
    }


def line_filter(box: Grid, truth: Grid, aorta_hu: float) -> dict[str, Any]:
    """Return CPU seconds and best Dice of our tubeness and of scikit-image's Frangi filter."""
    from skimage.filters import frangi

    spacing = (0.5, 0.5, 0.5)
    hu = resampled(box.values, box.spacing_mm, spacing)
    true = resampled(truth.values.astype(np.float32), truth.spacing_mm, spacing) >= 0.5
    candidates = (hu > 0.45 * aorta_hu) & (hu < aorta_hu + 200)
    index = np.argwhere(candidates)
    tubeness(hu[:16, :16, :16], spacing[0], np.array([[8, 8, 8]]))  # compiled before it is timed
    tube, ours_s = timed(lambda: tubeness(hu, spacing[0], index))
    sigmas = [scale / spacing[0] for scale in SCALES_MM]
    theirs, theirs_s = timed(lambda: frangi(hu, sigmas=sigmas, black_ridges=False))  # type: ignore[no-untyped-call,unused-ignore]
    ours = lumen_likeness(hu[candidates], tube, aorta_hu)
    return {
        "candidates": len(index),
        "ours_s": round(ours_s, 1),
        "frangi_s": round(theirs_s, 1),
        "speed_up": round(theirs_s / ours_s, 1),
        "ours_dice": best_dice(ours, true[candidates], int(true.sum())),
        "frangi_dice": best_dice(theirs[candidates], true[candidates], int(true.sum())),
    }


def best_dice(answer: np.ndarray, true: np.ndarray, total: int) -> float:
    """Return the greatest Dice of ``answer`` (N,) cut at any value; ``total`` voxels are true in all."""
    order = np.argsort(-answer, kind="stable")
    hits = np.cumsum(true[order])
    return round(float((2 * hits / (np.arange(1, len(hits) + 1) + total)).max()), 3)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what ``work`` returns, and its CPU seconds."""
    before = time.process_time()
    answer = work()
    return answer, time.process_time() - before


if __name__ == "__main__":
    main()
