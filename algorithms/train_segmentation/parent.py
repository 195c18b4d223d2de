"""The model that a training begins with, where it does not begin with random weights, and what that has learnt from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from algorithms.contract.errors import DataError
from algorithms.segmentation.entry import HEARTWOOD, read_entry
from algorithms.train_segmentation.tasks import TASKS


def begun_with(name: str, task: str, made: Sequence[Mapping[str, Any]], sha256: Mapping[str, str]) -> dict[str, Any]:
    """Return what is kept of the model that the training begins with: its name, its weights and what it has learnt from.

    ``made`` are the recipes and ``sha256`` that of each file they name.

    Raises
    ------
    DataError
        If it is no network of this task, or has learnt from a study that is held back: it would be judged on what it knows.
    """
    entry = read_entry(name)
    ours = TASKS[task]
    if entry.format != HEARTWOOD or (entry.channels, entry.architecture) != (ours.channels, ours.architecture):
        raise DataError(f"a training of {task} cannot begin with model {name}, which is another network; take one of its task")
    learnt = {identity(study) for study in learnt_from(entry.record)}
    if known := sum(one["held_back"] and identity(described_as(one, sha256)) in learnt for one in made):
        raise DataError(
            f"model {name} has learnt from {known} of the studies that are held back; begin with another, or change "
            "first_phantom or held_back in dataset.toml"
        )
    return {"name": name, "sha256": entry.sha256, "data": entry.record.get("data", {})}


def described_as(recipe: Mapping[str, Any], sha256: Mapping[str, str]) -> dict[str, Any]:
    """Return a study as ``data.json`` tells it: its files by ``sha256``, since their names tell nothing."""
    files = {key: sha256[recipe[key]] for key in ("image", "labels") if key in recipe}
    return {key: value for key, value in recipe.items() if key != "images"} | files


def identity(study: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what tells a study of ``data.json`` from others: a phantom's seed, or the sha256 of its labels."""
    return (study["seed"],) if study["kind"] == "phantom" else (study["labels"],)


def learnt_from(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the studies that a model of this ``record`` has learnt from, and those of the model that it began with."""
    data = record.get("data", {})
    own = [study for study in data.get("studies", ()) if not study["held_back"]]
    return own + (learnt_from({"data": data["begun_with"]["data"]}) if "begun_with" in data else [])
