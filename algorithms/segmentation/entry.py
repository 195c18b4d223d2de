"""The registry of models: a folder each, whose ``entry.json`` says what it is, where its weights lie, what it wants to see.

::

    algorithms/segmentation/models/<name>/entry.json     required; for a model from elsewhere it is all that is written by hand
                                         weights.safetensors, card.md     of a model that was trained here

The folder's name is the model's.  Imports nothing heavy.  docs/models.md tells what each field means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from algorithms.contract.errors import DataError
from algorithms.contract.pipeline import PROJECT
from algorithms.segmentation.architecture import Architecture

MODELS = PROJECT / "algorithms" / "segmentation" / "models"
"""Where the entries lie."""

ENTRY = "entry.json"
WEIGHTS = "weights.safetensors"
CARD = "card.md"

HEARTWOOD = "heartwood"
"""Format of our own networks: `architecture` and safetensors."""

ACTIVATIONS = ("sigmoid", "softmax", "none")
"""What turns a network's answer into probabilities; ``none`` where it gives them already."""

MUSCLE_HU = 50.0
"""What contrast agent hardly changes, HU: intensities are stretched about it."""

DIGITS = set("0123456789abcdef")


@dataclass(frozen=True)
class Input:
    """What a network wants to see: voxels of ``spacing_mm`` (z, y, x), in blocks of ``block`` (Z, Y, X) voxels.

    With ``blood_hu`` intensities are stretched about muscle first, so that the aorta's blood has that value: an artery is then
    as bright in every scan and a vein is not.  Hounsfield units are cut to ``clip_hu``, then ``mean_hu`` is taken off and the
    rest divided by ``deviation_hu``.  Answers within ``margin`` voxels of a block's edge are not used.
    """

    spacing_mm: tuple[float, float, float]
    block: tuple[int, int, int]
    margin: int
    clip_hu: tuple[float, float]
    mean_hu: float
    deviation_hu: float
    blood_hu: float | None = None

    def __post_init__(self) -> None:
        if len(self.spacing_mm) != 3 or len(self.block) != 3 or min(self.spacing_mm) <= 0 or self.deviation_hu <= 0:
            raise ValueError("spacing_mm and block must be three positive numbers each, and deviation_hu positive")
        if not 0 <= 2 * self.margin < min(self.block) or self.clip_hu[0] >= self.clip_hu[1]:
            raise ValueError("twice the margin must be less than the block, and clip_hu must rise")
        if self.blood_hu is not None and self.blood_hu <= MUSCLE_HU:
            raise ValueError(f"blood_hu must be above muscle, {MUSCLE_HU:g} HU")


@dataclass(frozen=True)
class Entry:
    """What is known of a model.

    ``channels`` are what its outputs mean, in order; ``""`` is one that nobody reads, such as a background.  ``uri`` is where
    the weights lie: a path inside the entry's folder, ``file:///absolute/path`` or ``s3://bucket/path``.  ``record`` is what
    its making left behind: data, parents, figures; empty for a model from elsewhere.
    """

    name: str
    title: str
    task: str
    format: str
    uri: str
    sha256: str
    licence: str
    statement: str
    input: Input
    channels: tuple[str, ...]
    activation: str = "sigmoid"
    architecture: Architecture | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.sha256) != 64 or set(self.sha256) - DIGITS:
            raise ValueError("sha256 must be 64 hexadecimal digits")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}")
        if not any(self.channels):
            raise ValueError("channels must name at least one output")
        if self.format == HEARTWOOD and (self.architecture is None or self.architecture.outputs != len(self.channels)):
            raise ValueError("a network of ours has an architecture with an output for every channel")
        if self.architecture is not None and any(side % self.architecture.multiple for side in self.input.block):
            raise ValueError(f"the sides of block must be multiples of {self.architecture.multiple}")


def read_entry(name: str, folder: Path = MODELS) -> Entry:
    """Return the entry of the model called ``name``.

    Raises
    ------
    DataError
        If there is none, or it cannot be understood.
    """
    path = folder / name / ENTRY
    if not path.is_file():
        known = sorted(found.parent.name for found in folder.glob(f"*/{ENTRY}"))
        raise DataError(f"no model of that name is in the registry; there are {', '.join(known) or 'none'}")
    try:
        return _entry(name, json.loads(path.read_text()))
    except KeyError as error:
        raise DataError(f"the entry of model {name} lacks {error.args[0]}; docs/models.md tells what it needs") from error
    except (ValueError, TypeError) as error:
        raise DataError(f"the entry of model {name} is wrong: {error}; docs/models.md tells what it needs") from error


def write_entry(entry: Entry, folder: Path) -> None:
    """Write ``entry.json`` into ``folder``, which is the entry's own."""
    document = {key: value for key, value in asdict(entry).items() if key != "name" and value is not None}
    (folder / ENTRY).write_text(json.dumps(document, indent=1) + "\n")


def _entry(name: str, document: Mapping[str, Any]) -> Entry:
    known = {f.name for f in fields(Entry)} - {"name"}
    if unknown := sorted(set(document) - known):
        raise ValueError(f"unknown names: {', '.join(unknown)}")
    seen = document["input"]
    lists = {key: tuple(seen[key]) for key in ("spacing_mm", "block", "clip_hu")}
    plain: dict[str, Any] = {key: seen[key] for key in ("margin", "mean_hu", "deviation_hu")} | lists
    plain["blood_hu"] = seen.get("blood_hu")
    form = document.get("architecture")
    texts = {key: document[key] for key in ("title", "task", "format", "uri", "sha256", "licence", "statement")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise TypeError(f"{', '.join(texts)} must be texts")
    return Entry(
        name=name,
        **texts,
        input=Input(**plain),
        channels=tuple(document["channels"]),
        activation=document.get("activation", "sigmoid"),
        architecture=Architecture(**form) if form else None,
        record=document.get("record", {}),
    )
