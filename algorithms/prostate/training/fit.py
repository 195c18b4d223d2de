"""Fit an ensemble on a cohort, and set its intervals on men who took no part."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from algorithms.phantom.biopsy.man import true_incidence
from algorithms.prostate.risk.covariates import NAMES, scale_of
from algorithms.prostate.risk.ensemble import (
    HORIZONS,
    LEAST_HAZARD,
    NORMAL_95,
    YEARS,
    Bags,
    Ensemble,
    Forecast,
    cumulative_hazards,
    forecast,
    reductions,
)
from algorithms.prostate.risk.incidence import at, breslow, fit_gompertz
from algorithms.prostate.risk.losses import cox_loss, discrete_time_loss, interval_outcomes
from algorithms.prostate.risk.model import ENDPOINTS, INTERVALS, Member, Outputs, Size
from algorithms.prostate.risk.projection import projection_of
from algorithms.prostate.training.cohort import Cohort

log = logging.getLogger(__name__)

EDGES = np.arange(1.0, INTERVALS + 1)
"""Ends of the discrete-time head's intervals, years."""

COVERAGE = 0.95
"""Share of men whose true risk an interval shall hold."""


@dataclass(frozen=True)
class Recipe:
    """How a member is trained; own choices.

    Most were made on stand-in features before a tile was encoded; ``axes``, ``context`` and ``decay`` by training on the
    first cohort and ranking the second, so only the third has had no part in any choice.

    ``axes``, ``width`` and ``context`` are those of `Size`.  At each step the share ``missing`` of the clinical values is
    hidden and the share ``tiles`` of a man's tiles is shown.  ``decay`` is AdamW's weight decay, ``treatment_decay`` that of
    the weights of the treatment's head, whose signal is the difference of two arms.
    """

    members: int = 8
    axes: int = 6
    width: int = 16
    context: int = 5
    steps: int = 120
    rate: float = 0.005
    decay: float = 1.0
    treatment_decay: float = 10.0
    tiles: float = 0.7
    missing: float = 0.1


def fit(cohort: Cohort, recipe: Recipe, seed: int, *, images: bool = True, clinical: bool = True) -> Ensemble:
    """Return an ensemble, each member trained on men drawn with replacement from ``cohort`` and from a seed of its own.

    Without ``images`` or without ``clinical`` the members do not see that half of what is known: the benchmark's rivals.

    References
    ----------
    Breiman, *Bagging predictors*, Mach Learn 24:123 (1996); Lakshminarayanan et al., NeurIPS 2017, arXiv:1612.01474.
    """
    tiles = cohort.features.reshape(-1, cohort.features.shape[-1]).astype(np.float32)
    projection = projection_of(tiles, recipe.axes)
    bags = projection(tiles)[0].reshape(*cohort.features.shape[:2], -1)
    case = projection_of(bags.mean(axis=1), recipe.context)
    scale = scale_of(cohort.variables)
    size = Size(bags.shape[2] if images else 0, 2 * len(NAMES) if clinical else 0, case.axes.shape[1], recipe.width)
    known = _Known(
        torch.from_numpy(bags),
        torch.from_numpy(case(bags.mean(axis=1))[0]) * images,
        torch.from_numpy(scale.covariates(cohort.variables)[:, : size.covariates]),
    )
    members, baselines = [], []
    for number in range(recipe.members):
        rng = np.random.default_rng([seed, number])
        drawn = rng.integers(0, len(cohort), len(cohort))
        member = fit_member(cohort.part(drawn), known.part(drawn), size, recipe, rng)
        members.append(member)
        baselines.append(_baselines(member, cohort.part(drawn), known.part(drawn)))
        log.info("member %d of %d trained", number + 1, recipe.members)
    other = fit_gompertz(cohort.variables[:, 0], cohort.time[:, 1], cohort.other_death)
    return Ensemble(projection, case, scale, tuple(members), np.stack(baselines), other)


class _Known(NamedTuple):
    """What the members read of N men: bags (N, T, K), context and covariates."""

    bags: torch.Tensor
    context: torch.Tensor
    covariates: torch.Tensor

    def part(self, drawn: np.ndarray) -> _Known:
        return _Known(self.bags[drawn], self.context[drawn], self.covariates[drawn])


def fit_member(cohort: Cohort, known: _Known, size: Size, recipe: Recipe, rng: np.random.Generator) -> Member:
    """Return a member trained on the men of ``cohort``; both likelihoods of both endpoints are minimised together."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    torch.manual_seed(int(rng.integers(2**62)))  # the first weights
    member = Member(size)
    with torch.no_grad():
        for e in range(len(ENDPOINTS)):
            survived, died = interval_outcomes(cohort.time[:, e], cohort.event[:, e], EDGES)
            member.baseline[e] = float(np.log(died.sum() / survived.sum()))
    others = [p for name, p in member.named_parameters() if not name.startswith("treatment") and name != "baseline"]
    optimiser = torch.optim.AdamW(
        [
            {"params": others, "weight_decay": recipe.decay},
            {"params": [member.baseline], "weight_decay": 0.0},
            # Its weights are shrunk hard, its mean effect not at all: so many men tell the mean, and hardly who benefits.
            {"params": [member.treatment.weight], "weight_decay": recipe.treatment_decay},
            {"params": [member.treatment.bias], "weight_decay": 0.0, "lr": 3 * recipe.rate},
        ],
        lr=recipe.rate,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    count, tiles = known.bags.shape[:2]
    shown = max(1, round(recipe.tiles * tiles))
    everyone = torch.arange(count)[:, None]
    loss_of = _Losses(cohort)
    for _ in range(recipe.steps):
        order = torch.rand(count, tiles, generator=generator).argsort(dim=1)[:, :shown]
        hidden = torch.rand(count, len(NAMES), generator=generator) < recipe.missing
        outputs = member(known.bags[everyone, order], known.context, _hide(known.covariates, hidden))
        loss = loss_of(outputs)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    return member.eval()


def _hide(covariates: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """Return covariates with some values as if they were missing; none where there are no covariates."""
    if not covariates.shape[1]:
        return covariates
    count = hidden.shape[1]
    return torch.cat([covariates[:, :count] * ~hidden, torch.maximum(covariates[:, count:], hidden.float())], dim=1)


class _Losses:
    """Both likelihoods of both endpoints, of men whose fate and arm are known."""

    def __init__(self, cohort: Cohort) -> None:
        self.treated = torch.from_numpy(cohort.treated).float()
        self.time = torch.from_numpy(cohort.time).float()
        self.event = torch.from_numpy(cohort.event)
        outcomes = [interval_outcomes(cohort.time[:, e], cohort.event[:, e], EDGES) for e in range(len(ENDPOINTS))]
        self.outcomes = [(torch.from_numpy(survived), torch.from_numpy(died)) for survived, died in outcomes]
        self.deaths = [float(died.sum()) / len(cohort) for _, died in outcomes]

    def __call__(self, outputs: Outputs) -> torch.Tensor:
        cox, log_log, ratio = outputs
        change = ratio * self.treated[:, None]
        total = cox.sum() * 0.0
        for e, (survived, died) in enumerate(self.outcomes):
            total = total + cox_loss(cox[:, e] + change[:, e], self.time[:, e], self.event[:, e])
            # An event's share, as in Cox's loss, so that neither likelihood drowns the other.
            total = total + discrete_time_loss(log_log[:, e] + change[:, e, None], survived, died) / self.deaths[e]
        return total


@torch.inference_mode()
def _baselines(member: Member, cohort: Cohort, known: _Known) -> np.ndarray:
    """Return Breslow's baseline of each endpoint at `YEARS`, (E, Y), of the men the member was trained on."""
    outputs = member(*known)
    ratio = outputs.log_hazard_ratio * torch.from_numpy(cohort.treated)[:, None]
    log_hazard = (outputs.log_hazard + ratio).numpy().astype(float)
    found = []
    for e in range(len(ENDPOINTS)):
        times, hazard = breslow(log_hazard[:, e], cohort.time[:, e], cohort.event[:, e])
        found.append(at(YEARS, times, hazard, start=0.0))
    return np.stack(found)


@torch.inference_mode()
def hazards_of(ensemble: Ensemble, cohort: Cohort) -> np.ndarray:
    """Return the members' cumulative hazards of a cohort's men, (2, M, N, E, Y)."""
    return cumulative_hazards(ensemble, bags_of(ensemble, cohort), covariates_of(ensemble, cohort.variables))


@torch.inference_mode()
def bags_of(ensemble: Ensemble, cohort: Cohort) -> Bags:
    """Return the bags of a cohort's men, all of which have as many tiles."""
    count, tiles, dimension = cohort.features.shape
    bags = ensemble.tiles(cohort.features.reshape(-1, dimension))[0].reshape(count, tiles, -1)
    context = ensemble.case(bags.mean(axis=1))[0] * bool(ensemble.members[0].size.axes)
    attended = [member.attended(torch.from_numpy(bags)) for member in ensemble.members]
    return Bags(torch.stack(attended), torch.from_numpy(context))


def covariates_of(ensemble: Ensemble, variables: np.ndarray) -> np.ndarray:
    """Return what the members read of clinical variables, (N, 6)."""
    return ensemble.scale.covariates(variables)[:, : ensemble.members[0].size.covariates]


def truths(cohort: Cohort) -> tuple[np.ndarray, np.ndarray]:
    """Return the true incidence without the treatment at `HORIZONS`, (N, E, 2), and its true ten-year benefit, (N,)."""
    risk = np.array([[[true_incidence(o, e, float(h)) for h in HORIZONS] for e in ENDPOINTS] for o in cohort.men])
    treated = np.array([true_incidence(o, ENDPOINTS[0], float(HORIZONS[-1]), adt=True) for o in cohort.men])
    return risk, risk[:, 0, -1] - treated


def with_honest_intervals(ensemble: Ensemble, cohort: Cohort) -> Ensemble:
    """Return ``ensemble`` with intervals that hold the true risk of 95 % of the men of ``cohort``.

    The members' spread says for whom less is known; it knows nothing of what all members have in common: the features, the
    shape of the model, the few tiles of a man.  That part is taken as one normal deviation for all men, the least that makes
    the intervals hold the true risk as often as they should.  Only synthetic men have a known true risk, so a model of
    patients cannot be widened this way.

    References
    ----------
    Lei et al., *Distribution-free predictive inference for regression*, J Am Stat Assoc 113:1094 (2018), section 5.2:
    a quantile of held-out residuals, over a local spread.
    """
    hazards = hazards_of(ensemble, cohort)
    logs = np.log(np.maximum(hazards, LEAST_HAZARD))
    found = forecast(ensemble, hazards, cohort.variables[:, 0])
    risk, benefit = truths(cohort)
    columns = [int(np.searchsorted(YEARS, h)) for h in HORIZONS]
    common = np.zeros((len(ENDPOINTS), len(HORIZONS)))
    for e in range(len(ENDPOINTS)):
        spread = logs[0, :, :, e].std(axis=0, ddof=1)[:, columns]
        # Both risks are cumulative incidences: the competing deaths fall out of the difference of their logarithms, nearly.
        wrong = _log_hazard(risk[:, e]) - _log_hazard(found.risk[:, e][:, columns])
        common[e] = [_missing_deviation(w, s) for w, s in zip(wrong.T, spread.T, strict=True)]
    age = cohort.variables[:, 0]
    spread = reductions(logs, ensemble.other_causes.cumulative_hazard(age[:, None], YEARS)[:, None, :]).std(axis=0, ddof=1)
    wrong = (benefit - found.benefit) / found.risk[:, 0, -1]
    return replace(ensemble, common=common, common_benefit=_missing_deviation(wrong, spread))


def _missing_deviation(wrong: np.ndarray, spread: np.ndarray) -> float:
    """Return the deviation that, beside ``spread``, makes intervals hold the wanted share of the errors ``wrong``."""
    needed = np.sqrt(np.maximum((wrong / NORMAL_95) ** 2 - spread**2, 0.0))
    return float(np.quantile(needed, COVERAGE))


def _log_hazard(risk: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(-np.log1p(-risk), LEAST_HAZARD)))


def forecasts(ensemble: Ensemble, cohort: Cohort) -> Forecast:
    """Return the forecasts of a cohort's men."""
    return forecast(ensemble, hazards_of(ensemble, cohort), cohort.variables[:, 0])
