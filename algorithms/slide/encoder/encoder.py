"""An encoder ready for use: 8-bit tiles in, embeddings out.

    encoder = load("heartwood-small")
    embeddings = encoder.embed(tiles)        # (N, 224, 224, 3) uint8  ->  (N, 192) float32

Equal tiles in equal batches give equal bits on one kind of machine.  Between machines, numbers of threads, batch sizes and
precisions they differ by rounding (docs/prostate.md, Encoder).
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch

from algorithms.contract.pipeline import PROJECT
from algorithms.contract.threads import cores, each, one_thread
from algorithms.contract.weights import require_fit
from algorithms.slide.encoder.description import ENCODERS, Description, describe
from algorithms.slide.encoder.folding import folded
from algorithms.slide.encoder.vit import VisionTransformer
from algorithms.slide.encoder.weights import state, verified

log = logging.getLogger(__name__)

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}

TILES_AT_ONCE = 16
"""Tiles of one forward pass; more are not faster on a CPU (docs/prostate.md, Encoder)."""


class Encoder:
    """A described model with its weights in memory, on the GPU where there is one.

    ``workers`` is how many passes of ``tiles_at_once`` tiles are computed at a time; it changes no embedding.
    """

    def __init__(self, description: Description, model: VisionTransformer, precision: str, tiles_at_once: int) -> None:
        self.description = description
        self.precision = precision
        self.tiles_at_once = tiles_at_once
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = model.to(self._device).eval()
        self.workers = 1 if self._device.type == "cuda" else cores()

    @property
    def name(self) -> str:
        """The name of the description."""
        return self.description.name

    @property
    def weights_sha256(self) -> str:
        """The sha256 of the weights file."""
        return self.description.sha256

    @property
    def dimension(self) -> int:
        """Length of an embedding."""
        return self.description.architecture.dimension

    @property
    def tile_px(self) -> int:
        """Edge of a tile, in pixels."""
        return self.description.tile_px

    @property
    def tile_mpp(self) -> float:
        """Edge of a pixel, in micrometres."""
        return self.description.tile_mpp

    def embed(self, tiles: np.ndarray) -> np.ndarray:
        """Return the embeddings, (N, dimension) float32, of tiles, (N, tile_px, tile_px, 3) uint8 RGB."""
        if tiles.dtype != np.uint8 or tiles.shape[1:] != (self.tile_px, self.tile_px, 3):
            raise ValueError(f"tiles must be uint8 of shape (N, {self.tile_px}, {self.tile_px}, 3)")
        passes = [tiles[first : first + self.tiles_at_once] for first in range(0, len(tiles), self.tiles_at_once)]
        with one_thread():
            embeddings = each(self._forward, passes, self.workers)
        return np.concatenate([np.empty((0, self.dimension), np.float32), *embeddings])

    def _forward(self, tiles: np.ndarray) -> np.ndarray:
        # torch warns of arrays that it could write through.
        pixels = torch.from_numpy(tiles if tiles.flags.writeable else tiles.copy())
        with torch.inference_mode():
            # (N, H, W, 3) in memory, seen as (N, 3, H, W): channels last, nothing is moved.
            embedding: torch.Tensor = self._model(pixels.to(self._device).permute(0, 3, 1, 2))
        return embedding.float().cpu().numpy()


def load(
    name: str,
    *,
    precision: str = "float32",
    tiles_at_once: int = TILES_AT_ONCE,
    folder: Path = ENCODERS,
    project: Path = PROJECT,
) -> Encoder:
    """Return the encoder of a description in ``folder``, whose weights may lie below ``project``.

    Raises
    ------
    DataError
        If it is not described, or its weights are absent, not the described ones, or of another architecture.
    """
    description = describe(name, folder)
    tensors = state(verified(description, project))
    with torch.device("meta"):
        model = VisionTransformer(description.architecture)
    require_fit(model, tensors, whose=f"the encoder {name}", paper="description")
    dtype = PRECISIONS[precision]
    model.load_state_dict({key: value.to(dtype) for key, value in tensors.items()}, strict=True, assign=True)
    first = model.patch_embed.proj
    weight, bias = folded(
        tensors["patch_embed.proj.weight"], tensors["patch_embed.proj.bias"], description.mean, description.std
    )
    # The first layer stays in float32: the mean that it now subtracts is larger than what is left.
    first.weight, first.bias = torch.nn.Parameter(weight.float()), torch.nn.Parameter(bias.float())
    log.info("encoder %s, %.1f million parameters, %s", name, sum(p.numel() for p in model.parameters()) / 1e6, precision)
    return Encoder(description, model.requires_grad_(False), precision, tiles_at_once)
