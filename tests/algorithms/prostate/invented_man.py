"""Documents of an invented man as the stages write them, for the tests of rules: nothing in them is from a person."""

from __future__ import annotations

from typing import Any

from algorithms.prostate.clinical import clinical
from algorithms.prostate.variables import Value, declared

MEN: dict[str, dict[str, Value]] = {
    "low": {"t_stage": "T1c", "psa_ng_ml": 5.2, "gleason_primary": 3, "gleason_secondary": 3, "percent_positive_cores": 10.0},
    "favorable intermediate": {
        "t_stage": "T1c",
        "psa_ng_ml": 7.0,
        "gleason_primary": 3,
        "gleason_secondary": 4,
        "percent_positive_cores": 25.0,
    },
    "unfavorable intermediate": {
        "t_stage": "T2a",
        "psa_ng_ml": 12.0,
        "gleason_primary": 4,
        "gleason_secondary": 3,
        "percent_positive_cores": 60.0,
    },
    "high": {"t_stage": "T2c", "psa_ng_ml": 9.0, "gleason_primary": 4, "gleason_secondary": 4, "percent_positive_cores": 60.0},
    "very high": {
        "t_stage": "T3b",
        "psa_ng_ml": 48.0,
        "gleason_primary": 4,
        "gleason_secondary": 5,
        "percent_positive_cores": 90.0,
    },
}
"""A man of each NCCN group."""


ENDPOINTS = (("distant_metastasis", "distant metastasis", 0.08), ("prostate_cancer_death", "death from prostate cancer", 0.03))
"""Name, title and 10-year risk of each endpoint."""


def clinical_document(group: str | None, age_years: int | None = 66) -> dict[str, Any]:
    """Return ``clinical.json`` of a man of that group; ``None`` is one of whom only the age is known."""
    age = {} if age_years is None else {"age_years": age_years}
    return clinical(declared({**age, **(MEN[group] if group else {})}), {})


def risk_document(
    *, risk_group: str | None = "low", percentile: float | None = 40.0, adt_positive: bool | None = None, synthetic: bool = True
) -> dict[str, Any]:
    """Return ``risk.json`` with invented risks; ``adt_positive`` None is a man without the biomarker."""
    endpoints = [
        {
            "label": f"{title}, {years} years",
            "endpoint": name,
            "horizon_years": years,
            "risk": risk,
            "risk_low": risk / 2,
            "risk_high": 2 * risk,
        }
        for name, title, at_ten in ENDPOINTS
        for years, risk in ((5, at_ten / 2), (10, at_ten))
    ]
    benefit = 0.041 if adt_positive else 0.004
    adt = {
        "benefit": benefit,
        "benefit_low": benefit / 2,
        "benefit_high": 2 * benefit,
        "horizon_years": 10,
        "endpoint": "distant_metastasis",
        "threshold": 0.02,
        "positive": adt_positive,
    }
    trained_on = "2000 synthetic men" if synthetic else "a registry"
    return {
        "model": {
            "name": "invented",
            "weights_sha256": "0" * 64,
            "encoder": "invented",
            "members": 5,
            "trained_on": trained_on,
        },
        "treatment": "radiotherapy alone",
        "endpoints": endpoints,
        "percentile": None if percentile is None else {"nccn_group": "low", "value": percentile, "reference_n": 400},
        "risk_group": risk_group,
        "adt": None if adt_positive is None else adt,
        "imputed": [],
    }
