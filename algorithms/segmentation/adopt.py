"""Put a model from elsewhere into the registry: ``python -m algorithms.segmentation.adopt MODEL --name NAME ...``.

What a model says of itself is taken from it (nnU-Net: all of it; MONAI: its channels); the rest is given.  The model's file or
folder stays where it is, or is copied to ``--uri`` by whoever runs a store.  See docs/models.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.contract.shell import exit_code, log_to_stderr
from algorithms.segmentation.archive import opened, text
from algorithms.segmentation.entry import ACTIVATIONS, ENTRY, MODELS, Entry, Input, write_entry
from algorithms.segmentation.nnunet import CONFIGURATION, configuration, form_of

log = logging.getLogger(__name__)

NNUNET, BUNDLE, TORCHSCRIPT = "nnunet", "monai-bundle", "torchscript"

MARGIN_SHARE = 8
"""A block's margin is this part of its shortest side where none is given."""


def kind_of(model: Path) -> str:
    """Return the format of a file or folder, by what is in it."""
    try:
        folder = opened(model)
    except DataError:
        return TORCHSCRIPT
    if (folder / "plans.json").exists():
        return NNUNET
    return BUNDLE if (folder / "configs" / "metadata.json").exists() else TORCHSCRIPT


def told_by_nnunet(model: Path) -> dict[str, Any]:
    """Return what plans and data set of nnU-Net say: spacing, block, intensities, channels."""
    folder = opened(model)
    plans, data = (json.loads(text(folder, name)) for name in ("plans.json", "dataset.json"))
    found = configuration(plans)
    schemes, labels = found["normalization_schemes"], data["labels"]
    if schemes != ["CTNormalization"]:
        raise DataError(f"the model normalises {len(schemes)} images by another scheme, wanted one by CTNormalization")
    if any(isinstance(value, list) for value in labels.values()):
        raise DataError("the model answers with regions that overlap, which is not read; train it on labels")
    names = {int(value): name for name, value in labels.items() if name != "ignore"}
    form_of(plans, len(names))  # refuses what cannot be built
    intensities = plans["foreground_intensity_properties_per_channel"]["0"]
    return {
        "channels": ["" if value == 0 else names[value] for value in sorted(names)],
        "spacing_mm": found["spacing"],
        "block": found["patch_size"],
        "clip_hu": [intensities["percentile_00_5"], intensities["percentile_99_5"]],
        "mean_hu": intensities["mean"],
        "deviation_hu": max(intensities["std"], 1e-8),
        "activation": "softmax",
    }


def told_by_bundle(model: Path) -> dict[str, Any]:
    """Return what the metadata of a MONAI bundle says: channels and block."""
    shape = json.loads(text(opened(model), "configs/metadata.json"))["network_data_format"]
    names = {int(number): name for number, name in shape["outputs"]["pred"]["channel_def"].items()}
    channels = ["" if names[number] == "background" else names[number] for number in sorted(names)]
    block = shape["inputs"]["image"].get("spatial_shape")
    return {"channels": channels} | ({"block": block} if _is_block(block) else {})


def _is_block(block: Any) -> bool:
    return isinstance(block, list) and len(block) == 3 and all(isinstance(side, int) for side in block)


def entry_of(model: Path, kind: str, given: Mapping[str, Any]) -> Entry:
    """Return the entry of a model; ``given`` counts more than what the model says of itself.

    Raises
    ------
    DataError
        If neither says something that must be known.
    """
    told = {NNUNET: told_by_nnunet, BUNDLE: told_by_bundle}.get(kind, lambda _: {})(model)
    known = told | {name: value for name, value in given.items() if value is not None}
    wanted = ("spacing_mm", "block", "clip_hu", "mean_hu", "deviation_hu", "channels", "activation")
    if missing := [name for name in wanted if name not in known]:
        raise DataError(f"the model does not say its {', '.join(missing)}; give them, as docs/models.md shows")
    renamed = known.get("renamed", {})
    try:
        seen = Input(
            spacing_mm=tuple(known["spacing_mm"]),
            block=tuple(known["block"]),
            margin=known.get("margin", min(known["block"]) // MARGIN_SHARE),
            clip_hu=tuple(known["clip_hu"]),
            mean_hu=known["mean_hu"],
            deviation_hu=known["deviation_hu"],
        )
        return Entry(
            name=known["name"],
            title=known["title"],
            task=known["task"],
            format=kind,
            uri=known["uri"],
            sha256=sha256_path(model),
            licence=known["licence"],
            statement=known["statement"],
            input=seen,
            channels=tuple(renamed.get(name, name) for name in known["channels"]),
            activation=known["activation"],
            record={"configuration": CONFIGURATION} if kind == NNUNET else {},
        )
    except ValueError as error:
        raise DataError(f"the entry would be wrong: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m algorithms.segmentation.adopt", description=__doc__.partition(":")[0])
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="TorchScript file, MONAI bundle or nnU-Net results folder (or zip)"
    )
    parser.add_argument("--name", required=True, help="what cases call it")
    parser.add_argument("--task", required=True, choices=("coarse", "fine"), help="which network's place it can take")
    parser.add_argument("--licence", required=True, help="under which it may be used")
    parser.add_argument("--title", help="what it is (default: its name)")
    parser.add_argument("--statement", default="for research only, not for clinical use", help="what it may not be used for")
    parser.add_argument("--uri", help="where cases find it: file:// or s3:// (default: where it is now)")
    parser.add_argument(
        "--channel", action="append", default=[], metavar="THEIRS=OURS", help="our word for one of its channels"
    )
    parser.add_argument("--channels", type=_words, metavar="A,B", help="all of its channels in order; empty: not read")
    parser.add_argument("--spacing-mm", type=_numbers, metavar="Z,Y,X", help="voxels that it wants to see")
    parser.add_argument("--block", type=_counts, metavar="Z,Y,X", help="voxels of a block")
    parser.add_argument(
        "--margin", type=int, help="voxels at a block's edge that are not used (default: an eighth of its side)"
    )
    parser.add_argument("--clip-hu", type=_numbers, metavar="LOW,HIGH", help="Hounsfield units are cut to these")
    parser.add_argument("--mean-hu", type=float, help="then this is taken off")
    parser.add_argument("--deviation-hu", type=float, help="and the rest is divided by this")
    parser.add_argument("--activation", choices=ACTIVATIONS, help="what makes probabilities of its answer")
    parser.add_argument("--models", type=Path, default=MODELS, metavar="DIR", help="the registry (default: the project's)")
    return parser


def _words(given: str) -> list[str]:
    return [word.strip() for word in given.split(",")]


def _numbers(given: str) -> list[float]:
    return [float(word) for word in given.split(",")]


def _counts(given: str) -> list[int]:
    return [int(word) for word in given.split(",")]


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    options = vars(_parser().parse_args(arguments))
    log_to_stderr()
    model, models = options.pop("model"), options.pop("models")
    renamed = dict(text.partition("=")[::2] for text in options.pop("channel"))
    defaults = {"title": options["title"] or options["name"], "uri": options["uri"] or model.absolute().as_uri()}

    def command() -> int:
        if not model.exists():
            raise DataError("there is nothing at MODEL; name the file, folder or zip file of the model")
        entry = entry_of(model, kind_of(model), options | defaults | {"renamed": renamed})
        (models / entry.name).mkdir(parents=True, exist_ok=True)
        write_entry(entry, models / entry.name)
        sys.stdout.write(json.dumps({"entry": str(models / entry.name / ENTRY), "sha256": entry.sha256}) + "\n")
        return 0

    return exit_code(command, log)


if __name__ == "__main__":
    sys.exit(main())
