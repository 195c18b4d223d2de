"""Encoders as data: one TOML file a model says what it is, whose it is, where its weights lie and what it wants to see.

::

    title = "UNI"
    licence = "CC BY-NC-ND 4.0"
    gated = true                            # the owner gives the weights to those who ask
    ask = "https://huggingface.co/MahmoodLab/UNI"
    uri = "data/encoders/uni/pytorch_model.bin"     # in the project; or file:///absolute/path, or s3://bucket/path
    sha256 = ""                             # of the weights; pinned by whoever has put them there
    citation = "Chen et al., Nat Med 30:850 (2024)"
    card = "https://huggingface.co/MahmoodLab/UNI"

    [input]
    tile_px = 224
    tile_mpp = 0.5
    mean = [0.485, 0.456, 0.406]
    std = [0.229, 0.224, 0.225]

    [architecture]                          # the names of `architecture.Architecture`, which are timm's

The file's name is the encoder's.  Imports nothing heavy.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algorithms.contract.errors import DataError
from algorithms.contract.pipeline import PROJECT, names_in
from algorithms.slide.encoder.architecture import Architecture, architecture

ENCODERS = PROJECT / "algorithms" / "slide" / "encoders"
"""Where the descriptions lie."""

TEXTS = ("title", "licence", "ask", "uri", "sha256", "citation", "card")


@dataclass(frozen=True)
class Description:
    """What a file says of an encoder; ``mean`` and ``std`` are of each channel, in fractions of white."""

    name: str
    title: str
    licence: str
    gated: bool
    ask: str
    uri: str
    sha256: str
    citation: str
    card: str
    tile_px: int
    tile_mpp: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    architecture: Architecture


def describe(name: str, folder: Path = ENCODERS) -> Description:
    """Return the description of an encoder.

    Raises
    ------
    DataError
        If there is none of this name, or it cannot be understood.
    """
    path = folder / f"{name}.toml"
    if not path.is_file():
        known = names_in(str(folder), ".toml")
        raise DataError(f"no encoder of that name is described; there are {', '.join(known) or 'none'}")
    try:
        return _description(name, tomllib.loads(path.read_text()))
    except KeyError as error:
        raise DataError(f"the description of the encoder {name} lacks {error.args[0]}; see {Path(__file__).name}") from error
    except (ValueError, TypeError) as error:
        raise DataError(f"the description of the encoder {name} is wrong: {error}; see {Path(__file__).name}") from error


def _description(name: str, table: Mapping[str, Any]) -> Description:
    seen = table["input"]
    texts = {key: table[key] for key in TEXTS}
    if not all(isinstance(text, str) for text in texts.values()) or not isinstance(table["gated"], bool):
        raise TypeError(f"{', '.join(TEXTS)} must be texts and gated true or false")
    mean, std = tuple(float(x) for x in seen["mean"]), tuple(float(x) for x in seen["std"])
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError("mean and std must be three numbers each, and std positive")
    shape = architecture(table["architecture"])
    if seen["tile_px"] != shape.img_size:
        raise ValueError(f"tile_px is {seen['tile_px']} and img_size {shape.img_size}; positions are learnt for one size")
    return Description(
        name=name,
        gated=table["gated"],
        tile_px=int(seen["tile_px"]),
        tile_mpp=float(seen["tile_mpp"]),
        mean=mean,
        std=std,
        architecture=shape,
        **texts,
    )
