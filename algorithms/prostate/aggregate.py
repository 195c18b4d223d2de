"""The stage ``aggregate``: one risk, with its interval, from all tiles of all slides of a case and the clinical variables.

A bag may hold a hundred tiles or two hundred thousand; it is read one shard at a time.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.contract.threads import one_thread
from algorithms.prostate.risk.answer import checks, document
from algorithms.prostate.risk.covariates import measured
from algorithms.prostate.risk.description import RiskModel, read_model
from algorithms.prostate.risk.ensemble import cumulative_hazards, forecast, read

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Slide:
    """The features of one slide: its folder, and what ``features.json`` says of it."""

    name: str
    folder: Path
    facts: Mapping[str, Any]

    @property
    def tiles(self) -> int:
        """Rows of the slide's table of tiles, with and without features."""
        return int(self.facts["tiles"])


def run(inputs: Mapping[str, Path], out: Path, *, risk_model: str) -> dict[str, float | int | str]:
    """Write ``risk.json`` and each slide's ``attention`` below ``out``; return the risks and counts."""
    return aggregate(inputs["features"], inputs["clinical"], out, read_model(risk_model))


def aggregate(features: Path, clinical_file: Path, out: Path, model: RiskModel) -> dict[str, float | int | str]:
    """Write what ``model`` says of a case below ``out``; return the risks and counts."""
    slides = read_slides(features)
    require_encoder(slides, model.description)
    clinical = json.loads(clinical_file.read_text())
    values = {name: entry["value"] for name, entry in clinical["values"].items()}
    with one_thread():
        reading = read(model.ensemble, finite_features(slides))
        attention = spread(reading.attention(), slides)
        variables = measured(values)[None]
        covariates = model.ensemble.scale.covariates(variables)
        found = forecast(model.ensemble, cumulative_hazards(model.ensemble, reading.bags, covariates), variables[:, 0])
    (out / "attention").mkdir(parents=True, exist_ok=True)
    for slide in slides:
        np.save(out / "attention" / f"{slide.name}.npy", attention[slide.name])
    lost = sum(int(np.isnan(a).sum()) for a in attention.values())
    risk = document(model, found, variables[0], clinical["nccn"]["group"])
    risk["tiles"] = len(reading.distance)
    risk["slides"] = {
        s.name: {
            "tiles": int(np.isfinite(attention[s.name]).sum()),
            "attention": float(np.nansum(attention[s.name], dtype=float)),
        }
        for s in slides
    }
    risk["checks"] = checks(model, reading, lost, variables[0])
    (out / "risk.json").write_text(json.dumps(risk, indent=1) + "\n")
    log.info("%d tiles of %d slides, %d members", risk["tiles"], len(slides), len(model.ensemble.members))
    return {
        "tiles": risk["tiles"],
        "tiles_without_features": lost,
        "checks_failed": sum(not check["passed"] for check in risk["checks"]),
        **{f"{e['endpoint']}_{e['horizon_years']}_years": e["risk"] for e in risk["endpoints"]},
    }


def read_slides(features: Path) -> list[Slide]:
    """Return the slides below the folder of features, by name.

    Raises
    ------
    DataError
        If there is none, or two of them were encoded differently.
    """
    folders = sorted(path for path in features.iterdir() if path.is_dir())
    slides = [Slide(path.name, path, json.loads((path / "features.json").read_text())) for path in folders]
    if not sum(slide.tiles for slide in slides):
        raise DataError("no slide of the case has a tile with tissue, wanted one at least; send slides that can be used")
    made_by = {(s.facts["encoder"], s.facts["weights_sha256"], s.facts["dimension"]) for s in slides}
    if len(made_by) > 1:
        raise DataError("the slides' features were made by different encoders; run the stage encode again for all of them")
    return slides


def require_encoder(slides: list[Slide], description: Mapping[str, Any]) -> None:
    """Raise `DataError` if the features were made by another encoder than the one that the risk model has learnt."""
    wanted, facts = description["encoder"], slides[0].facts
    if facts["encoder"] != wanted["name"]:
        raise DataError(
            f"the features were made by encoder {facts['encoder']}, the risk model {description['name']} reads those of "
            f"{wanted['name']}; use --set encoder={wanted['name']} or --set risk_model=NAME of a model for that encoder"
        )
    if (facts["weights_sha256"], facts["dimension"]) != (wanted["weights_sha256"], wanted["dimension"]):
        raise DataError(
            f"the features were made by encoder {wanted['name']} with weights {facts['weights_sha256'][:12]}, the risk model "
            f"{description['name']} has learnt those of weights {wanted['weights_sha256'][:12]}; put back the weights that the "
            f"project ships and use --set encoder={wanted['name']}, or train the risk model again "
            "(python -m algorithms.prostate.training.risk)"
        )


def shards(slide: Slide) -> Iterator[np.ndarray]:
    """Yield the slide's features piece by piece, (rows, D) float16, each verified.

    Raises
    ------
    DataError
        If a shard is not what was written.
    """
    for shard in slide.facts["shards"]:
        path = slide.folder / shard["file"]
        if sha256_path(path) != shard["sha256"]:
            raise DataError(f"{path.name} of slide {slide.name} is not what was written; run the stage encode again")
        yield np.load(path, allow_pickle=False)


def finite_features(slides: list[Slide]) -> Iterator[np.ndarray]:
    """Yield the features of all tiles that have some; a tile that could not be decoded is a row of NaN and left out.

    Raises
    ------
    DataError
        If a tile's features are partly no numbers, or no tile has any.
    """
    some = False
    for slide in slides:
        for features in shards(slide):
            finite = np.isfinite(features)
            whole = finite.all(axis=1)
            broken = int((~whole & ~np.isnan(features).all(axis=1)).sum())
            if broken:
                raise DataError(
                    f"{broken} tiles of slide {slide.name} have features that are no numbers; run the stage encode again, "
                    "with float32 weights if it happens again"
                )
            if whole.any():
                some = True
                yield features[whole]
    if not some:
        raise DataError("no tile of the case could be decoded, wanted one at least; ask the site to resend the slides")


def spread(attention: np.ndarray, slides: list[Slide]) -> dict[str, np.ndarray]:
    """Return the attention of each slide's tiles in the order of its table, float32, NaN where a tile has no features."""
    found: dict[str, np.ndarray] = {}
    start = 0
    for slide in slides:
        has = np.concatenate([np.isfinite(f[:, 0]) for f in shards(slide)]) if slide.tiles else np.zeros(0, bool)
        of_slide = np.full(len(has), np.nan, np.float32)
        of_slide[has] = attention[start : start + has.sum()]
        start += int(has.sum())
        found[slide.name] = of_slide
    return found
