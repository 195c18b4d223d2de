"""What is said of a case: ``risk.json`` from a forecast, and the checks that decide whether it may be believed."""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.contract.check import Check, check
from algorithms.prostate.risk.covariates import NAMES
from algorithms.prostate.risk.description import RiskModel
from algorithms.prostate.risk.ensemble import HORIZONS, YEARS, Forecast, Reading
from algorithms.prostate.risk.model import ENDPOINTS

TITLES = {"distant_metastasis": "distant metastasis", "prostate_cancer_death": "death from prostate cancer"}
"""The endpoints in words."""

LEAST_TILES = 24
"""Tiles of a man in the training; below it, the attended mean is noisier than any that the intervals were set on."""

MOST_LOST = 0.05
"""Share of tiles without features above which what is left may not be the man's tissue (own bound)."""


def document(model: RiskModel, found: Forecast, variables: np.ndarray, nccn_group: str | None) -> dict[str, Any]:
    """Return the content of ``risk.json`` without tiles, slides and checks; ``variables`` are those of `measured`."""
    description = model.description
    ten_years = float(found.risk[0, 0, -1])
    return {
        "model": {
            "name": description["name"],
            "title": description["title"],
            "weights_sha256": description["weights_sha256"],
            "encoder": description["encoder"]["name"],
            "encoder_weights_sha256": description["encoder"]["weights_sha256"],
            "members": description["members"],
            "trained_on": description["trained_on"],
        },
        "treatment": description["treatment"],
        "competing": description["competing"],
        "endpoints": [_endpoint(found, e, horizon) for e in range(len(ENDPOINTS)) for horizon in HORIZONS],
        "curves": [
            {
                "endpoint": name,
                "title": TITLES[name],
                "years": YEARS.tolist(),
                **{key: _rounded(getattr(found, key)[0, e]) for key in ("risk", "low", "high")},
            }
            for e, name in enumerate(ENDPOINTS)
        ],
        "percentile": percentile(model, ten_years, nccn_group),
        "risk_group": risk_group(description["cut_offs"], ten_years),
        "adt": adt(description["adt"], found, nccn_group),
        "imputed": [name for name, value in zip(NAMES, variables, strict=True) if np.isnan(value)],
        "calibration": description["calibration"],
    }


def _endpoint(found: Forecast, e: int, horizon: int) -> dict[str, Any]:
    at = int(np.searchsorted(YEARS, horizon))
    return {
        "label": f"{TITLES[ENDPOINTS[e]]}, {horizon} years",
        "endpoint": ENDPOINTS[e],
        "horizon_years": horizon,
        "risk": round(float(found.risk[0, e, at]), 6),
        "risk_low": round(float(found.low[0, e, at]), 6),
        "risk_high": round(float(found.high[0, e, at]), 6),
    }


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(v), 6) for v in values]


def percentile(model: RiskModel, ten_year_risk: float, nccn_group: str | None) -> dict[str, Any] | None:
    """Return how many of 100 reference men of the man's NCCN group have a lower risk; ``None`` where it is unknown."""
    reference = model.reference.get(nccn_group or "")
    if reference is None:
        return None
    below = float(np.mean(reference < ten_year_risk) + 0.5 * np.mean(reference == ten_year_risk))
    return {"nccn_group": nccn_group, "value": round(100 * below, 1), "reference_n": len(reference)}


def risk_group(cut_offs: dict[str, Any], ten_year_risk: float) -> str:
    """Return the group of a ten-year risk of metastasis: the cut-offs belong to the higher group."""
    if ten_year_risk < cut_offs["intermediate_from"]:
        return "low"
    return "intermediate" if ten_year_risk < cut_offs["high_from"] else "high"


def adt(rule: dict[str, Any], found: Forecast, nccn_group: str | None) -> dict[str, Any] | None:
    """Return what short-term androgen deprivation would change; ``None`` outside the groups that the rule names."""
    if nccn_group not in rule["nccn_groups"]:
        return None
    benefit, low, high = (float(v[0]) for v in (found.benefit, found.benefit_low, found.benefit_high))
    return {
        "benefit": round(benefit, 6),
        "benefit_low": round(low, 6),
        "benefit_high": round(high, 6),
        "horizon_years": HORIZONS[-1],
        "endpoint": ENDPOINTS[0],
        "threshold": rule["threshold"],
        "positive": _positive(benefit, low, high, rule["threshold"]),
    }


def _positive(benefit: float, low: float, high: float, threshold: float) -> bool | None:
    """Return whether a man benefits; ``None`` where the interval leaves it open: with no benefit in it, or with a large one."""
    if benefit >= threshold:
        return True if low > 0 else None
    return False if high < 2 * threshold else None


def checks(model: RiskModel, reading: Reading, lost: int, variables: np.ndarray) -> list[Check]:
    """Return what must hold for the risk to be believed: enough tiles, tissue and variables as in the training."""
    familiar = model.description["familiar"]
    tiles = len(reading.distance)
    far = float(np.mean(reading.distance > familiar["tile_distance"]))
    share_lost = lost / (lost + tiles)
    outside = model.ensemble.scale.outside(variables)
    return [
        _check("tiles", (tiles, "tiles"), f">= {LEAST_TILES}", tiles >= LEAST_TILES, "tiles of the case with features"),
        _check(
            "tiles_lost",
            (share_lost, "1"),
            f"<= {MOST_LOST:g}",
            share_lost <= MOST_LOST,
            "share of tiles that could not be decoded",
        ),
        _check(
            "unfamiliar_tiles",
            (far, "1"),
            f"<= {familiar['most_far_tiles']:g}",
            far <= familiar["most_far_tiles"],
            f"share of tiles farther ({familiar['tile_distance']:g}) from the training's tiles than 1 % of those are",
        ),
        _check(
            "unfamiliar_case",
            (reading.case_distance, "1"),
            f"<= {familiar['case_distance']:g}",
            reading.case_distance <= familiar["case_distance"],
            "Mahalanobis distance of the mean tile from the training men's; far means a tissue, stain or scanner never seen",
        ),
        _check(
            "variables_outside",
            (len(outside), "variables"),
            "<= 0",
            not outside,
            f"clinical variables outside what the training men had{': ' + ', '.join(outside) if outside else ''}",
        ),
    ]


def _check(name: str, value: tuple[float, str], limit: str, passed: bool, help: str) -> Check:
    return check(name, (round(float(value[0]), 4), value[1]), limit, passed, help)
