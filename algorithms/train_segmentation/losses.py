"""What a network is told about its answer: cross-entropy and overlap, of the channels that are known.

References
----------
Milletari, Navab, Ahmadi, *V-Net*, 3DV 2016, arXiv:1606.04797, section 3, for the overlap with squares below the line, which is
greatest at the target for shares between 0 and 1 too.
"""

from __future__ import annotations

import torch
from torch.nn import functional

SMOOTH_VOXELS = 1.0
"""Added above and below the line, so that a block without any of a structure is answered best with none of it."""


LEAST_SHARE = 0.002
"""Share of a block (1) that is added to a structure's own where its cross-entropy is weighed: 3 mm of an artery."""


def loss(logits: torch.Tensor, target: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Return the mean over samples of cross-entropy plus one minus overlap, each the mean over the sample's known channels.

    Cross-entropy is that of a structure's own voxels, not of the block's: an artery fills a three-hundredth of it, and its mean
    over the block would teach the network to see none.  It is least at the target all the same.

    Parameters
    ----------
    logits, target
        (N, channels, Z, Y, X); the target is a share from 0 to 1.
    known
        (N, channels) bool; a channel that is not known counts for nothing.
    """
    logits = logits.float()
    space = (2, 3, 4)
    own = target.sum(space) + LEAST_SHARE * target[0, 0].numel()
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(space) / own
    share = logits.sigmoid()
    both = 2 * (share * target).sum(space) + SMOOTH_VOXELS
    overlap = both / ((share * share).sum(space) + (target * target).sum(space) + SMOOTH_VOXELS)
    each = (entropy + 1 - overlap) * known
    return (each.sum(1) / known.sum(1).clamp(min=1)).mean()
