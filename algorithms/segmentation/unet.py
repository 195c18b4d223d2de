"""A small residual U-Net for volumes.

Each level has one residual block down and one up; a level's way down is added to the way up, not set beside it, which
halves the widest convolutions.  Instance normalisation makes a block's answer independent of what else is in the batch.

References
----------
Çiçek et al., *3D U-Net*, MICCAI 2016, arXiv:1606.06650; He et al., *Identity mappings in deep residual networks*, ECCV 2016,
arXiv:1603.05027; Isensee et al., Nat Methods 18:203 (2021), for instance normalisation and leaky rectifiers.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn import functional

from algorithms.segmentation.architecture import Architecture

SLOPE = 0.01
"""Slope of the rectifier below zero (Isensee et al.)."""

RARE = -4.6
"""Logit that an untrained network answers with, of a probability of 0.01: else it first learns that everything is absent, and
its answers vanish with their gradients (Lin et al., ICCV 2017, arXiv:1708.02002, section 3.3)."""


class InstanceNorm(nn.InstanceNorm3d):
    """Instance normalisation whose gradients are right for a batch of one too.

    torch 2.13 on a CPU reads a gradient that comes in channels-last order as a contiguous one, if the batch has one volume.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, C, Z, Y, X) from the same shape."""
        out: torch.Tensor = super().forward(x)
        if out.requires_grad:
            out.register_hook(torch.Tensor.contiguous)  # type: ignore[no-untyped-call]
        return out


class Residual(nn.Module):
    """Two convolutions whose result is added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = InstanceNorm(channels, affine=True)
        self.second = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = InstanceNorm(channels, affine=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, C, Z, Y, X) from the same shape."""
        inner = functional.leaky_relu(self.first_norm(self.first(x)), SLOPE)
        return functional.leaky_relu(x + self.second_norm(self.second(inner)), SLOPE)


class ResidualUNet(nn.Module):
    """One channel of intensities in, a logit for every channel of the answer out."""

    def __init__(self, form: Architecture) -> None:
        super().__init__()
        widths = [form.width * 2**level for level in range(form.levels)]
        steps = list(itertools.pairwise(widths))
        self.enter = nn.Conv3d(1, form.width, 3, padding=1)
        self.down = nn.ModuleList(Residual(width) for width in widths)
        self.coarser = nn.ModuleList(nn.Conv3d(fine, coarse, 2, stride=2) for fine, coarse in steps)
        self.finer = nn.ModuleList(nn.ConvTranspose3d(coarse, fine, 2, stride=2) for fine, coarse in steps)
        self.up = nn.ModuleList(Residual(fine) for fine, _ in steps)
        self.leave = nn.Conv3d(form.width, form.outputs, 1)
        nn.init.constant_(self.leave.bias, RARE)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, outputs, Z, Y, X) of ``x`` (N, 1, Z, Y, X); see `Architecture.multiple`."""
        x = self.enter(x)
        passed = []
        for block, coarser in zip(self.down, self.coarser, strict=False):
            x = block(x)
            passed.append(x)
            x = coarser(x)
        x = self.down[-1](x)
        for block, finer, before in reversed(list(zip(self.up, self.finer, passed, strict=True))):
            x = block(finer(x) + before)
        logits: torch.Tensor = self.leave(x)
        return logits
