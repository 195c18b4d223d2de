"""A registry with a tiny model, for the tests of whoever asks one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save

from algorithms.contract.digest import sha256_path
from algorithms.segmentation.architecture import Architecture
from algorithms.segmentation.entry import HEARTWOOD, WEIGHTS, Entry, Input, write_entry
from algorithms.segmentation.unet import ResidualUNet

INPUT = Input((1.0, 1.0, 1.0), (16, 16, 16), 4, (-200.0, 800.0), 100.0, 300.0)


def tiny(models: Path, name: str = "tiny", **changed: object) -> Entry:
    """Return the entry of a network of random weights that was put into ``models``."""
    folder = models / name
    folder.mkdir(parents=True)
    form = Architecture(outputs=2, width=2, levels=2)
    torch.manual_seed(1)
    state = ResidualUNet(form).state_dict()
    (folder / WEIGHTS).write_bytes(save({key: value.contiguous() for key, value in state.items()}))
    entry = Entry(
        name,
        "Tiny",
        "toy",
        HEARTWOOD,
        WEIGHTS,
        sha256_path(folder / WEIGHTS),
        "Apache-2.0",
        "not for clinical use",
        INPUT,
        ("bright", "dark"),
        architecture=form,
    )
    entry = replace(entry, **changed)  # type: ignore[arg-type]
    write_entry(entry, folder)
    return entry
