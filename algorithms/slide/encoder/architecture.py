"""The numbers that tell one Vision Transformer from another, under timm's names.  Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

MLPS = ("gelu", "swiglu")
POOLINGS = ("class", "mean", "class+mean")
NEEDED = ("img_size", "patch_size", "embed_dim", "depth", "num_heads")


@dataclass(frozen=True)
class Architecture:
    """A Vision Transformer's shape.

    ``mlp_ratio`` gives the outputs of the first layer of a block's network, ``int(embed_dim * mlp_ratio)``; where ``mlp``
    is ``"swiglu"`` (timm's SwiGLUPacked with SiLU) half of them gate the other half.  With ``no_embed_class`` only patches
    have a position.  ``layer_scale`` is true where timm is given ``init_values``.  ``pooling`` is what becomes the
    embedding: the class token, the mean of the patches, or both, one after the other.
    """

    img_size: int
    patch_size: int
    embed_dim: int
    depth: int
    num_heads: int
    mlp_ratio: float = 4.0
    mlp: str = "gelu"
    class_token: bool = True
    reg_tokens: int = 0
    no_embed_class: bool = False
    layer_scale: bool = False
    pooling: str = "class"

    def __post_init__(self) -> None:
        if min(self.img_size, self.patch_size, self.embed_dim, self.depth, self.num_heads) < 1 or self.reg_tokens < 0:
            raise ValueError("sizes and counts must be positive")
        if self.img_size % self.patch_size or self.embed_dim % self.num_heads:
            raise ValueError("img_size must be a multiple of patch_size, and embed_dim of num_heads")
        if self.mlp not in MLPS or self.pooling not in POOLINGS:
            raise ValueError(f"mlp must be one of {', '.join(MLPS)} and pooling one of {', '.join(POOLINGS)}")
        if "class" in self.pooling and not self.class_token:
            raise ValueError("pooling by the class token needs a class token")

    @property
    def patches(self) -> int:
        """How many patches an image has."""
        return (self.img_size // self.patch_size) ** 2

    @property
    def prefix(self) -> int:
        """How many tokens stand before the patches: the class token and the registers."""
        return int(self.class_token) + self.reg_tokens

    @property
    def hidden(self) -> int:
        """How many outputs the first layer of a block's network has."""
        return int(self.embed_dim * self.mlp_ratio)

    @property
    def dimension(self) -> int:
        """Length of an embedding."""
        return self.embed_dim * (2 if self.pooling == "class+mean" else 1)


def architecture(table: Mapping[str, Any]) -> Architecture:
    """Return the architecture that a table of a description gives; raises ``ValueError`` with what is wrong with it."""
    kinds = {field.name: str(field.type) for field in fields(Architecture)}
    unknown = sorted(set(table) - set(kinds))
    missing = sorted(set(NEEDED) - set(table))
    if unknown or missing:
        raise ValueError(f"unknown names: {', '.join(unknown) or 'none'}; missing names: {', '.join(missing) or 'none'}")
    for name, value in table.items():
        # A whole number is a float too, but True is no int here.
        if type(value).__name__ != kinds[name] and not (kinds[name] == "float" and type(value) is int):
            raise ValueError(f"{name} must be of the type {kinds[name]}")
    return Architecture(**table)
