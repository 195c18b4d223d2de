"""The tree with what its lesions lose in three dimensions, and the flow that follows from it.

In a domain the reduced model loses ``R(q)``, the three-dimensional solution ``W(q)`` at the same flow q.  The friction and
the expansion of the domain's intervals are both multiplied by ``W / R``, so that at q the reduced tree loses exactly W there
and, both coefficients being positive, still has one solution.  Both, because one solution does not say which of them is off.
The tree is solved again; where its flow through the domain has changed by more than :data:`SAME_FLOW`, the domain is solved
at the new flow.  So the ratio of the two kinds matters only within that change.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from algorithms.coronary import flow
from algorithms.coronary.boundary import Boundary
from algorithms.coronary.coupled.domain import Domain, interval_losses_mmhg, through
from algorithms.coronary.coupled.measured import Solved, Solver, decisive
from algorithms.coronary.coupled.plan import Grid
from algorithms.coronary.haemodynamics.network import Losses, losses
from algorithms.coronary.lattice.checks import Check, at_most
from algorithms.coronary.solved.three_dimensional import MODELS_DIFFER
from algorithms.coronary.tree import Tree

log = logging.getLogger(__name__)

SAME_FLOW = 0.01
"""Relative change of the flow through a domain that is not worth another solution."""

MOST_SOLUTIONS = 3
"""Of one domain: the flow through a lesion changes less each time, for most of its resistance lies behind it."""


@dataclass(eq=False)
class Lesion:
    """One domain on its way: its last solution, the ratio that follows, and what was checked of both."""

    domain: Domain
    grid: Grid
    solved: Solved | None = None
    solutions: int = 0
    ratio: float = 1.0
    reduced_mmhg: float = float("nan")
    checks: list[Check] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Return whether its solution may be believed."""
        return self.solved is not None and not self.solved.refused and all(check.passed for check in self.checks)


def couple(tree: Tree, given: Boundary, lesions: Sequence[Lesion], solver: Solver) -> tuple[flow.Flow, tuple[np.ndarray, ...]]:
    """Return the flow in ``tree`` with the three-dimensional losses of ``lesions``, and the ratio of each interval, (N - 1,).

    ``lesions`` come from the ostium on, and are filled.  One whose solution fails a check keeps a ratio of 1.
    """
    lost = losses(tree, tuple(b.radius_mm for b in tree.branches), given["viscosity_pa_s"], given["density_kg_m3"])
    ratio = tuple(np.ones(len(b.radius_mm) - 1) for b in tree.branches)
    solved = flow.solve(tree, given)
    for _ in range(MOST_SOLUTIONS):
        pending = [lesion for lesion in lesions if _is_pending(tree, lesion, solved)]
        if not pending:
            break
        for lesion in pending:
            now = through(tree, lesion.domain, solved)
            lesion.solved = solver(lesion.domain, lesion.grid, now, lesion.solved)
            lesion.solutions += 1
            lesion.checks = list(lesion.solved.checks)
        ratio = _ratios(tree, lesions, lost, given["aortic_pressure_mmhg"])
        solved = flow.solve(tree, given, ratio)
    for lesion in lesions:
        if lesion.passed and lesion.solved is not None:
            change = _change(tree, lesion, solved)
            lesion.checks.append(at_most("flow of the coupling", change, SAME_FLOW, "change since the last solution"))
    if any(not lesion.passed for lesion in lesions):
        ratio = _ratios(tree, lesions, lost, given["aortic_pressure_mmhg"])
        solved = flow.solve(tree, given, ratio)
    return solved, ratio


def _is_pending(tree: Tree, lesion: Lesion, solved: flow.Flow) -> bool:
    if lesion.solved is None:
        return True
    return lesion.passed and _change(tree, lesion, solved) > SAME_FLOW


def _change(tree: Tree, lesion: Lesion, solved: flow.Flow) -> float:
    assert lesion.solved is not None
    before = lesion.solved.through.inflow_ml_s
    return abs(through(tree, lesion.domain, solved).inflow_ml_s / before - 1)


def _ratios(tree: Tree, lesions: Sequence[Lesion], lost: Losses, aortic_mmhg: float) -> tuple[np.ndarray, ...]:
    """Return the ratio of every interval; an interval that two domains share follows the first of them."""
    ratio = [np.ones(len(branch.radius_mm) - 1) for branch in tree.branches]
    taken = [np.zeros(len(each), dtype=bool) for each in ratio]
    for lesion in lesions:
        if lesion.solved is None or not np.isfinite(lesion.solved.loss_mmhg):
            continue
        each = interval_losses_mmhg(tree, lesion.domain, lesion.solved.through, lost)
        lesion.reduced_mmhg = float(sum(part.sum() for part in each))
        shared = sum(float((part * ratio[i])[taken[i]].sum()) for i, part in enumerate(each))
        own = sum(float(part[~taken[i]].sum()) for i, part in enumerate(each))
        left = lesion.solved.loss_mmhg - shared
        difference = decisive(lesion.solved.loss_mmhg - lesion.reduced_mmhg, lesion.solved.loss_mmhg, aortic_mmhg)
        told = "of the loss at the same flow, or of a fifth of aortic pressure"
        names = {check.name for check in lesion.checks}
        if "difference of the models" not in names:
            lesion.checks.append(at_most("difference of the models", difference, MODELS_DIFFER, told))
        if left <= 0 and "loss" not in names:
            lesion.checks.append(Check("loss", round(left, 6), "mmHg", "> 0", False, "a vessel takes energy from blood"))
        if not lesion.passed:
            lesion.ratio = 1.0
            continue
        lesion.ratio = left / own
        for i, inside in enumerate(lesion.domain.intervals):
            mine = inside & ~taken[i]
            ratio[i][mine] = lesion.ratio
            taken[i] |= mine
    log.info("ratios of losses, 3-D over reduced: %s", ", ".join(f"{lesion.ratio:.3f}" for lesion in lesions))
    return tuple(ratio)
