"""Encoders described in a folder of a test: small ones, with weights of random numbers."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from algorithms.contract.digest import sha256_path
from algorithms.slide.encoder.architecture import Architecture
from algorithms.slide.encoder.vit import VisionTransformer

TINY = Architecture(img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2)


def vit(shape: Architecture, seed: int = 0) -> VisionTransformer:
    """Return an encoder of this shape whose parameters are random, norms and scales about 1."""
    generator = torch.Generator().manual_seed(seed)
    model = VisionTransformer(shape)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            around = 1.0 if name.endswith("gamma") or ("norm" in name and name.endswith("weight")) else 0.0
            parameter.copy_(around + 0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def described(folder: Path, shape: Architecture = TINY, name: str = "tiny", **changed: Any) -> VisionTransformer:
    """Write a description with its weights into ``folder`` and return the model that they are of."""
    model = vit(shape)
    weights = folder / f"{name}.safetensors"
    save_file(model.state_dict(), weights)
    table = {
        "title": "Tiny", "licence": "none needed", "gated": False, "ask": "nobody", "uri": weights.as_uri(),
        "sha256": sha256_path(weights), "citation": "none", "card": "none",
    } | changed  # fmt: skip
    seen = {"tile_px": shape.img_size, "tile_mpp": 0.5, "mean": [0.7, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}
    write_description(folder / f"{name}.toml", table | {"input": seen, "architecture": asdict(shape)})
    return model


def write_description(path: Path, table: dict[str, Any]) -> None:
    """Write a table of values and tables as TOML, whose simple values are spelled as JSON's."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, dict)]
    for key, part in table.items():
        if isinstance(part, dict):
            lines += [f"[{key}]", *(f"{name} = {json.dumps(value)}" for name, value in part.items())]
    path.write_text("\n".join(lines) + "\n")
