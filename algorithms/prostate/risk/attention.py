"""Gated attention over a bag of tiles, for training on small bags and for reading bags of any size in pieces.

Ilse, Tomczak, Welling, *Attention-based deep multiple instance learning*, ICML 2018, arXiv:1802.04712, eq. 7 and 9: the bag
is the mean of its tiles' vectors, weighted by a softmax over the bag of ``w . (tanh(V h) * sigmoid(U h))``.
"""

from __future__ import annotations

import torch
from torch import nn


class GatedAttention(nn.Module):
    """The score of a tile before the softmax; ``width`` numbers a tile, ``hidden`` inside."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.content = nn.Linear(width, hidden)
        self.gate = nn.Linear(width, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        """Return (..., T) scores of (..., T, width) tiles."""
        gated = torch.tanh(self.content(tiles)) * torch.sigmoid(self.gate(tiles))
        return torch.squeeze(self.score(gated), -1)


def pool(tiles: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Return the attended mean, (N, width), of bags (N, T, width) with scores (N, T)."""
    weights = torch.softmax(scores, dim=1)
    return torch.einsum("nt,ntw->nw", weights, tiles)


class RunningPool:
    """The attended mean of a bag that is read in pieces: the softmax's maximum and sums are carried along.

    Milakov and Gimelshein, *Online normalizer calculation for softmax*, arXiv:1805.02867, algorithm 3.  Sums are kept in
    double precision, so that the size of a piece does not show in the result.
    """

    def __init__(self, width: int) -> None:
        self.largest = -torch.inf
        self.total = 0.0
        self.weighted = torch.zeros(width, dtype=torch.float64)

    def add(self, tiles: torch.Tensor, scores: torch.Tensor) -> None:
        """Take in a piece: (T, width) with scores (T,)."""
        largest = max(self.largest, float(scores.max()))
        earlier = float(torch.exp(torch.tensor(self.largest - largest, dtype=torch.float64)))
        weights = torch.exp(scores.double() - largest)
        self.total = self.total * earlier + float(weights.sum())
        self.weighted = self.weighted * earlier + weights @ tiles.double()
        self.largest = largest

    def mean(self) -> torch.Tensor:
        """Return the attended mean, (width,) float32."""
        return (self.weighted / self.total).float()

    def attention(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the attention of tiles with these scores, float64; over all tiles that were added it sums to 1."""
        return torch.exp(scores.double() - self.largest) / self.total
