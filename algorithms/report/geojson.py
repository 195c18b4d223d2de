"""Values of the tiles of a slide as GeoJSON objects that QuPath and other slide viewers read.

A FeatureCollection (RFC 7946) of squares in level-0 pixels, x to the right and y down from the slide's top left corner.
QuPath's own members ``objectType``, ``classification`` and ``measurements`` lie in each feature's properties.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np


def tile_features(
    xy: np.ndarray, extent_px: float, measured: Mapping[str, np.ndarray], kinds: Sequence[tuple[str, tuple[int, int, int]]]
) -> list[dict[str, Any]]:
    """Return a feature a tile.

    Parameters
    ----------
    xy, extent_px
        Top left corners (N, 2) and side of the tiles, level-0 pixels.
    measured
        Values (N,) by name.
    kinds
        Name and RGB colour of each tile's class, N of them.
    """
    features = []
    for row, ((x, y), (name, colour)) in enumerate(zip(xy.tolist(), kinds, strict=True)):
        right, low = x + extent_px, y + extent_px
        features.append(
            {
                "type": "Feature",
                "id": str(UUID(int=row + 1, version=4)),
                "geometry": {"type": "Polygon", "coordinates": [[[x, y], [right, y], [right, low], [x, low], [x, y]]]},
                "properties": {
                    "objectType": "tile",
                    "classification": {"name": name, "color": list(colour)},
                    "measurements": {title: float(values[row]) for title, values in measured.items()},
                },
            }
        )
    return features


def feature_collection(features: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document, with what it is ``about`` as a foreign member (RFC 7946 section 6.1)."""
    return {"type": "FeatureCollection", "heartwood": dict(about), "features": list(features)}
