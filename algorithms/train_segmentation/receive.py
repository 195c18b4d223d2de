"""The stage ``receive``: which studies there are, phantoms and one's own, and which of them are held back."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.train_segmentation.dataset import DataSet, described
from algorithms.train_segmentation.dicom_study import images_by_series, referenced_images
from algorithms.train_segmentation.parent import begun_with, described_as

log = logging.getLogger(__name__)

PHANTOM_DIFFICULTIES = ("wide", "easy", "wide", "moderate", "wide", "hard")
"""The range of the phantoms, each in turn: half of them differ in everything that differs between people and scanners."""


def recipes(
    data: DataSet, task: str, files: Mapping[str, str], *, first: int, learnt: int, judged: int
) -> list[dict[str, Any]]:
    """Return how to make each sample.

    Parameters
    ----------
    data, task
        The description of the data set, and the name of what is trained.
    files
        Names of the files that came, by sha256.
    first, learnt, judged
        Seed of the first phantom, how many are learnt from, and how many after them are held back.

    Raises
    ------
    DataError
        If a file that the description names did not come.
    """
    made: list[dict[str, Any]] = []
    for number in range(learnt + judged):
        difficulty = PHANTOM_DIFFICULTIES[number % len(PHANTOM_DIFFICULTIES)]
        one = {"name": f"p{first + number}", "kind": "phantom", "seed": first + number, "difficulty": difficulty}
        made.append(one | {"task": task, "held_back": number >= learnt})
    for number, pair in enumerate(data.studies, start=1):
        missing = sum(sha256 not in files for sha256 in (pair.image, pair.labels))
        if missing:
            raise DataError(f"{missing} files of study {number} did not come; put all that dataset.toml names into one folder")
        labels = {str(value): label for value, label in sorted(data.labels.items())}
        one = {"name": f"s{number:04d}", "kind": "study", "image": files[pair.image], "labels": files[pair.labels]}
        made.append(one | {"meaning": labels, "task": task, "held_back": pair.held_back})
    return made


def require_both(made: Sequence[Mapping[str, Any]]) -> None:
    """Raise `DataError` if nothing is learnt from or nothing is held back."""
    for held_back, what in ((False, "to learn from"), (True, "held back to be judged on")):
        if not any(one["held_back"] is held_back for one in made):
            raise DataError(f"there is no study {what}; raise the number of phantoms, or change held_back in dataset.toml")


def dicom_recipes(data: DataSet, task: str, files: Mapping[str, str], folder: Path) -> list[dict[str, Any]]:
    """Return how to make a sample of each DICOM Segmentation; ``files`` are names of what came by sha256.

    Raises
    ------
    DataError
        If a Segmentation did not come, or its series did not.
    """
    made: list[dict[str, Any]] = []
    images = images_by_series(folder) if data.segmentations else {}
    for number, one in enumerate(data.segmentations, start=1):
        if one.file not in files:
            raise DataError(f"segmentation {number} did not come; put all that dataset.toml names into one folder")
        name = files[one.file]
        recipe = {"name": f"d{number:04d}", "kind": "dicom", "images": referenced_images(folder / name, images), "labels": name}
        made.append(recipe | {"meaning": dict(data.segments), "task": task, "held_back": one.held_back})
    return made


def run(
    inputs: Mapping[str, Path],
    out: Path,
    *,
    network: str,
    phantoms: int,
    phantoms_held_back: int,
    first_phantom: int,
    begin_with: str,
) -> dict[str, float | int | str]:
    """Write a recipe a study and ``data.json``, what the model's card says of the data."""
    data = described(inputs["study"])
    files = {sha256_path(path): path.name for path in sorted(inputs["study"].iterdir()) if path.is_file()}
    made = recipes(data, network, files, first=first_phantom, learnt=phantoms, judged=phantoms_held_back)
    made += dicom_recipes(data, network, files, inputs["study"])
    require_both(made)
    (out / "recipes").mkdir()
    for one in made:
        (out / "recipes" / f"{one['name']}.json").write_text(json.dumps(one, indent=1) + "\n")
    sha256 = {name: digest for digest, name in files.items()}
    studies = [described_as(one, sha256) for one in made]
    document: dict[str, Any] = {"title": data.title, "licence": data.licence, "task": network, "studies": studies}
    if begin_with:
        document["begun_with"] = begun_with(begin_with, network, made, sha256)
    (out / "data.json").write_text(json.dumps(document, indent=1) + "\n")
    own = sum(one["kind"] != "phantom" for one in made)
    log.info("%d phantoms and %d studies, %d held back", len(made) - own, own, sum(one["held_back"] for one in made))
    return {"phantoms": len(made) - own, "studies": own, "held_back": sum(one["held_back"] for one in made)}
