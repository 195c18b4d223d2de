"""From the members of an ensemble to one risk with an interval.

Each member gives two cumulative hazards, one by each prognostic head; their mean is the member's.  The ensemble's is the
geometric mean of its members'.  Its interval has two parts: the members' standard deviation of the logarithm, and one
deviation for all men that covers what the members have in common, found on men who took no part in the training
(``common``).  Risks are cumulative incidences: death of
other causes, by age alone, competes.

Arrays are (..., E, Y): endpoints in the order of `ENDPOINTS`, times in the order of ``YEARS``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from algorithms.prostate.risk.attention import RunningPool
from algorithms.prostate.risk.covariates import NAMES, Scale
from algorithms.prostate.risk.incidence import Gompertz, cumulative_incidence
from algorithms.prostate.risk.model import ENDPOINTS, INTERVALS, Member, Outputs
from algorithms.prostate.risk.projection import Projection

YEARS = np.arange(0, INTERVALS + 0.125, 0.25)
"""Times at which the incidence is given, years."""

HORIZONS = (5, 10)
"""Times that are reported and at which intervals are made honest, years."""

LEAST_HAZARD = 1e-6
"""Cumulative hazard below which logarithms are not compared: less than any risk that a report shows."""

NORMAL_95 = 1.96
"""Standard deviations on either side of the mean that hold 95 % of a normal law."""

ARMS = ("without", "with")
"""Without and with short-term androgen deprivation; first axis of :func:`cumulative_hazards`."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Everything that turns features and clinical variables into a risk.

    ``cox_baseline`` (M, E, Y) is the cumulative hazard of a man whose Cox head says 0, without the treatment.
    ``common`` (E, H) is the standard deviation of the log cumulative hazard that the members do not show, at `HORIZONS` (in
    between it is interpolated), and ``common_benefit`` that of the relative reduction of risk by the treatment.
    ``tiles`` puts tiles on axes, ``case`` the mean of a case's tiles on those axes.
    """

    tiles: Projection
    case: Projection
    scale: Scale
    members: tuple[Member, ...]
    cox_baseline: np.ndarray
    other_causes: Gompertz
    common: np.ndarray = field(default_factory=lambda: np.zeros((len(ENDPOINTS), len(HORIZONS))))
    common_benefit: float = 0.0


class Bags(NamedTuple):
    """The attended mean of N men's tiles in each member, (M, N, width), and their context, (N, size.context)."""

    attended: torch.Tensor
    context: torch.Tensor


class Forecast(NamedTuple):
    """What the ensemble says of N men.

    Risks without the treatment and their intervals, and risks with it, (N, E, Y); how much lower the ten-year risk of
    metastasis is with it, (N,).
    """

    risk: np.ndarray
    low: np.ndarray
    high: np.ndarray
    treated: np.ndarray
    benefit: np.ndarray
    benefit_low: np.ndarray
    benefit_high: np.ndarray


class Reading(NamedTuple):
    """What one pass over a case's tiles gives.

    Its bags (N is 1), each tile's scores (M, T) and distance (T,) from the training tiles, and the distance of the case as a
    whole from the training men.
    """

    bags: Bags
    pools: list[RunningPool]
    scores: np.ndarray
    distance: np.ndarray
    case_distance: float

    def attention(self) -> np.ndarray:
        """Return the attention of each tile, (T,) float64, the mean of the members'; it sums to 1."""
        shares = [pool.attention(torch.from_numpy(s)).numpy() for pool, s in zip(self.pools, self.scores, strict=True)]
        attention = np.mean(shares, axis=0)
        return np.asarray(attention / attention.sum())


@torch.inference_mode()
def read(ensemble: Ensemble, pieces: Iterable[np.ndarray]) -> Reading:
    """Return what the tiles of a case give, read piece by piece, (t, D) finite features each."""
    pools = [RunningPool(member.size.width) for member in ensemble.members]
    total = np.zeros(ensemble.tiles.axes.shape[1])
    scores: list[np.ndarray] = []
    distances: list[np.ndarray] = []
    for features in pieces:
        coordinates, distance = ensemble.tiles(features)
        distances.append(distance)
        total += coordinates.sum(axis=0, dtype=float)
        of_members = []
        for member, pool in zip(ensemble.members, pools, strict=True):
            inside = member.tiles(torch.from_numpy(coordinates))
            score = member.attention(inside)
            pool.add(inside, score)
            of_members.append(score.numpy())
        scores.append(np.stack(of_members))
    distance = np.concatenate(distances)
    context, case_distance = ensemble.case((total / len(distance))[None])
    bags = Bags(torch.stack([pool.mean() for pool in pools])[:, None], torch.from_numpy(context))
    return Reading(bags, pools, np.concatenate(scores, axis=1), distance, float(case_distance[0]))


@torch.inference_mode()
def cumulative_hazards(ensemble: Ensemble, bags: Bags, covariates: np.ndarray) -> np.ndarray:
    """Return each member's cumulative hazards, (2, M, N, E, Y): arms first; covariates are (N, C)."""
    found = []
    clinical = torch.from_numpy(covariates)
    for i, member in enumerate(ensemble.members):
        outputs = member.heads(bags.attended[i], bags.context, clinical)
        found.append(head_hazards(outputs, ensemble.cox_baseline[i]).mean(axis=0))
    return np.stack(found, axis=1)


def head_hazards(outputs: Outputs, baseline: np.ndarray) -> np.ndarray:
    """Return one member's cumulative hazards by Cox's head and by the discrete-time head, (2 heads, 2 arms, N, E, Y).

    Within a year the discrete-time head's hazard is constant.
    """
    cox, log_log, treatment = (o.numpy().astype(float) for o in outputs)
    by_cox = np.exp(cox)[:, :, None] * baseline
    at_ends = np.concatenate([np.zeros((*log_log.shape[:2], 1)), np.cumsum(np.exp(log_log), axis=2)], axis=2)
    whole = np.minimum(np.floor(YEARS).astype(int), INTERVALS - 1)
    part = YEARS - whole
    by_interval = at_ends[:, :, whole] * (1 - part) + at_ends[:, :, whole + 1] * part
    without = np.stack([by_cox, by_interval])
    return np.stack([without, without * np.exp(treatment)[:, :, None]], axis=1)


def forecast(ensemble: Ensemble, hazards: np.ndarray, age_years: np.ndarray) -> Forecast:
    """Return the ensemble's risks without the treatment, and the benefit of it.

    ``hazards`` are those of :func:`cumulative_hazards`, (2, M, N, E, Y); an age (N,) that is NaN counts as the mean of the
    training men.
    """
    age = np.where(np.isnan(age_years), ensemble.scale.mean[NAMES.index("age_years")], age_years)
    other = ensemble.other_causes.cumulative_hazard(age[:, None], YEARS)[:, None, :]
    logs = np.log(np.maximum(hazards, LEAST_HAZARD))
    centre = logs.mean(axis=1)
    common = np.stack([np.interp(YEARS, HORIZONS, row) for row in ensemble.common])
    half = NORMAL_95 * np.hypot(logs[0].std(axis=0, ddof=1), common)
    risk, low, high = (_incidence(log, other) for log in (centre[0], centre[0] - half, centre[0] + half))
    treated = _incidence(centre[1], other)
    reduction = 1 - treated[:, 0, -1] / risk[:, 0, -1]
    spread = NORMAL_95 * np.hypot(reductions(logs, other).std(axis=0, ddof=1), ensemble.common_benefit)
    ten_years = risk[:, 0, -1]
    benefit, least, most = (ten_years * np.clip(r, -1.0, 1.0) for r in (reduction, reduction - spread, reduction + spread))
    return Forecast(risk, low, high, treated, benefit, least, most)


def reductions(logs: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return by which share of itself the treatment lowers the ten-year risk of metastasis in each member, (M, N)."""
    pairs = zip(*logs, strict=True)
    return np.stack(
        [1 - _incidence(treats, other)[:, 0, -1] / _incidence(without, other)[:, 0, -1] for without, treats in pairs]
    )


def _incidence(log_hazard: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the cumulative incidence, (N, E, Y); a cumulative hazard starts at 0 and never falls."""
    hazard = np.maximum.accumulate(np.exp(log_hazard), axis=-1)
    hazard[..., 0] = 0.0
    return cumulative_incidence(hazard, other)
