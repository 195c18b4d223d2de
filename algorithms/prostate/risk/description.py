"""A risk model as two files: what it is (``NAME.toml``) and its numbers (``NAME.safetensors``); and how they are read again.

The description holds the sha256 of the numbers and of the weights of the encoder whose features it has learnt; neither is
believed without a check.  No file is unpickled.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load, save

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.contract.pipeline import PROJECT
from algorithms.contract.weights import require_sha256
from algorithms.prostate.risk.covariates import Scale
from algorithms.prostate.risk.ensemble import Ensemble
from algorithms.prostate.risk.incidence import Gompertz
from algorithms.prostate.risk.model import Member, Size
from algorithms.prostate.risk.projection import Projection

MODELS = PROJECT / "algorithms" / "prostate" / "models"
"""Where the descriptions lie."""


@dataclass(frozen=True, eq=False)
class RiskModel:
    """An ensemble with its description, and the ten-year risks of metastasis of men of each NCCN group, rising."""

    ensemble: Ensemble
    description: Mapping[str, Any]
    reference: Mapping[str, np.ndarray]


def read_model(name: str, folder: Path = MODELS) -> RiskModel:
    """Return the risk model called ``name``.

    Raises
    ------
    DataError
        If its numbers are missing or are not those that the description names.
    """
    path = folder / f"{name}.toml"
    if not path.is_file():
        raise DataError(f"no risk model of that name is described in {folder.name}; choose another with --set risk_model=NAME")
    description = tomllib.loads(path.read_text())
    weights = folder / f"{name}.safetensors"
    if not weights.is_file():
        raise DataError(f"the weights of risk model {name} are missing; put back {weights.name} as the project ships it")
    remedy = "put back the two files as the project ships them"
    require_sha256(weights, description["weights_sha256"], whose=f"risk model {name}", paper="description", remedy=remedy)
    return _assembled(description, load(weights.read_bytes()))


def write_model(name: str, folder: Path, model: RiskModel) -> dict[str, Any]:
    """Write the two files of a model and return its description, now with the sha256 of its numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / f"{name}.safetensors"
    weights.write_bytes(save(_arrays(model)))
    ensemble = model.ensemble
    size = ensemble.members[0].size
    description = {
        **model.description,
        "weights_sha256": sha256_path(weights),
        "members": len(ensemble.members),
        "size": {k: getattr(size, k) for k in ("axes", "covariates", "context", "width", "hidden")},
        "other_causes": {"hazard_at_70": ensemble.other_causes.hazard_at_70, "growth": ensemble.other_causes.growth},
        "common": {"endpoints": ensemble.common.tolist(), "benefit": ensemble.common_benefit},
    }
    (folder / f"{name}.toml").write_text(toml(description))
    return description


def _arrays(model: RiskModel) -> dict[str, np.ndarray]:
    ensemble = model.ensemble
    arrays: dict[str, np.ndarray] = {"cox_baseline": ensemble.cox_baseline}
    for part in ("tiles", "case"):
        projection: Projection = getattr(ensemble, part)
        arrays |= {f"{part}.{key}": getattr(projection, key) for key in ("mean", "axes", "deviation")}
        arrays[f"{part}.rest"] = np.array([projection.rest])
    arrays |= {f"scale.{key}": getattr(ensemble.scale, key) for key in ("mean", "deviation", "least", "most")}
    arrays |= {f"reference.{group}": risks for group, risks in model.reference.items()}
    for i, member in enumerate(ensemble.members):
        arrays |= {f"member.{i}.{key}": value.numpy() for key, value in member.state_dict().items()}
    return {key: np.ascontiguousarray(arrays[key], dtype=np.float32) for key in sorted(arrays)}


def _assembled(description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> RiskModel:
    def part(prefix: str) -> dict[str, np.ndarray]:
        return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}

    def projection(prefix: str) -> Projection:
        found = part(prefix)
        return Projection(found["mean"], found["axes"], found["deviation"], float(found["rest"][0]))

    size = Size(**description["size"])
    members = []
    for i in range(description["members"]):
        member = Member(size).eval()
        member.load_state_dict({key: torch.from_numpy(array) for key, array in part(f"member.{i}.").items()})
        members.append(member)
    ensemble = Ensemble(
        projection("tiles."),
        projection("case."),
        Scale(**{key: array.astype(float) for key, array in part("scale.").items()}),
        tuple(members),
        arrays["cox_baseline"].astype(float),
        Gompertz(**description["other_causes"]),
        np.array(description["common"]["endpoints"]),
        description["common"]["benefit"],
    )
    return RiskModel(ensemble, description, part("reference."))


def toml(document: Mapping[str, Any]) -> str:
    """Return a document of texts, numbers, switches, lists and tables as TOML; one level of tables gets headings."""
    plain = [f"{key} = {_value(value)}\n" for key, value in document.items() if not isinstance(value, Mapping)]
    tables = [
        f"\n[{key}]\n" + "".join(f"{name} = {_value(inner)}\n" for name, inner in value.items())
        for key, value in document.items()
        if isinstance(value, Mapping)
    ]
    return "".join(plain + tables)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    # JSON writes texts, numbers and switches as TOML does, as long as they are plain.
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
