"""Train the risk model that ships with the project: ``python -m algorithms.prostate.training.risk --cache FOLDER``.

Three cohorts of synthetic men are drawn; two train the model and set its intervals, the third judges it.  Tiles are
rendered and encoded once and kept in the cache.  The model's files and its card are written below
``algorithms/prostate/models``; every figure on the card comes from here.
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from algorithms.phantom.biopsy.man import adt_log_hazard_ratio
from algorithms.prostate.risk.calibration import bins, intercept_and_slope
from algorithms.prostate.risk.covariates import NAMES
from algorithms.prostate.risk.description import MODELS, RiskModel, write_model
from algorithms.prostate.risk.ensemble import HORIZONS, LEAST_HAZARD, YEARS, Ensemble
from algorithms.prostate.risk.model import ENDPOINTS
from algorithms.prostate.rules.nccn import nccn_group
from algorithms.prostate.training.card import card
from algorithms.prostate.training.cohort import Cohort, cohort, joined
from algorithms.prostate.training.fit import Recipe, fit, forecasts, hazards_of, truths, with_honest_intervals
from algorithms.prostate.training.pictures import TILES, Pictures
from algorithms.slide.encoder.encoder import load

log = logging.getLogger("algorithms.prostate.training.risk")

SEEDS = (1, 2, 3)
"""Seeds of the cohorts."""

MEN = 600
"""Men of a cohort."""

HELD_OUT = 300
"""Men of the training cohorts who only set the intervals and the limits of what is familiar."""

LOW_SHARE, HIGH_SHARE = 0.435, 0.218
"""Shares of men called low and high risk (Tward et al., JCO Precis Oncol (2024): 43.5 % and 21.8 % of 9787 men)."""

POSITIVE_SHARE = 0.34
"""Share of men of intermediate risk called positive for a benefit of ADT (Spratt et al., NEJM Evid 2 (2023): 34 %)."""

INTERMEDIATE = ("favorable intermediate", "unfavorable intermediate")
"""NCCN groups in which the ADT biomarker is given."""


RECIPE = Recipe()


class Learnt(Protocol):
    """What a risk model says of the encoder whose features it has learnt."""

    @property
    def name(self) -> str: ...
    @property
    def weights_sha256(self) -> str: ...
    @property
    def dimension(self) -> int: ...


def main() -> None:
    """Train, judge and write."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    parser = argparse.ArgumentParser("python -m algorithms.prostate.training.risk", description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps rendered tiles and their features")
    parser.add_argument("--encoder", default="heartwood-small", help="encoder by name (default heartwood-small)")
    parser.add_argument("--name", default="synthetic", help="name of the model (default synthetic)")
    parser.add_argument("--out", type=Path, default=MODELS, help="folder of the models (default the project's)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    # As cases are encoded by default.
    encoder = load(options.encoder, precision="float32")
    cohorts = [cohort(seed, MEN, Pictures(options.cache, encoder)) for seed in SEEDS]
    # The last cohort had no part in any choice of the recipe.
    model = train(fold(cohorts, len(SEEDS) - 1), SEEDS[-1], encoder, options.name)
    description = write_model(options.name, options.out, model)
    (options.out / f"{options.name}.md").write_text(card(description))
    log.info("%s", description["judged"])


def fold(cohorts: list[Cohort], number: int) -> tuple[Cohort, Cohort, Cohort]:
    """Return training, held-out and judging men when the cohort ``number`` judges."""
    others = joined([c for i, c in enumerate(cohorts) if i != number])
    everyone = np.arange(len(others))
    held_out = everyone % (len(others) // HELD_OUT) == 0
    return others.part(np.flatnonzero(~held_out)), others.part(np.flatnonzero(held_out)), cohorts[number]


def train(parts: tuple[Cohort, Cohort, Cohort], seed: int, encoder: Learnt, name: str, recipe: Recipe = RECIPE) -> RiskModel:
    """Return the model of a fold with everything that its description says."""
    training, held_out, judges = parts
    ensemble = with_honest_intervals(fit(training, recipe, seed), held_out)
    risk = forecasts(ensemble, held_out)
    groups = nccn_groups(held_out)
    intermediate = np.isin(groups, INTERMEDIATE)
    ten_years = risk.risk[:, 0, -1]
    description = {
        "name": name,
        "title": "Heartwood synthetic risk model",
        "licence": "Apache-2.0",
        "trained_on": f"{len(training)} synthetic men of {TILES} rendered tiles each; no patient",
        "treatment": "radiotherapy alone",
        "competing": "death of other causes competes, by age alone (Gompertz)",
        "encoder": {"name": encoder.name, "weights_sha256": encoder.weights_sha256, "dimension": encoder.dimension},
        "cohort": {"seeds": list(SEEDS), "men": MEN, "tiles": TILES, "training": len(training), "held_out": len(held_out)},
        "cut_offs": {
            "intermediate_from": _figure(np.quantile(ten_years, LOW_SHARE)),
            "high_from": _figure(np.quantile(ten_years, 1 - HIGH_SHARE)),
        },
        "adt": {
            "nccn_groups": list(INTERMEDIATE),
            "threshold": _figure(np.quantile(risk.benefit[intermediate], 1 - POSITIVE_SHARE)),
        },
        "familiar": familiar(ensemble, training, held_out),
        "calibration": calibration(ensemble, judges),
        "judged": judged(ensemble, judges),
    }
    reference = {str(g): np.sort(ten_years[groups == g]) for g in sorted(set(groups.tolist()))}
    return RiskModel(ensemble, description, reference)


def nccn_groups(men: Cohort) -> np.ndarray:
    """Return the NCCN group of each man, by the rules that a case goes through."""
    return np.array([nccn_group({name: getattr(one, name) for name in NAMES})["group"] for one in men.men])


def familiar(ensemble: Ensemble, training: Cohort, held_out: Cohort) -> dict[str, float]:
    """Return the limits of what counts as seen before: what 1 % of training tiles, and 1 % of held-out men, exceed."""
    distance = np.quantile(_distances(ensemble, training), 0.99)
    shares = (_distances(ensemble, held_out) > distance).mean(axis=1)
    coordinates = _means(ensemble, held_out)
    return {
        "tile_distance": _figure(distance),
        "most_far_tiles": _figure(np.quantile(shares, 0.99)),
        "case_distance": _figure(np.quantile(ensemble.case(coordinates)[1], 0.99)),
    }


def _distances(ensemble: Ensemble, men: Cohort) -> np.ndarray:
    count, tiles, dimension = men.features.shape
    return ensemble.tiles(men.features.reshape(-1, dimension))[1].reshape(count, tiles)


def _means(ensemble: Ensemble, men: Cohort) -> np.ndarray:
    count, tiles, dimension = men.features.shape
    coordinates, _ = ensemble.tiles(men.features.reshape(-1, dimension))
    return np.asarray(coordinates.reshape(count, tiles, -1).mean(axis=1))


def calibration(ensemble: Ensemble, men: Cohort) -> list[dict[str, Any]]:
    """Return, per endpoint, intercept and slope up to ten years and expected against observed at each horizon."""
    found = forecasts(ensemble, men)
    risk = np.where(men.treated[:, None, None], found.treated, found.risk)
    entries = []
    for e, name in enumerate(ENDPOINTS):
        intercept, slope = intercept_and_slope(*expected_events(ensemble, men, e))
        horizons = [
            {
                "horizon_years": h,
                "bins": [
                    {k: (v if k == "men" else _figure(v)) for k, v in b.items()}
                    for b in bins(
                        risk[:, e, int(np.searchsorted(YEARS, h))], men.time[:, e], men.event[:, e], men.competing(e), h
                    )
                ],
            }
            for h in HORIZONS
        ]
        entries.append(
            {"endpoint": name, "men": len(men), "intercept": _figure(intercept), "slope": _figure(slope), "horizons": horizons}
        )
    return entries


def expected_events(ensemble: Ensemble, men: Cohort, e: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what `intercept_and_slope` asks of ten years of N men in their arms, (N,) each."""
    logs = np.log(np.maximum(hazards_of(ensemble, men)[:, :, :, e], LEAST_HAZARD)).mean(axis=1)
    hazard = np.exp(logs[men.treated.astype(int), np.arange(len(men))])
    end = np.minimum(men.time[:, e], YEARS[-1])
    until = np.array([np.interp(t, YEARS, h) for t, h in zip(end, hazard, strict=True)])
    event = men.event[:, e] & (men.time[:, e] <= YEARS[-1])
    return np.maximum(until, LEAST_HAZARD), np.log(hazard[:, -1]), event


def judged(ensemble: Ensemble, men: Cohort) -> dict[str, Any]:
    """Return how often the intervals hold the true risk of men who took no part, and how wide they are."""
    found = forecasts(ensemble, men)
    risk, benefit = truths(men)
    alone = forecasts(replace(ensemble, common=np.zeros_like(ensemble.common)), men)
    figures: dict[str, Any] = {"men": len(men), "members_alone": {}}
    for e, name in enumerate(ENDPOINTS):
        for h, horizon in enumerate(HORIZONS):
            at = int(np.searchsorted(YEARS, horizon))
            low, high, true = found.low[:, e, at], found.high[:, e, at], risk[:, e, h]
            key = f"{name}_{horizon}_years"
            figures[f"{key}_coverage"] = _figure(np.mean((low <= true) & (true <= high)))
            figures["members_alone"][name] = _figure(np.mean((alone.low[:, e, at] <= true) & (true <= alone.high[:, e, at])))
            figures[f"{key}_median_width"] = _figure(np.median(high - low))
            figures[f"{key}_mean_error"] = _figure(np.mean(found.risk[:, e, at] - true))
            figures[f"{key}_mean_absolute_error"] = _figure(np.mean(np.abs(found.risk[:, e, at] - true)))
    figures["benefit_coverage"] = _figure(np.mean((found.benefit_low <= benefit) & (benefit <= found.benefit_high)))
    figures["benefit_correlation"] = _figure(np.corrcoef(benefit, found.benefit)[0, 1])
    hazards = hazards_of(ensemble, men)[..., 0, -1]
    ratio = np.log(hazards[1] / hazards[0]).mean(axis=0)
    true_ratio = np.array([adt_log_hazard_ratio(one) for one in men.men])
    figures["log_hazard_ratio_correlation"] = _figure(np.corrcoef(true_ratio, ratio)[0, 1])
    figures["log_hazard_ratio_mean_said"] = _figure(ratio.mean())
    figures["log_hazard_ratio_mean_true"] = _figure(true_ratio.mean())
    figures["benefit_mean_true"] = _figure(benefit.mean())
    figures["benefit_mean_said"] = _figure(found.benefit.mean())
    return figures


def _figure(value: Any) -> float:
    return float(f"{float(value):.4g}")


if __name__ == "__main__":
    main()
