"""Suggest what to consider and discuss, from the NCCN group and the estimated risk, by the rules of ``treatment.toml``."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from algorithms.prostate.rules.conditions import Fact
from algorithms.prostate.rules.treatment import adt_biomarker, limits, rules, suggestions
from algorithms.prostate.variables import VARIABLES

log = logging.getLogger(__name__)

HORIZON_YEARS = 10
"""The horizon of the risks that the rules speak of, the longest one of the model."""


BIOMARKER = {True: "positive", False: "negative", None: "undecided"}
"""What the ADT biomarker may say."""


def facts(clinical: Mapping[str, Any], risk: Mapping[str, Any]) -> dict[str, Fact]:
    """Return what the rules may ask, by name; ``None`` is not known.  Arguments are ``clinical.json`` and ``risk.json``."""
    nccn, values = clinical["nccn"], clinical["values"]
    percentile, adt, imputed = risk.get("percentile"), risk.get("adt") or {}, risk.get("imputed") or []
    return {
        "nccn_group": nccn["group"],
        "nccn_title": nccn["title"],
        "nccn_missing": _listed(nccn["missing"]),
        "age_years": values["age_years"]["value"],
        "psa_ng_ml": values["psa_ng_ml"]["value"],
        "grade_group": clinical["isup_grade_group"],
        "metastasis_risk_percent": _risk_percent(risk, "distant_metastasis"),
        "death_risk_percent": _risk_percent(risk, "prostate_cancer_death"),
        "percentile": None if percentile is None else percentile["value"],
        "risk_group": risk.get("risk_group"),
        "adt_positive": adt.get("positive"),
        "adt_given": bool(adt),
        "adt_benefit_percent": _percent(adt.get("benefit")),
        "adt_benefit_low_percent": _percent(adt.get("benefit_low")),
        "adt_benefit_high_percent": _percent(adt.get("benefit_high")),
        "adt_threshold_percent": _percent(adt.get("threshold")),
        "treatment": risk.get("treatment") or "the treatment of its training",
        "imputed": _listed(imputed) if imputed else None,
        "synthetic": "synthetic" in str(risk.get("model", {}).get("trained_on", "")).lower(),
    }


def _risk_percent(risk: Mapping[str, Any], endpoint: str) -> float | None:
    wanted = (endpoint, HORIZON_YEARS)
    return next(
        (_percent(e["risk"]) for e in risk.get("endpoints") or () if (e["endpoint"], e["horizon_years"]) == wanted), None
    )


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def _listed(names: Sequence[str]) -> str:
    titles = [VARIABLES[name].title if name in VARIABLES else name for name in names]
    return " and ".join([", ".join(titles[:-1]), titles[-1]] if len(titles) > 1 else titles)


def recommendation(clinical: Mapping[str, Any], risk: Mapping[str, Any]) -> dict[str, Any]:
    """Return suggestions with their evidence, the ADT biomarker where it applies, and what limits both."""
    known = facts(clinical, risk)
    biomarker = adt_biomarker(known)
    return {
        "suggestions": suggestions(known),
        "adt_biomarker": None if biomarker is None else biomarker | dict(risk["adt"]),
        "edition": rules()["edition"],
        "limits": limits(known),
    }


def run(inputs: Mapping[str, Path], out: Path) -> dict[str, float | int | str]:
    """Read ``clinical`` and ``risk``, write ``recommendation.json``, return how much was suggested."""
    document = recommendation(json.loads(inputs["clinical"].read_text()), json.loads(inputs["risk"].read_text()))
    (out / "recommendation.json").write_text(json.dumps(document, indent=1) + "\n")
    log.info("%d suggestions", len(document["suggestions"]))
    return {
        "suggestions": len(document["suggestions"]),
        "adt_biomarker": "none" if document["adt_biomarker"] is None else BIOMARKER[document["adt_biomarker"]["positive"]],
    }
