"""How the coronary pictures look: the FFR colours and the margins."""

from __future__ import annotations

import functools

from matplotlib.colors import LinearSegmentedColormap, Normalize

FFR_RANGE = (0.5, 1.0)
"""Ends of the colour scale, fixed so that two patients, or two runs, can be compared by eye."""

FFR_ANCHORS = (
    (0.50, "#67001f"), (0.65, "#b2182b"), (0.75, "#e0523a"), (0.78, "#f5b942"), (0.80, "#f7d65a"),
    (0.84, "#9fd0a8"), (0.90, "#4fa8c5"), (0.96, "#2a6fb0"), (1.00, "#22408f"),
)  # fmt: skip
"""Red where FFR is 0.75 or less, amber in the grey zone to 0.80, then blue: told apart without telling red from green."""

BANDS = ((0.75, "positive"), (0.80, "grey"), (1.0, "negative"))
"""Upper end of each band (Norgaard et al., Radiol Cardiothorac Imaging 1:e190050 (2019))."""

LEFT_IN, RIGHT_IN = 0.52, 0.30
"""Margins beside the axes, equal in all graphs of a vessel so that their distances line up on the page."""


@functools.cache
def ffr_colours() -> LinearSegmentedColormap:
    """Return the colour map over :data:`FFR_RANGE`."""
    low, high = FFR_RANGE
    return LinearSegmentedColormap.from_list("ffr", [((v - low) / (high - low), c) for v, c in FFR_ANCHORS], N=512)


def ffr_norm() -> Normalize:
    """Return the scale from FFR to colour."""
    return Normalize(*FFR_RANGE, clip=True)
