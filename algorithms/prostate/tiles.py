"""Lay a grid of tiles over the tissue of each usable slide: positions and what each tile holds, no pixels.

``tiles/s01.parquet`` has the columns x, y (int32, level-0 pixels of the top-left corner), tissue, pen, blurred, fold (float32,
parts of the tile's area; blurred and folded tissue is tissue too), row by row from the top left.  Its schema's metadata
says how large a tile is.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.slide.tissue import grid
from algorithms.slide.tissue.mask import BLURRED, FOLD, PEN, TISSUE

log = logging.getLogger(__name__)

COLUMNS: dict[str, tuple[int, ...]] = {
    "tissue": (TISSUE, BLURRED, FOLD),
    "pen": (PEN,),
    "blurred": (BLURRED,),
    "fold": (FOLD,),
}
"""The labels of the mask that each column counts."""


def run(
    inputs: Mapping[str, Path],
    out: Path,
    *,
    tile_px: int,
    tile_mpp: float,
    tissue_least: float,
    pen_most: float,
    blurred_most: float,
    fold_most: float,
) -> dict[str, float | int | str]:
    """Write ``tiles/`` and ``tiles.json`` for the slides that ``inputs["quality"]`` calls usable."""
    usable = [s for s in json.loads(inputs["quality"].read_text())["slides"] if s["usable"]]
    (out / "tiles").mkdir()
    limits = {"pen": pen_most, "blurred": blurred_most, "fold": fold_most}
    slides: list[dict[str, Any]] = []
    for slide in usable:
        name, facts = slide["slide"], slide["facts"]
        extent = grid.extent_px(tile_px, tile_mpp, facts["mpp"])
        labels = read_mask(inputs["tissue"] / name / "mask.png")
        columns = table(labels, slide["overview"]["level0_px_per_px"], (facts["width"], facts["height"]), extent)
        taken = columns["tissue"] >= tissue_least
        for column, most in limits.items():
            taken &= columns[column] <= most
        metadata = {
            "slide": name, "tile_px": tile_px, "tile_mpp": tile_mpp, "mpp": facts["mpp"],
            "extent_px": extent, "width": facts["width"], "height": facts["height"],
        }  # fmt: skip
        write({key: values[taken] for key, values in columns.items()}, metadata, out / "tiles" / f"{name}.parquet")
        count = int(taken.sum())
        slides.append({"slide": name, "tiles": count, "candidates": len(taken), "extent_px": extent, "mpp": facts["mpp"]})
        log.info("%s: %d of %d tiles hold tissue that can be judged", name, count, len(taken))
    total = sum(s["tiles"] for s in slides)
    if total == 0:
        raise DataError(
            f"no tile of {tile_px * tile_mpp:.0f} um on {len(slides)} usable slides has {tissue_least:.0%} tissue or more and "
            "is free of pen, blur and folds; send slides with more tissue, or lower tissue_least"
        )
    (out / "tiles.json").write_text(json.dumps({"tile_px": tile_px, "tile_mpp": tile_mpp, "slides": slides}, indent=1) + "\n")
    return {"slides": len(slides), "tiles": total, "candidates": sum(s["candidates"] for s in slides)}


def table(labels: np.ndarray, scale: float, size: tuple[int, int], extent: float) -> dict[str, np.ndarray]:
    """Return every tile of the grid that lies inside a slide of ``size`` (width, height), as columns.

    ``labels`` is the slide's mask, (Y, X) uint8, with ``scale`` level-0 pixels a side of a pixel; ``extent`` is a tile's side
    in level-0 pixels.
    """
    x, y = grid.positions(*size, extent)
    columns = {"x": x, "y": y}
    for name, members in COLUMNS.items():
        columns[name] = grid.cover(_any_of(labels, members), scale, x, y, extent).astype(np.float32)
    return columns


def _any_of(labels: np.ndarray, members: tuple[int, ...]) -> np.ndarray:
    """Return which pixels have one of some labels, bool; `numpy.isin` would take eight bytes a pixel."""
    found = np.zeros(labels.shape, bool)
    for member in members:
        found |= labels == member
    return found


def read_mask(path: Path) -> np.ndarray:
    """Return a mask's labels, (Y, X) uint8."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image, dtype=np.uint8)


def write(columns: Mapping[str, np.ndarray], metadata: Mapping[str, Any], path: Path) -> None:
    """Write a table of tiles as Parquet, its metadata as text; the same table gives the same bytes."""
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema(
        [(name, pyarrow.int32() if name in "xy" else pyarrow.float32()) for name in columns],
        metadata={key: str(value) for key, value in metadata.items()},
    )
    arrays = [pyarrow.array(values, type=field.type) for values, field in zip(columns.values(), schema, strict=True)]
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), path, compression="zstd")
