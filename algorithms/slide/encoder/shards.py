"""A slide's embeddings as float16 shards, written so that a killed run goes on where it was.

::

    shard-00000.npy ...     (rows <= 4096, dimension) float16, in the order of the tiles table; NaN where a tile is corrupt
    features.json           written last: encoder, weights_sha256, precision, dimension, tiles, shards [{file, rows, sha256}],
                            corrupt [{row, x, y, reason}]

Each shard appears by a rename, and what it holds is noted in ``unfinished.json`` behind it.  A later run keeps the shards
whose bytes are as noted and goes on with the next.  Batches start anew with each shard, so where a run was interrupted
changes no bit of any shard.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.slide.pixels.reader import Batch

if TYPE_CHECKING:
    from algorithms.slide.encoder.encoder import Encoder

log = logging.getLogger(__name__)

SHARD_ROWS = 4096
"""Tiles of a shard: 3 MB of a vector of 384, and a minute of work or less for a small encoder."""

FEATURES = "features.json"
UNFINISHED = "unfinished.json"

FLOAT16_MOST = float(np.finfo(np.float16).max)

PROGRESS_S = 10.0
"""Least time between two lines of progress."""


Read = Callable[[slice], Iterable[Batch]]
"""Gives the tiles of some rows of the table, each once, in their order and in batches that only these rows decide."""


@dataclass(frozen=True)
class Shard:
    """A finished shard and the corrupt tiles among its rows; rows of ``corrupt`` count from the table's start."""

    file: str
    rows: int
    sha256: str
    corrupt: tuple[dict[str, Any], ...]


def write_features(folder: Path, tiles: int, read: Read, encoder: Encoder, *, shard_rows: int = SHARD_ROWS) -> dict[str, Any]:
    """Write the embeddings of a slide's tiles below ``folder``, going on with what is there, and return features.json.

    Raises
    ------
    DataError
        If the encoder gives no numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whose = {
        "encoder": encoder.name,
        "weights_sha256": encoder.weights_sha256,
        "precision": encoder.precision,
        "dimension": encoder.dimension,
        "tiles": tiles,
    }
    shards = _finished(folder, whose, shard_rows)
    _clear(folder, {UNFINISHED, *(shard.file for shard in shards)})
    progress = _Progress(tiles, sum(shard.rows for shard in shards))
    for start in range(len(shards) * shard_rows, tiles, shard_rows):
        rows = slice(start, min(start + shard_rows, tiles))
        embeddings, corrupt = _embedded(rows, read, encoder, progress)
        file = f"shard-{start // shard_rows:05d}.npy"
        _replace(folder / file, partial(_save, embeddings))
        shards.append(Shard(file, len(embeddings), sha256_path(folder / file), tuple(corrupt)))
        _write_json(folder / UNFINISHED, _document(whose, shards))
    features = _document(whose, shards)
    _write_json(folder / FEATURES, features)
    (folder / UNFINISHED).unlink(missing_ok=True)
    return features


def read_features(folder: Path) -> np.ndarray:
    """Return a slide's embeddings, (tiles, dimension) float16, in the order of its tiles table; NaN where a tile is corrupt.

    Raises
    ------
    DataError
        If a shard is not what was written.
    """
    features = json.loads((folder / FEATURES).read_text())
    embeddings = np.empty((features["tiles"], features["dimension"]), np.float16)
    start = 0
    for shard in features["shards"]:
        if sha256_path(folder / shard["file"]) != shard["sha256"]:
            raise DataError(f"{shard['file']} of the features is not what was written; run the stage encode again")
        embeddings[start : start + shard["rows"]] = np.load(folder / shard["file"], allow_pickle=False)
        start += shard["rows"]
    return embeddings


def _embedded(rows: slice, read: Read, encoder: Encoder, progress: _Progress) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Return the embeddings of some rows, float16, and which tiles are corrupt, by their rows in the whole table."""
    embeddings = np.full((rows.stop - rows.start, encoder.dimension), np.nan, np.float16)
    corrupt: list[dict[str, Any]] = []
    for batch in read(rows):
        bad = {tile.row for tile in batch.corrupt}
        good = np.array([row not in bad for row in batch.rows.tolist()], bool)
        # A corrupt tile goes through the encoder too: without it the ones behind it would stand elsewhere in the batch.
        vectors = encoder.embed(batch.tiles)
        if not (np.abs(vectors[good]) <= FLOAT16_MOST).all():
            raise DataError(
                f"the encoder {encoder.name} gives values that float16 cannot hold; its weights are damaged or not meant for "
                f"{encoder.precision}; try --set precision=float32, then fetch the weights again"
            )
        embeddings[batch.rows[good]] = vectors[good]
        corrupt += [tile._asdict() | {"row": rows.start + tile.row} for tile in batch.corrupt]
        progress.done(len(batch.rows))
    return embeddings, corrupt


def _finished(folder: Path, whose: dict[str, Any], shard_rows: int) -> list[Shard]:
    """Return the shards that an earlier run of the same work has left whole, from the first on."""
    try:
        noted = json.loads((folder / UNFINISHED).read_text())
    except (FileNotFoundError, ValueError):
        return []
    if {key: noted.get(key) for key in whose} != whose:
        return []
    shards: list[Shard] = []
    for entry in noted["shards"]:
        path = folder / entry["file"]
        if not path.is_file() or sha256_path(path) != entry["sha256"]:
            log.warning("shard %d of an earlier run is not whole, it is made again", len(shards))
            break
        first = len(shards) * shard_rows
        corrupt = tuple(bad for bad in noted["corrupt"] if first <= bad["row"] < first + entry["rows"])
        shards.append(Shard(entry["file"], entry["rows"], entry["sha256"], corrupt))
    if shards:
        log.info("going on behind %d tiles that an earlier run has encoded", sum(shard.rows for shard in shards))
    return shards


def _clear(folder: Path, kept: set[str]) -> None:
    """Delete what a killed run was writing, or what another encoder's run has left."""
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()


def _document(whose: dict[str, Any], shards: list[Shard]) -> dict[str, Any]:
    return {
        **whose,
        "shards": [{"file": shard.file, "rows": shard.rows, "sha256": shard.sha256} for shard in shards],
        "corrupt": [bad for shard in shards for bad in shard.corrupt],
    }


def _save(array: np.ndarray, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def _write_json(path: Path, document: dict[str, Any]) -> None:
    _replace(path, lambda draft: draft.write_text(json.dumps(document, indent=1) + "\n"))


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` write a file that appears whole or not at all, also after a power loss."""
    draft = path.with_name(f".{path.name}.draft")
    write(draft)
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.rename(path)


class _Progress:
    """Says at most every ten seconds how far the work is, how fast it goes and how long it will take."""

    def __init__(self, tiles: int, before: int) -> None:
        self._tiles = tiles
        self._before = before
        self._now = before
        self._start = self._said = time.monotonic()

    def done(self, tiles: int) -> None:
        """Count ``tiles`` more."""
        self._now += tiles
        now = time.monotonic()
        if now - self._said < PROGRESS_S:
            return
        rate = (self._now - self._before) / (now - self._start)
        left_s = (self._tiles - self._now) / rate
        log.info("tile %d of %d, %.0f tiles/s, %.0f s left", self._now, self._tiles, rate, left_s)
        self._said = now
