"""Turn the tiles of one slide into embeddings, in shards; a killed run goes on with the next shard."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from algorithms.contract.errors import DataError
from algorithms.slide.encoder.encoder import Encoder, load
from algorithms.slide.encoder.shards import write_features
from algorithms.slide.pixels.reader import Batch, open_slide

log = logging.getLogger(__name__)


def run(
    inputs: Mapping[str, Path], out: Path, *, encoder: str, precision: str, tiles_at_once: int
) -> dict[str, float | int | str]:
    """Write ``features/`` for the slide ``inputs["slides"]`` and its table of tiles ``inputs["tiles"]``."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(inputs["tiles"])
    model = load(encoder, precision=precision, tiles_at_once=tiles_at_once)
    facts = {key.decode(): value.decode() for key, value in table.schema.metadata.items() if not key.startswith(b"ARROW")}
    require_match(facts, model)
    x, y = (table.column(name).to_numpy() for name in ("x", "y"))
    extent_px, batch = float(facts["extent_px"]), tiles_at_once * model.workers
    with open_slide(inputs["slides"]) as slide:

        def read(rows: slice) -> Iterator[Batch]:
            return slide.windows(x[rows], y[rows], extent_px=extent_px, tile_px=model.tile_px, batch=batch)

        features = write_features(out / "features", len(x), read, model)
    log.info("%d tiles, %d of them corrupt, %d values each", len(x), len(features["corrupt"]), model.dimension)
    return {
        "tiles": len(x),
        "corrupt_tiles": len(features["corrupt"]),
        "dimension": model.dimension,
        "weights_sha256": model.weights_sha256,
    }


def require_match(facts: Mapping[str, Any], encoder: Encoder) -> None:
    """Raise `DataError` if the tiles are not of the size and scale that the encoder has learnt."""
    tile_px, tile_mpp = int(facts["tile_px"]), float(facts["tile_mpp"])
    if tile_px != encoder.tile_px or abs(tile_mpp - encoder.tile_mpp) > 1e-9:
        raise DataError(
            f"tiles of {tile_px} px at {tile_mpp:g} um per pixel; the encoder {encoder.name} wants {encoder.tile_px} px at "
            f"{encoder.tile_mpp:g} um per pixel; use --set tile_px={encoder.tile_px} --set tile_mpp={encoder.tile_mpp:g}"
        )
