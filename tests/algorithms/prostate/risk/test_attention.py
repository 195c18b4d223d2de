"""Attention pooling, at once and in pieces."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from algorithms.prostate.risk.attention import GatedAttention, RunningPool, pool


def bag(tiles: int = 50, width: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tiles (T, width) and scores (T,)."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(tiles, width, generator=generator), 5 * torch.randn(tiles, generator=generator)


def test_equal_scores_give_the_mean():
    """A softmax of equal numbers is 1/T each."""
    tiles, _ = bag()

    assert torch.allclose(pool(tiles[None], torch.zeros(1, 50))[0], tiles.mean(dim=0), atol=1e-6)


def test_one_score_far_above_the_others_takes_its_tile():
    """exp(-60) of any other tile is left."""
    tiles, scores = bag()
    scores[17] = scores.max() + 60

    assert torch.allclose(pool(tiles[None], scores[None])[0], tiles[17], atol=1e-6)


def test_the_score_is_ilses_formula():
    """That is w . (tanh(V h + b) * sigmoid(U h + c)), eq. 9, written out with numpy."""
    torch.manual_seed(3)
    attention = GatedAttention(4, 3)
    tile = torch.randn(4)
    v, b, u, c, w = (p.detach().numpy().astype(float) for p in attention.parameters())
    h = tile.numpy().astype(float)

    expected = w[0] @ (np.tanh(v @ h + b) / (1 + np.exp(-(u @ h + c))))

    assert float(attention(tile).detach()) == pytest.approx(expected, rel=1e-5)  # single precision


@pytest.mark.parametrize("size", [1, 7, 50])
def test_a_bag_read_in_pieces_is_the_bag_read_at_once(size):
    """Attention is a sum over tiles; where the pieces are cut must not show."""
    tiles, scores = bag()
    running = RunningPool(6)
    for piece, some in zip(tiles.split(size), scores.split(size), strict=True):
        running.add(piece, some)

    assert torch.allclose(running.mean(), pool(tiles[None], scores[None])[0], atol=1e-6)
    assert torch.allclose(running.attention(scores), torch.softmax(scores.double(), dim=0), atol=1e-12)


def test_large_scores_do_not_overflow():
    """exp(1000) has no number; the largest score is taken off first, whenever it comes."""
    tiles, scores = bag()
    running = RunningPool(6)
    for piece, some in zip(tiles.split(10), (scores + torch.arange(50) * 20.0).split(10), strict=True):
        running.add(piece, some)

    assert torch.isfinite(running.mean()).all()
    assert float(running.attention(scores + torch.arange(50) * 20.0).sum()) == pytest.approx(1.0, abs=1e-12)
