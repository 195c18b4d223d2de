"""A data set as a file: what the studies are, under which licence, and what the numbers of their label volumes mean.

::

    title = "Coronary CT of our hospital, 2019"
    licence = "internal use"

    [labels]                        # what each number of a label volume means; 0 is none of them
    1 = "coronary lumen"

    [[studies]]
    image = "5f70bf18..."           # sha256 of the file: names are dropped at the door
    labels = "aec070645f..."
    held_back = false               # held-back studies are never learnt from, only judged on

    [segments]                      # what the SegmentLabels of DICOM Segmentations mean; others are not read
    "LAD lumen" = "coronary lumen"

    [[segmentations]]               # of a CT series that lies in the folder too, and is found by its UID
    file = "77c1e2..."
    held_back = false

``python -m algorithms.train_segmentation.dataset FOLDER --title T --licence L --label 1="coronary lumen"`` writes it for
a folder of pairs ``NAME.nii.gz`` and ``NAME.labels.nii.gz`` and of DICOM Segmentations with their series (``--segment``); every
fifth study is held back.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.train_segmentation.tasks import LABELS

LARGEST_BYTES = 2**20
"""A file that is larger is no description."""

HELD_BACK_EVERY = 5
"""Of so many studies one is held back by the command."""


@dataclass(frozen=True)
class Pair:
    """A study: sha256 of its image and of its labels, and whether it is held back."""

    image: str
    labels: str
    held_back: bool


@dataclass(frozen=True)
class Segmentation:
    """A study in DICOM: sha256 of its Segmentation object, and whether it is held back."""

    file: str
    held_back: bool


@dataclass(frozen=True)
class DataSet:
    """What a description says; ``labels`` is the meaning of each number, ``segments`` that of each SegmentLabel."""

    title: str
    licence: str
    labels: Mapping[int, str]
    studies: tuple[Pair, ...]
    segments: Mapping[str, str]
    segmentations: tuple[Segmentation, ...]


def described(folder: Path) -> DataSet:
    """Return the description among the files of ``folder``, which is known by what is in it.

    Raises
    ------
    DataError
        If there is none, several, or one that cannot be understood.
    """
    found = [table for path in sorted(folder.iterdir()) if (table := _table(path)) is not None]
    if len(found) != 1:
        raise DataError(f"found {len(found)} descriptions of a data set, wanted one dataset.toml; docs/training.md shows it")
    try:
        table = found[0]
        pairs = tuple(Pair(one["image"], one["labels"], one.get("held_back", False)) for one in table.get("studies", ()))
        labels = {int(number): str(label) for number, label in table.get("labels", {}).items()}
        segments = {str(name): str(label) for name, label in table.get("segments", {}).items()}
        dicom = tuple(Segmentation(one["file"], one.get("held_back", False)) for one in table.get("segmentations", ()))
        data = DataSet(str(table["title"]), str(table["licence"]), labels, pairs, segments, dicom)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("dataset.toml cannot be understood; docs/training.md shows what belongs in it") from error
    if strangers := {*labels.values(), *segments.values()} - set(LABELS):
        raise DataError(f"{len(strangers)} labels of dataset.toml are not known, wanted some of {', '.join(LABELS)}")
    if (pairs and not labels) or (dicom and not segments):
        raise DataError("dataset.toml does not say what numbers or segments mean; give it a table labels, or segments")
    return data


def _table(path: Path) -> Mapping[str, Any] | None:
    """Return the table of a description, ``None`` for any other file."""
    if not path.is_file() or path.stat().st_size > LARGEST_BYTES:
        return None
    try:
        table = tomllib.loads(path.read_bytes().decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None
    return table if {"title", "licence"} <= set(table) else None


def description(folder: Path, title: str, licence: str, labels: Mapping[int, str], segments: Mapping[str, str]) -> str:
    """Return the text of ``dataset.toml`` for the studies in ``folder``; raises `DataError` where a pair is not whole."""
    masks = {path.name.partition(".labels.nii")[0]: path for path in sorted(folder.glob("*.labels.nii*"))}
    lines = [f"title = {_text(title)}", f"licence = {_text(licence)}", "", "[labels]"]
    lines += [f"{number} = {_text(label)}" for number, label in sorted(labels.items())]
    lines += ["", "[segments]", *(f"{_text(name)} = {_text(label)}" for name, label in sorted(segments.items()))]
    for number, (name, mask) in enumerate(masks.items(), start=1):
        images = [path for path in folder.glob("*.nii*") if path.name.partition(".nii")[0] == name]
        if len(images) != 1:
            raise DataError(
                f"pair {number} has {len(images)} images beside its labels, wanted NAME.nii.gz and NAME.labels.nii.gz"
            )
        pair = [f"image = {_text(sha256_path(images[0]))}", f"labels = {_text(sha256_path(mask))}"]
        lines += ["", "[[studies]]", *pair, _held_back(number)]
    for number, path in enumerate(_segmentations(folder) if segments else (), start=len(masks) + 1):
        lines += ["", "[[segmentations]]", f"file = {_text(sha256_path(path))}", _held_back(number)]
    return "\n".join(lines) + "\n"


def _held_back(number: int) -> str:
    return f"held_back = {'true' if number % HELD_BACK_EVERY == 0 else 'false'}"


def _segmentations(folder: Path) -> list[Path]:
    from algorithms.dicom.headers import read_folder

    return [folder / header.file for header in read_folder(folder).headers if header.text("Modality") == "SEG"]


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)  # a basic string of TOML


def main(arguments: list[str] | None = None) -> int:
    """Write ``dataset.toml`` into a folder of labelled studies."""
    parser = argparse.ArgumentParser("python -m algorithms.train_segmentation.dataset", description="Describe a data set.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="holds NAME.nii.gz and NAME.labels.nii.gz of each study")
    parser.add_argument("--title", required=True, help="what the data are")
    parser.add_argument("--licence", required=True, help="under which they may be used")
    parser.add_argument(
        "--label", action="append", default=[], metavar="NUMBER=LABEL", help=f"what a number means: {', '.join(LABELS)}"
    )
    parser.add_argument(
        "--segment", action="append", default=[], metavar="SEGMENT=LABEL", help="what a SegmentLabel of DICOM means"
    )
    given = parser.parse_args(arguments)
    segments = dict(text.partition("=")[::2] for text in given.segment)
    labels = {int(number): label for number, _, label in (text.partition("=") for text in given.label)}
    try:
        text = description(given.folder, given.title, given.licence, labels, segments)
    except DataError as error:
        parser.error(str(error))
    (given.folder / "dataset.toml").write_text(text)
    studies = text.count("[[studies]]") + text.count("[[segmentations]]")
    sys.stdout.write(json.dumps({"dataset": str(given.folder / "dataset.toml"), "studies": studies}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
