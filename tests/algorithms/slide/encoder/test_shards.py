"""Shards: killed runs that go on, bytes that do not depend on it, corrupt tiles, and files that were changed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.slide.encoder.encoder import Encoder, load
from algorithms.slide.encoder.shards import read_features, write_features
from algorithms.slide.pixels.reader import Batch, Corrupt
from tests.algorithms.slide.encoder.described import described

SHARD_ROWS = 20
AT_ONCE = 8


def pixels(rows: np.ndarray) -> np.ndarray:
    """Return tiles that are told apart by their row in the table."""
    return np.stack([np.random.default_rng(row).integers(0, 256, (32, 32, 3), dtype=np.uint8) for row in rows])


def reading(bad: dict[int, str] | None = None, asked: list[slice] | None = None):
    """Return what gives the tiles of some rows of a table; those in ``bad`` are corrupt, their pixels white."""
    bad = bad or {}

    def read(rows: slice) -> Iterator[Batch]:
        if asked is not None:
            asked.append(rows)
        for first in range(rows.start, rows.stop, AT_ONCE):
            table = np.arange(first, min(first + AT_ONCE, rows.stop))
            tiles = pixels(table)
            tiles[[row in bad for row in table]] = 255
            corrupt = [Corrupt(row - rows.start, 10 * row, 7, bad[row]) for row in table.tolist() if row in bad]
            yield Batch(table - rows.start, tiles, tuple(corrupt))

    return read


def contents(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file by its name."""
    return {path.name: sha256_path(path) for path in folder.iterdir()}


@pytest.fixture
def encoder(tmp_path) -> Encoder:
    described(tmp_path)
    return load("tiny", folder=tmp_path, tiles_at_once=AT_ONCE)


def test_features_are_the_embeddings_in_the_tables_order(tmp_path, encoder):
    """Each row against its tile embedded by itself; float16 keeps three digits of values up to 4."""
    features = write_features(tmp_path / "features", 50, reading(), encoder, shard_rows=SHARD_ROWS)
    alone = np.concatenate([encoder.embed(pixels(np.array([row]))) for row in range(50)])

    assert [20, 20, 10] == [shard["rows"] for shard in features["shards"]]
    assert features == json.loads((tmp_path / "features" / "features.json").read_text())
    assert (50, 16, "tiny", encoder.weights_sha256) == tuple(
        features[key] for key in ("tiles", "dimension", "encoder", "weights_sha256")
    )
    np.testing.assert_allclose(read_features(tmp_path / "features").astype(float), alone, atol=2e-3)


def test_a_corrupt_tile_costs_its_own_row_alone(tmp_path, encoder):
    """Rows 3 and 27 cannot be decoded: NaN there, both named by row and place, and every other row keeps its bytes."""
    whole = write_features(tmp_path / "whole", 50, reading(), encoder, shard_rows=SHARD_ROWS)
    broken = write_features(
        tmp_path / "broken", 50, reading({3: "premature end", 27: "bad Huffman code"}), encoder, shard_rows=SHARD_ROWS
    )
    before, after = read_features(tmp_path / "whole"), read_features(tmp_path / "broken")
    rows = np.setdiff1d(np.arange(50), [3, 27])

    assert [] == whole["corrupt"]
    assert broken["corrupt"] == [
        {"row": 3, "x": 30, "y": 7, "reason": "premature end"},
        {"row": 27, "x": 270, "y": 7, "reason": "bad Huffman code"},
    ]
    assert np.isnan(after[[3, 27]]).all()
    assert np.array_equal(before[rows], after[rows])


def test_a_slide_without_tiles_has_features_of_no_rows(tmp_path, encoder):
    """All of its tissue may be pen."""
    write_features(tmp_path / "features", 0, reading(), encoder)

    assert (0, 16) == read_features(tmp_path / "features").shape
    assert {"features.json"} == set(contents(tmp_path / "features"))


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path, encoder):
    """A process is killed with signal 9 while it reads its fourth shard; the next run reads only what is missing."""
    script = """
        import sys, time
        from pathlib import Path
        from algorithms.slide.encoder.encoder import load
        from algorithms.slide.encoder.shards import write_features
        from tests.algorithms.slide.encoder.test_shards import AT_ONCE, SHARD_ROWS, reading

        folder = Path(sys.argv[1])

        def read(rows):
            for number, batch in enumerate(reading({5: "premature end"})(rows)):
                if rows.start == 3 * SHARD_ROWS and number == 1:
                    print("in the middle of the fourth", flush=True)
                    time.sleep(60)
                yield batch

        encoder = load("tiny", folder=folder, tiles_at_once=AT_ONCE)
        write_features(folder / "features", 101, read, encoder, shard_rows=SHARD_ROWS)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = set(contents(tmp_path / "features"))
    asked: list[slice] = []
    resumed = write_features(tmp_path / "features", 101, reading({5: "premature end"}, asked), encoder, shard_rows=SHARD_ROWS)
    straight = write_features(tmp_path / "straight", 101, reading({5: "premature end"}), encoder, shard_rows=SHARD_ROWS)

    assert said == "in the middle of the fourth\n"
    assert process.returncode == -signal.SIGKILL
    assert left == {"shard-00000.npy", "shard-00001.npy", "shard-00002.npy", "unfinished.json"}
    assert [60, 80, 100] == [rows.start for rows in asked]
    assert resumed == straight
    assert contents(tmp_path / "features") == contents(tmp_path / "straight")


@pytest.mark.parametrize("change", ["cut", "flipped", "gone"])
def test_a_shard_that_is_not_what_was_noted_is_made_again(tmp_path, encoder, change):
    """Shard 1 of an interrupted run is damaged on the disk: it and what follows are made anew, shard 0 stays."""
    straight = write_features(tmp_path / "straight", 50, reading(), encoder, shard_rows=SHARD_ROWS)
    folder = tmp_path / "features"
    write_features(folder, 50, reading(), encoder, shard_rows=SHARD_ROWS)
    (folder / "features.json").rename(folder / "unfinished.json")
    path = folder / "shard-00001.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content if change == "flipped" else content[:-1])
    if change == "gone":
        path.unlink()
    asked: list[slice] = []

    assert straight == write_features(folder, 50, reading(asked=asked), encoder, shard_rows=SHARD_ROWS)
    assert [20, 40] == [rows.start for rows in asked]
    assert contents(folder) == contents(tmp_path / "straight")


def test_shards_of_another_encoder_are_not_gone_on_with(tmp_path, encoder):
    """The same folder with other weights: nothing of the first run is left."""
    folder = tmp_path / "features"
    write_features(folder, 50, reading(), encoder, shard_rows=SHARD_ROWS)
    (folder / "features.json").rename(folder / "unfinished.json")
    described(tmp_path, name="other")
    other = load("other", folder=tmp_path, tiles_at_once=AT_ONCE)
    write_features(folder, 30, reading(), other, shard_rows=SHARD_ROWS)

    assert {"features.json", "shard-00000.npy", "shard-00001.npy"} == set(contents(folder))
    assert (30, 16) == read_features(folder).shape


def test_a_shard_that_was_changed_later_is_not_read(tmp_path, encoder):
    """The risk must not rest on features that nobody computed."""
    write_features(tmp_path / "features", 30, reading(), encoder, shard_rows=SHARD_ROWS)
    path = tmp_path / "features" / "shard-00001.npy"
    path.write_bytes(path.read_bytes()[:-2] + b"\0\0")

    with pytest.raises(DataError, match=r"shard-00001.npy of the features is not what was written"):
        read_features(tmp_path / "features")


def test_an_encoder_that_gives_no_numbers_stops_the_stage(tmp_path):
    """A last norm of 10^38 makes infinities; NaN would be taken for a corrupt tile."""
    described(tmp_path)
    tensors = load_file(tmp_path / "tiny.safetensors")
    tensors["norm.weight"] *= 1e38
    save_file(tensors, tmp_path / "wild.safetensors")
    described(
        tmp_path, name="loud", uri=(tmp_path / "wild.safetensors").as_uri(), sha256=sha256_path(tmp_path / "wild.safetensors")
    )

    with pytest.raises(DataError, match="values that float16 cannot hold"):
        write_features(tmp_path / "features", 9, reading(), load("loud", folder=tmp_path))


def test_progress_is_said_with_rate_and_time_left(tmp_path, encoder, caplog, monkeypatch):
    """A clock that goes 4 s a batch: a line every third batch, of tiles at 2 a second; 96 tiles take 48 s."""
    ticks = iter(range(0, 1000, 4))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))
    caplog.set_level("INFO", "algorithms.slide.encoder.shards")
    write_features(tmp_path / "features", 96, reading(), encoder, shard_rows=96)

    assert [
        "tile 24 of 96, 2 tiles/s, 36 s left",
        "tile 48 of 96, 2 tiles/s, 24 s left",
        "tile 72 of 96, 2 tiles/s, 12 s left",
        "tile 96 of 96, 2 tiles/s, 0 s left",
    ] == [record.getMessage() for record in caplog.records]
