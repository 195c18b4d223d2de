"""The stage ``register``: weights, figures and data as an entry of the registry, with its card; it promotes nothing."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from algorithms.contract.digest import sha256_path
from algorithms.segmentation.entry import CARD, WEIGHTS, Entry, write_entry
from algorithms.train_segmentation.evaluate import candidate
from algorithms.train_segmentation.parent import learnt_from
from algorithms.train_segmentation.tasks import TASKS

log = logging.getLogger(__name__)

SYNTHETIC = "trained on synthetic phantoms, not for clinical use"
MIXED = "for research only, not for clinical use"

WORDS = {
    "dice": "Dice",
    "hd95_mm": "95 % surface distance, mm",
    "centreline_found": "centreline found",
    "centreline_true": "centreline true",
    "distance_mm": "distance of the place, mm",
}
"""Names of the figures for a reader."""


def statement_of(data: Mapping[str, Any]) -> str:
    """Return what a model of these data may not be used for."""
    return SYNTHETIC if all(study["kind"] == "phantom" for study in [*data["studies"], *learnt_from({"data": data})]) else MIXED


def made_entry(weights: Path, data: Mapping[str, Any], evaluation: Mapping[str, Any], parents: Mapping[str, str]) -> Entry:
    """Return the entry of a trained network; ``parents`` are the sha256 of what it was made of, by artefact."""
    task = TASKS[data["task"]]
    record = {"data": data, "parents": dict(parents), "figures": evaluation["means"], "judged": len(evaluation["cases"])}
    named = replace(candidate(weights, task), name=task.name, uri=WEIGHTS, licence=data["licence"], record=record)
    return replace(named, statement=statement_of(data))


def card(entry: Entry) -> str:
    """Return the model's card as Markdown; every number in it is the entry's."""
    data, figures = entry.record["data"], entry.record["figures"]
    learnt = [study for study in data["studies"] if not study["held_back"]]
    phantoms = [study["seed"] for study in data["studies"] if study["kind"] == "phantom"]
    rows = [
        f"| {channel} | " + " | ".join("–" if (value := found.get(name)) is None else f"{value:.3f}" for name in WORDS) + " |"
        for channel, found in figures.items()
    ]
    seeds = f"phantoms of seeds {min(phantoms)} to {max(phantoms)}" if phantoms else "no phantom"
    form = entry.architecture
    assert form is not None
    return "\n".join(
        [
            f"# {entry.title} (`{entry.name}`)",
            "",
            f"**{entry.statement[:1].upper()}{entry.statement[1:]}.**",
            "",
            f"- Data: {data['title']}; {len(learnt)} studies learnt from, {entry.record['judged']} held back; {seeds}.",
            f"- Answers with: {', '.join(entry.channels)}; each a probability of its own.",
            *_beginning(data),
            f"- Sees: Hounsfield units at {' x '.join(f'{s:g}' for s in entry.input.spacing_mm)} mm.",
            f"- Form: residual U-Net, {form.levels} levels, width {form.width}; float16 safetensors, sha256 `{entry.sha256}`.",
            f"- Licence: {entry.licence}.",
            "- Made by: `python -m algorithms train_segmentation`; this card too.",
            "",
            "## On the studies that were held back",
            "",
            f"| structure | {' | '.join(WORDS.values())} |",
            f"|---|{'---|' * len(WORDS)}",
            *rows,
            "",
        ]
    )


def _beginning(data: Mapping[str, Any]) -> list[str]:
    """Return the card's line on the model that the training began with, if it began with one."""
    if "begun_with" not in data:
        return []
    begun = data["begun_with"]
    studies = len(learnt_from({"data": begun["data"]}))
    return [f"- Begun with: model `{begun['name']}`, sha256 `{begun['sha256']}`, which has learnt from {studies} studies."]


def run(inputs: Mapping[str, Path], out: Path) -> dict[str, float | int | str]:
    """Write the folder ``entry``."""
    data, evaluation = (json.loads(inputs[name].read_text()) for name in ("data", "evaluation"))
    parents = {name: sha256_path(inputs[name]) for name in ("data", "samples", "weights", "evaluation")}
    entry = made_entry(inputs["weights"], data, evaluation, parents)
    folder = out / "entry"
    folder.mkdir()
    shutil.copyfile(inputs["weights"], folder / WEIGHTS)
    write_entry(entry, folder)
    (folder / CARD).write_text(card(entry))
    log.info("entry %s, weights %s", entry.name, entry.sha256[:12])
    return {"weights_sha256": entry.sha256, "weights_mib": round((folder / WEIGHTS).stat().st_size / 2**20, 3)}
