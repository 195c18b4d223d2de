"""Fractional flow reserve along the tree, behind every lesion and for every vessel, with its interval and band.

FFR is mean distal pressure over mean aortic pressure at maximal hyperaemia (Pijls et al., N Engl J Med 334:1703 (1996)).
A lesion's value is read 15 mm behind its end and never at the vessel's tip, whose value falls with every millimetre
that is segmented.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.coronary.boundary import Boundary, read_boundary
from algorithms.coronary.flow import read_pressures, read_three_dimensional, solve
from algorithms.coronary.haemodynamics.branching import ROUNDING_MM, end_children, origin_radius_mm
from algorithms.coronary.haemodynamics.interval import Source, lumen_bias, pressure_samples, sources
from algorithms.coronary.tree import Tree, read_tree
from algorithms.report.words import shared_out

log = logging.getLogger(__name__)

READING_DISTANCE_MM = 15.0
"""FFR is read this far behind a lesion's end.

The middle of the recommended 10-20 mm (Norgaard et al., Radiol Cardiothorac Imaging 1:e190050 (2019)).
"""

NEGATIVE_ABOVE, POSITIVE_UP_TO = 0.80, 0.75
"""Bands of the value rounded to two digits, with a grey zone between (Norgaard et al. 2019)."""

MAIN_VESSELS = ("LM", "LAD", "LCx", "RCA")
"""Vessels that are summarised whatever their calibre."""

LEAST_SIDE_BRANCH_MM = 1.5
"""Side branches whose healthy diameter at the origin is smaller are neither treated nor summarised (CAD-RADS 2.0)."""

DISTAL_DIAMETER_MM = 2.0
"""Without a lesion a vessel is read at its last point with this healthy diameter: a wire goes, and a stent fits, as far."""

INTERVAL_LEVEL = 0.95
"""Probability that the interval is meant to hold."""

LEAST_LOSS = 1e-4
"""Where FFR of the reduced model is nearer to 1 than this, nothing is lost of which a ratio could be taken."""

BANDS = ("negative", "grey", "positive")

PROBABILITY_STEPS = 1000
"""Probabilities are written in thousandths, which add up to 1 exactly."""


@dataclass(frozen=True)
class Reading:
    """Where a value is read: branch and point, and how far behind the lesion's end that is."""

    branch: int
    point: int
    distal_mm: float


def band(ffr: float) -> str:
    """Return ``negative``, ``grey`` or ``positive`` for ``ffr``, judged as it is shown, with two digits."""
    shown = round(ffr, 2)
    if shown > NEGATIVE_ABOVE:
        return "negative"
    return "positive" if shown <= POSITIVE_UP_TO else "grey"


def band_probability(samples: np.ndarray) -> dict[str, float] | None:
    """Return the share of the perturbed values (S,) that lies in each band, judged as :func:`band` does; None without any.

    Shares are thousandths that add up to 1.
    """
    if not len(samples):
        return None
    counts = [sum(band(float(value)) == name for value in samples) for name in BANDS]
    whole = shared_out(counts, PROBABILITY_STEPS)
    return {name: part / PROBABILITY_STEPS for name, part in zip(BANDS, whole, strict=True)}


def reading(tree: Tree, stenosis: int) -> Reading:
    """Return where the FFR of a lesion is read: 15 mm behind its end, along the vessel and then its largest daughter.

    The way stops before the next lesion, whose own loss is not this one's, and at the vessel's end.
    """
    lesion = tree.stenoses[stenosis]
    branch, point, walked = lesion.branch, lesion.end, 0.0
    while True:
        distance = tree.branches[branch].distance_mm
        ahead = [s.start for s in tree.stenoses if s.branch == branch and s.start >= point and s is not lesion]
        last = min([*ahead, len(distance) - 1])
        wanted = distance[point] + READING_DISTANCE_MM - walked - ROUNDING_MM
        target = min(int(np.searchsorted(distance, wanted)), last)
        walked += float(distance[target] - distance[point])
        onward = end_children(tree, branch)
        if target < len(distance) - 1 or target in ahead or not onward:
            return Reading(branch, target, walked)
        branch, point = max(onward, key=lambda c: origin_radius_mm(tree.branches[c])), 0


def distal_point(tree: Tree, index: int) -> int:
    """Return the point where a vessel without a lesion is read: the last one with a healthy diameter of 2 mm.

    A smaller vessel is read where it last has three quarters of its healthy diameter at the origin.
    """
    diameter = 2 * tree.branches[index].reference_radius_mm
    wide = np.flatnonzero(diameter >= min(DISTAL_DIAMETER_MM, 0.75 * diameter[0]))
    return int(wide[-1])


def summarised(tree: Tree) -> list[int]:
    """Return the branches that get a line of their own: the main vessels, side branches of 1.5 mm, and any with a lesion."""
    diseased = {s.branch for s in tree.stenoses}
    return [
        i
        for i, b in enumerate(tree.branches)
        if b.name in MAIN_VESSELS or i in diseased or 2 * float(b.reference_radius_mm[0]) >= LEAST_SIDE_BRANCH_MM
    ]


def answer(
    tree: Tree, ffr: tuple[np.ndarray, ...], samples: tuple[np.ndarray, ...], found: tuple[Source, ...] = ()
) -> dict[str, Any]:
    """Return everything that ``ffr.json`` holds.

    Parameters
    ----------
    tree
        The tree with its stenoses.
    ffr
        FFR at every point, one (N,) array a branch.
    samples
        FFR at every point of S perturbed trees, one (S, N) array a branch; S may be 0: then there is no interval, and
        its ends are the value itself.
    found
        What was perturbed.
    """
    tail = (1 - INTERVAL_LEVEL) / 2
    count = len(samples[0]) if samples else 0
    low, high = [], []
    for value, perturbed in zip(ffr, samples, strict=True):
        ends = np.quantile(perturbed, [tail, 1 - tail], axis=0) if count else np.stack([value, value])
        low.append(np.minimum(ends[0], value))  # the interval holds its value even where the samples' median does not
        high.append(np.maximum(ends[1], value))

    def at(branch: int, point: int) -> dict[str, Any]:
        values = {"ffr": ffr, "ffr_low": low, "ffr_high": high}
        read: dict[str, Any] = {name: round(float(array[branch][point]), 4) for name, array in values.items()}
        return read | {"band_probability": band_probability(samples[branch][:, point]) if count else None}

    lesions = [_lesion(tree, index, at) for index in range(len(tree.stenoses))]
    vessels = [_vessel(tree, index, lesions, at) for index in summarised(tree)]
    branches = [
        {"name": b.name}
        | {name: np.round(array[i], 4).tolist() for name, array in (("ffr", ffr), ("ffr_low", low), ("ffr_high", high))}
        for i, b in enumerate(tree.branches)
    ]
    interval = {"level": INTERVAL_LEVEL, "samples": count, "sources": [source.as_json() for source in found]}
    return {"branches": branches, "lesions": lesions, "vessels": vessels, "interval": interval}


def _lesion(tree: Tree, index: int, at: Any) -> dict[str, Any]:
    lesion = tree.stenoses[index]
    place = reading(tree, index)
    value = at(place.branch, place.point)
    delta = at(lesion.branch, lesion.start)["ffr"] - value["ffr"]
    return {
        "stenosis": index,
        "vessel": tree.branches[lesion.branch].name,
        "segment": lesion.segment,
        **value,
        "branch": place.branch,
        "point": place.point,
        "distal_mm": round(place.distal_mm, 2),
        "delta_ffr": round(delta, 4),
        "band": band(value["ffr"]),
    }


def _vessel(tree: Tree, index: int, lesions: list[dict[str, Any]], at: Any) -> dict[str, Any]:
    own = [lesion for lesion in lesions if tree.stenoses[lesion["stenosis"]].branch == index]
    place = min(own, key=lambda lesion: float(lesion["ffr"])) if own else {"branch": index, "point": distal_point(tree, index)}
    value = at(place["branch"], place["point"])
    return {
        "vessel": tree.branches[index].name,
        **value,
        "band": band(value["ffr"]),
        "branch": place["branch"],
        "point": place["point"],
        "tip_ffr": at(index, -1)["ffr"],
        "lesions": [lesion["stenosis"] for lesion in own],
    }


def along(pressure_mmhg: tuple[np.ndarray, ...], aortic_mmhg: float | np.ndarray) -> tuple[np.ndarray, ...]:
    """Return FFR at every point, one (..., N) array a branch, from pressures (..., N) and aortic pressure (...)."""
    return tuple(p / np.asarray(aortic_mmhg)[..., None] for p in pressure_mmhg)


def run(
    inputs: Mapping[str, Path], out: Path, *, interval_samples: int, interval_seed: int, radius_bias_sd_mm: float
) -> dict[str, float | int | str]:
    """Read ``tree``, ``boundary``, ``flow`` and, of ``quality``, the voxel; write ``ffr.json``, return the worst values."""
    tree, given = read_tree(inputs["tree"]), read_boundary(inputs["boundary"])
    ffr = along(read_pressures(inputs["flow"]), given["aortic_pressure_mmhg"])
    bias = lumen_bias(radius_bias_sd_mm, json.loads(inputs["quality"].read_text())["facts"]["spacing_mm"])
    samples, found = perturbed(tree, given, interval_samples, interval_seed, bias)
    if (read_three_dimensional(inputs["flow"]) or {}).get("used", "reduced") != "reduced":
        samples = about(samples, along(solve(tree, given).pressure_mmhg, given["aortic_pressure_mmhg"]), ffr)
    document = answer(tree, ffr, samples, found)
    (out / "ffr.json").write_text(json.dumps(document, separators=(",", ":")) + "\n")
    worst = min(document["vessels"], key=lambda v: float(v["ffr"]))
    log.info("%d lesions, lowest FFR %.2f (%s)", len(document["lesions"]), worst["ffr"], worst["vessel"])
    return {
        "lowest_ffr": worst["ffr"],
        "lowest_ffr_vessel": worst["vessel"],
        "lesions": len(document["lesions"]),
        "positive_vessels": sum(v["band"] == "positive" for v in document["vessels"]),
    }


def about(
    samples: tuple[np.ndarray, ...], reduced: tuple[np.ndarray, ...], ffr: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, ...]:
    """Return the samples (S, N) of the reduced model as they spread about an answer ``ffr`` (N,) that is not all its own.

    What each sample loses on its way to a point is multiplied by what the answer loses there over what the reduced model
    does: the unperturbed sample becomes the answer, and relative spreads are kept.
    """
    spread = []
    for perturbed_ffr, own, value in zip(samples, reduced, ffr, strict=True):
        ratio = np.where(1 - own > LEAST_LOSS, (1 - value) / np.maximum(1 - own, LEAST_LOSS), 1.0)
        spread.append(np.clip(1 - ratio * (1 - perturbed_ffr), 0.0, None))
    return tuple(spread)


def perturbed(
    tree: Tree, given: Boundary, count: int, seed: int, bias: Source
) -> tuple[tuple[np.ndarray, ...], tuple[Source, ...]]:
    """Return FFR of ``count`` perturbed trees, one (count, N) array a branch, and what was perturbed."""
    found = sources(given, bias)
    pressures, aortic = pressure_samples(tree, given, found, count, np.random.default_rng(seed))
    return along(pressures, aortic), found
