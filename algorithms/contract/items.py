"""The items of a stage that runs once an item: who they are, where their results lie, and what each of them reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from algorithms.contract.case import Case
from algorithms.contract.manifest import Manifest
from algorithms.contract.pipeline import Pipeline, Stage


def place(case: Case, stage: Stage, item: str | None = None) -> Path:
    """Return the folder in which the results of a stage lie, or those of one item of it."""
    folder = case.folder / stage.name
    return folder if item is None else folder / "items" / item


def items(pipeline: Pipeline, stage: Stage, manifests: Mapping[str, Manifest]) -> list[str]:
    """Return the items that ``stage`` runs over, sorted: those in all of its collections; none while one is not made.

    ``manifests`` are those of finished stages by the stage's name.
    """
    collections = [_collection(pipeline, name, manifests) for name in stage.each]
    return sorted(set.intersection(*collections)) if collections else []


def item_inputs(
    pipeline: Pipeline, stage: Stage, item: str, inputs: Mapping[str, str], manifests: Mapping[str, Manifest]
) -> dict[str, str]:
    """Return the sha256 of every input of one item: of its own entry of a collection that the stage runs over."""
    own = dict(inputs)
    for name in stage.each:
        maker = pipeline.maker(name)
        assert maker is not None
        written = manifests[maker.name].outputs[name]
        own[name] = written.entries[written.items()[item]]
    return own


def _collection(pipeline: Pipeline, name: str, manifests: Mapping[str, Manifest]) -> set[str]:
    maker = pipeline.maker(name)
    if maker is None or maker.name not in manifests:
        return set()
    return set(manifests[maker.name].outputs[name].items())
