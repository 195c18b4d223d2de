"""One member of the ensemble: tiles and clinical variables in, log hazards of each endpoint out.

Tiles are (N, T, K) on the axes of a `Projection`, covariates (N, C); ``E`` endpoints, ``J`` intervals of a year.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from algorithms.prostate.risk.attention import GatedAttention, pool

ENDPOINTS = ("distant_metastasis", "prostate_cancer_death")
"""What is predicted, in the order of the heads."""

INTERVALS = 10
"""Intervals of the discrete-time head, a year each, up to the last horizon that is reported."""


class Outputs(NamedTuple):
    """What the heads say of N men.

    ``log_hazard`` (N, E) is Cox's, relative; ``log_log_hazard`` (N, E, J) the discrete-time head's;
    ``log_hazard_ratio`` (N, E) the change of both with short-term androgen deprivation.
    """

    log_hazard: torch.Tensor
    log_log_hazard: torch.Tensor
    log_hazard_ratio: torch.Tensor


@dataclass(frozen=True)
class Size:
    """Widths of a member: axes of the projection, numbers kept a tile, units of the attention, covariates.

    Without tiles (``axes`` 0) it is a clinical model, without covariates (0) one of images: the benchmark's rivals.
    ``context`` is how many numbers of the whole case the treatment's head reads.
    """

    axes: int
    covariates: int
    context: int
    width: int = 16
    hidden: int = 16


class Member(nn.Module):
    """Gated attention over the tiles, joined with the covariates, and three linear heads.

    The prognostic heads read the attended tiles and the covariates.  The treatment's head reads the case's context: a few
    leading components of the plain mean of its tiles, because what changes the effect of a treatment need not lie where the
    prognosis is read, and because a difference of two arms can teach few numbers only.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        endpoints = len(ENDPOINTS)
        bag = size.width if size.axes else 0
        if bag:
            self.embed = nn.Linear(size.axes, size.width)
            self.attention = GatedAttention(size.width, size.hidden)
        joined = bag + size.covariates
        self.cox = nn.Linear(joined, endpoints, bias=False)
        self.level = nn.Linear(joined, endpoints, bias=False)
        self.trend = nn.Linear(joined, endpoints, bias=False)
        self.baseline = nn.Parameter(torch.full((endpoints, INTERVALS), -4.0))
        self.treatment = nn.Linear(size.context, endpoints)
        nn.init.zeros_(self.treatment.weight)
        middle = (INTERVALS - 1) / 2
        self.register_buffer("time", (torch.arange(INTERVALS) - middle) / middle, persistent=False)

    def tiles(self, tiles: torch.Tensor) -> torch.Tensor:
        """Return (..., width) of (..., K) tiles."""
        return torch.tanh(self.embed(tiles))

    def attended(self, tiles: torch.Tensor) -> torch.Tensor:
        """Return the attended mean, (N, width), of bags (N, T, K)."""
        if not self.size.axes:
            return tiles.new_zeros(len(tiles), 0)
        inside = self.tiles(tiles)
        return pool(inside, self.attention(inside))

    def heads(self, attended: torch.Tensor, context: torch.Tensor, covariates: torch.Tensor) -> Outputs:
        """Return what is said of N men, from their attended tiles, their context and their covariates."""
        joined = torch.cat([attended, covariates], dim=1)
        level, trend = self.level(joined), self.trend(joined)
        log_log_hazard = self.baseline + level[:, :, None] + trend[:, :, None] * self.time
        return Outputs(self.cox(joined), log_log_hazard, self.treatment(context))

    def forward(self, tiles: torch.Tensor, context: torch.Tensor, covariates: torch.Tensor) -> Outputs:
        """Return what is said of N men, of bags (N, T, K), context (N, size.context) and covariates (N, C)."""
        return self.heads(self.attended(tiles), context, covariates)
