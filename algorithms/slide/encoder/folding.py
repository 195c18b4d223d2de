"""Normalisation folded into the first layer, so that 8-bit pixels go in as they are.

A network that was trained on ``(pixel / 255 - mean) / std`` sees the same numbers if its first layer, which is linear,
takes over the scaling::

    W ((x / 255 - m) / s) + b  =  (W / (255 s)) x  +  (b - sum over a patch of W m / s)

Normalising tiles on the host is otherwise the slowest step of a loader (docs/prostate.md, Encoder).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

WHITE = 255.0
"""The greatest 8-bit pixel, which ``mean`` and ``std`` count as 1."""


def folded(
    weight: torch.Tensor, bias: torch.Tensor, mean: Sequence[float], std: Sequence[float]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight and bias, float64, of the first layer for pixels of 0 to 255.

    Parameters
    ----------
    weight, bias
        (width, 3, patch, patch) and (width,), for normalised pixels.
    mean, std
        Of each channel, in fractions of white.
    """
    scale = torch.tensor(std, dtype=torch.float64)[None, :, None, None]
    offset = torch.tensor(mean, dtype=torch.float64)[None, :, None, None]
    scaled = weight.to(torch.float64) / scale
    return scaled / WHITE, bias.to(torch.float64) - (scaled * offset).sum(dim=(1, 2, 3))
