"""Normalisation folded into the first layer."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from algorithms.slide.encoder.folding import folded


def test_folding_changes_no_number():
    """Normalise-then-embed and embed-with-folded-weights are the same linear map; float64 leaves round-off only."""
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(8, 3, 8, 8, generator=generator, dtype=torch.float64)
    bias = torch.randn(8, generator=generator, dtype=torch.float64)
    pixels = torch.randint(0, 256, (2, 3, 32, 16), generator=generator).double()
    mean, std = (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)
    centred = (pixels / 255 - torch.tensor(mean).double()[:, None, None]) / torch.tensor(std).double()[:, None, None]
    # The tensors above went through float32; the same rounded numbers must go into the fold.
    rounded = [torch.tensor(values).double().tolist() for values in (mean, std)]

    plain = functional.conv2d(centred, weight, bias, stride=8)
    scaled = functional.conv2d(pixels, *folded(weight, bias, *rounded), stride=8)

    np.testing.assert_allclose(scaled.numpy(), plain.numpy(), rtol=1e-12, atol=1e-11)


def test_the_mean_colour_gives_the_bias():
    """A tile of the mean colour is zero after normalisation, so nothing but the bias is left."""
    weight, bias = torch.ones(1, 3, 2, 2), torch.tensor([0.25])
    mean = torch.tensor([51.0, 102.0, 204.0])[:, None, None].expand(3, 2, 2)[None].double()

    scaled = functional.conv2d(mean, *folded(weight, bias, (0.2, 0.4, 0.8), (0.1, 0.2, 0.3)))

    assert abs(scaled.item() - 0.25) < 1e-12  # round-off of twelve products of size 10
