"""How well the risk model ranks synthetic men, and how honest it is: ``python -m benchmarks.survival --cache FOLDER``.

Three cohorts of synthetic men; each seed judges on one of them a model trained on the other two, exactly as the model that
ships (``algorithms.prostate.training.risk``), beside two rivals of the same recipe: one that sees the clinical variables
only and one that sees the tiles only.  The oracle ranks men by their true log hazard in their arms of the trial.

- C-index: Harrell's, the mean over twenty lives of the judging men (a man's hazard is known, so he may live again), because
  the events of one life leave a standard error as large as what is to be shown; that of the first life stands beside it;
- share of the oracle's excess over 0.5 that the fused model reaches;
- Uno's C and the AUC at ten years, first life;
- calibration, coverage of the true risk and the benefit of ADT as on the model's card;
- how the two prognostic heads rank alone.

``--cache`` keeps the rendered tiles and their features, from this or from the training.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from algorithms.prostate.risk.concordance import auc, harrell_c, uno_c
from algorithms.prostate.risk.ensemble import LEAST_HAZARD, Ensemble, head_hazards
from algorithms.prostate.risk.model import ENDPOINTS
from algorithms.prostate.training.cohort import Cohort, cohort, followed_again, true_log_hazard
from algorithms.prostate.training.fit import bags_of, covariates_of, fit, hazards_of
from algorithms.prostate.training.pictures import TILES, Pictures
from algorithms.prostate.training.risk import MEN, RECIPE, SEEDS, fold, train
from algorithms.slide.encoder.encoder import load
from benchmarks.evidence import keep

log = logging.getLogger("benchmarks.survival")

WANTED_LEAD = 0.05
"""By how much the fused model's C-index must beat the clinical one's."""

WANTED_SHARE = 0.85
"""Share of the oracle's excess over 0.5 that it must reach."""

LIVES = 20
"""Lives of the judging men over which a C-index is averaged."""

HORIZON_YEARS = 10.0
"""Of Uno's C and of the AUC."""


def main() -> None:
    """Measure and keep the evidence."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    parser = argparse.ArgumentParser(
        "python -m benchmarks.survival", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cache", type=Path, help="folder that keeps tiles and features (default: none is kept)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        encoder = load("heartwood-small")
        pictures = Pictures(options.cache or Path(scratch), encoder)
        cohorts = [cohort(seed, MEN, pictures) for seed in SEEDS]
    folds = []
    for number, seed in enumerate(SEEDS):
        started = time.process_time()
        parts = fold(cohorts, number)
        folds.append({"seed": seed, **measure(parts, seed, encoder), "cpu_seconds": round(time.process_time() - started, 1)})
        log.info("seed %d: %s", seed, folds[-1]["c_index"])
    results = {
        "encoder": {"name": encoder.name, "weights_sha256": encoder.weights_sha256},
        "men": MEN,
        "tiles": TILES,
        "summary": summary(folds),
        "folds": folds,
    }
    log.info("%s", results["summary"])
    log.info("kept in %s", keep("survival", results))


def measure(parts: tuple[Cohort, Cohort, Cohort], seed: int, encoder: Any) -> dict[str, Any]:
    """Return what one fold showed."""
    training, _, judges = parts
    model = train(parts, seed, encoder, "fold")
    fused = model.ensemble
    rivals = {
        "fused": fused,
        "clinical": fit(training, RECIPE, seed, images=False),
        "image": fit(training, RECIPE, seed, clinical=False),
    }
    rng = np.random.default_rng([seed, 99])
    lives = [(judges.time, judges.event)]
    lives += [followed_again(judges.men, judges.treated, rng) for _ in range(LIVES)]
    scores = {name: score(ensemble, judges) for name, ensemble in rivals.items()}
    scores |= heads(fused, judges)
    scores["oracle"] = np.stack([true_log_hazard(judges.men, judges.treated, e) for e in range(len(ENDPOINTS))], axis=1)
    return {
        "training_men": len(training),
        "training_events": {name: int(training.event[:, e].sum()) for e, name in enumerate(ENDPOINTS)},
        "judging_events": {name: int(judges.event[:, e].sum()) for e, name in enumerate(ENDPOINTS)},
        "c_index": {name: c_indices(scores, lives[1:], e) for e, name in enumerate(ENDPOINTS)},
        "c_index_first_life": {name: c_indices(scores, lives[:1], e) for e, name in enumerate(ENDPOINTS)},
        "ten_years_first_life": {
            name: {
                "uno_c": _figure(uno_c(scores["fused"][:, e], judges.time[:, e], judges.event[:, e], HORIZON_YEARS)),
                "auc": _figure(auc(scores["fused"][:, e], judges.time[:, e], judges.event[:, e], HORIZON_YEARS)),
            }
            for e, name in enumerate(ENDPOINTS)
        },
        "calibration": model.description["calibration"],
        "judged": model.description["judged"],
    }


def score(ensemble: Ensemble, men: Cohort) -> np.ndarray:
    """Return the log ten-year cumulative hazard of each man in his arm, (N, E)."""
    return _of_arms(hazards_of(ensemble, men), men)


def heads(ensemble: Ensemble, men: Cohort) -> dict[str, np.ndarray]:
    """Return the scores by each prognostic head alone."""
    bags = bags_of(ensemble, men)
    clinical = torch.from_numpy(covariates_of(ensemble, men.variables))
    found = []
    with torch.inference_mode():
        for i, member in enumerate(ensemble.members):
            outputs = member.heads(bags.attended[i], bags.context, clinical)
            found.append(head_hazards(outputs, ensemble.cox_baseline[i]))
    both = np.stack(found, axis=2)
    return {name: _of_arms(both[i], men) for i, name in enumerate(("cox_head", "discrete_time_head"))}


def _of_arms(hazards: np.ndarray, men: Cohort) -> np.ndarray:
    logs = np.log(np.maximum(hazards[..., -1], LEAST_HAZARD)).mean(axis=1)
    return np.asarray(logs[men.treated.astype(int), np.arange(len(men))])


def c_indices(scores: Mapping[str, np.ndarray], lives: list[tuple[np.ndarray, np.ndarray]], e: int) -> dict[str, float]:
    """Return the mean C-index of each score over lives, and the fused model's share of the oracle's excess over 0.5."""
    found = {
        n: float(np.mean([harrell_c(s[:, e], time[:, e], event[:, e]) for time, event in lives])) for n, s in scores.items()
    }
    share = (found["fused"] - 0.5) / (found["oracle"] - 0.5)
    return {name: _figure(value) for name, value in found.items()} | {"share_of_oracle": _figure(share)}


def summary(folds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures that are claimed, each the worst and the mean of the seeds."""
    figures: dict[str, Any] = {"wanted_lead": WANTED_LEAD, "wanted_share": WANTED_SHARE}
    for name in ENDPOINTS:
        found = [f["c_index"][name] for f in folds]
        leads = [c["fused"] - c["clinical"] for c in found]
        shares = [c["share_of_oracle"] for c in found]
        coverage = [f["judged"][f"{name}_10_years_coverage"] for f in folds]
        figures[name] = {
            **{f"{k}_mean": _figure(np.mean([c[k] for c in found])) for k in ("clinical", "image", "fused", "oracle")},
            "lead_least": _figure(min(leads)),
            "lead_mean": _figure(np.mean(leads)),
            "share_least": _figure(min(shares)),
            "share_mean": _figure(np.mean(shares)),
            "reached": bool(min(leads) >= WANTED_LEAD and min(shares) >= WANTED_SHARE),
            "coverage_10_years_least": min(coverage),
            "coverage_10_years_mean": _figure(np.mean(coverage)),
            "calibration_slope_mean": _figure(np.mean([_entry(f, name)["slope"] for f in folds])),
            "calibration_intercept_mean": _figure(np.mean([_entry(f, name)["intercept"] for f in folds])),
        }
    figures["log_hazard_ratio_correlation_mean"] = _figure(
        np.mean([f["judged"]["log_hazard_ratio_correlation"] for f in folds])
    )
    figures["benefit_correlation_mean"] = _figure(np.mean([f["judged"]["benefit_correlation"] for f in folds]))
    return figures


def _entry(fold_of: Mapping[str, Any], endpoint: str) -> dict[str, Any]:
    return next(entry for entry in fold_of["calibration"] if entry["endpoint"] == endpoint)


def _figure(value: Any) -> float:
    return round(float(value), 4)


if __name__ == "__main__":
    main()
