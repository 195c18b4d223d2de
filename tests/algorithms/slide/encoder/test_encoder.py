"""Loading an encoder: the weights that are described or none, no network, and embeddings that do not depend on the batch."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import boto3
import moto
import numpy as np
import pytest
import torch

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.contract.store import open_store
from algorithms.slide.encoder.architecture import Architecture
from algorithms.slide.encoder.description import describe
from algorithms.slide.encoder.encoder import load
from tests.algorithms.slide.encoder.described import TINY, described


def tiles(count: int, size: int = 32) -> np.ndarray:
    """Return tiles of random pixels."""
    return np.random.default_rng(5).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_embeddings_are_those_of_normalised_tiles(tmp_path):
    """The model itself on (pixel / 255 - mean) / std, in float64, is the reference; float32 keeps six digits."""
    model = described(tmp_path).double()
    pixels = torch.from_numpy(tiles(3)).permute(0, 3, 1, 2).double() / 255
    normalised = (pixels - torch.tensor([0.7, 0.5, 0.6]).view(3, 1, 1)) / torch.tensor([0.2, 0.25, 0.3]).view(3, 1, 1)

    found = load("tiny", folder=tmp_path).embed(tiles(3))

    assert found.dtype == np.float32
    np.testing.assert_allclose(found, model(normalised).detach().numpy(), atol=2e-5)


def test_an_embedding_depends_on_its_tile_alone(tmp_path):
    """One tile alone, in a batch, or in a batch of another size: the same up to the round-off of a matrix product."""
    described(tmp_path)
    together = load("tiny", folder=tmp_path, tiles_at_once=7).embed(tiles(10))
    alone = load("tiny", folder=tmp_path, tiles_at_once=1).embed(tiles(10))

    np.testing.assert_allclose(together, alone, atol=1e-5)  # float32, values near 1
    assert np.ptp(alone, axis=0).min() > 0.01  # and not because all are equal


def test_equal_batches_give_equal_bits(tmp_path):
    """What makes features reproducible on one machine: two loads of one description, one answer."""
    described(tmp_path)
    first, second = (load("tiny", folder=tmp_path).embed(tiles(5)).tobytes() for _ in range(2))

    assert first == second


def test_workers_change_no_bit_and_leave_torch_as_it_was(tmp_path):
    """Passes are cut by ``tiles_at_once`` alone; how many are computed at a time is the machine's affair."""
    described(tmp_path)
    encoder = load("tiny", folder=tmp_path, tiles_at_once=3)
    threads = torch.get_num_threads()
    found = []
    for encoder.workers in (1, 2, 5):
        found.append(encoder.embed(tiles(11)).tobytes())

    assert [found[0]] * 3 == found
    assert threads == torch.get_num_threads()


def test_no_tiles_have_no_embeddings(tmp_path):
    """A slide may have none."""
    described(tmp_path)

    assert (0, 16) == load("tiny", folder=tmp_path).embed(tiles(0)).shape


def test_bfloat16_stays_near_float32(tmp_path):
    """Eight bits of mantissa through two blocks: a few percent of values of size 1."""
    described(tmp_path)
    exact, rough = (load("tiny", folder=tmp_path, precision=p).embed(tiles(4)) for p in ("float32", "bfloat16"))

    assert 0 < np.abs(exact - rough).max() < 0.15


@pytest.mark.parametrize(("shape", "kind"), [((1, 32, 32, 3), "f4"), ((1, 3, 32, 32), "u1"), ((1, 16, 16, 3), "u1")])
def test_tiles_of_another_kind_are_a_bug(tmp_path, shape, kind):
    """Normalised or channels-first tiles would give plausible nonsense."""
    described(tmp_path)

    with pytest.raises(ValueError, match="uint8 of shape"):
        load("tiny", folder=tmp_path).embed(np.zeros(shape, kind))


def test_torch_files_of_plain_tensors_load_too(tmp_path):
    """UNI, Virchow2 and H-optimus are published as pytorch_model.bin."""
    model = described(tmp_path)
    binary = tmp_path / "pytorch_model.bin"
    torch.save(model.state_dict(), binary)
    described(tmp_path, name="binary", uri=binary.as_uri(), sha256=sha256_path(binary))
    one, other = (load(name, folder=tmp_path).embed(tiles(2)) for name in ("tiny", "binary"))

    assert np.array_equal(one, other)


def test_weights_inside_the_project_are_named_by_a_relative_path(tmp_path):
    """How the default encoder names its own."""
    described(tmp_path, uri="tiny.safetensors")

    assert load("tiny", folder=tmp_path, project=tmp_path).dimension == 16


def test_weights_come_from_a_store_once(tmp_path, monkeypatch):
    """The second load needs no store: the copy has the described sha256.  moto is S3 here."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    described(tmp_path, name="stored", uri="s3://models/encoders/tiny.safetensors")
    with moto.mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="models")
        open_store("s3://models/encoders").put_file(tmp_path / "stored.safetensors", "tiny.safetensors")
        first = load("stored", folder=tmp_path).embed(tiles(1))
        boto3.client("s3", region_name="us-east-1").delete_object(Bucket="models", Key="encoders/tiny.safetensors")
        second = load("stored", folder=tmp_path).embed(tiles(1))
        (copy,) = (tmp_path / "cache").rglob("*.safetensors")
        copy.write_bytes(b"spoilt")
        with pytest.raises(DataError, match="has no weights here"):
            load("stored", folder=tmp_path)

    assert np.array_equal(first, second)


def test_weights_that_are_absent_say_whose_they_are_and_where_they_go():
    """A gated model cannot be shipped: the message is the instruction."""
    with pytest.raises(
        DataError, match=r"CC BY-NC-ND.*huggingface.co/MahmoodLab/UNI2-h.*data/encoders/uni2-h/pytorch_model.bin"
    ):
        load("uni2-h")


def test_weights_of_another_sha256_are_refused(tmp_path):
    """One flipped bit is another model; both hashes are shown by their first digits."""
    described(tmp_path)
    path = tmp_path / "tiny.safetensors"
    spoilt = bytearray(path.read_bytes())
    wanted = sha256_path(path)[:12]
    spoilt[-1] ^= 1
    path.write_bytes(spoilt)

    with pytest.raises(DataError, match=rf"have sha256 {sha256_path(path)[:12]}\.\.\., its description names {wanted}"):
        load("tiny", folder=tmp_path)


def test_weights_that_nobody_pinned_are_refused_with_the_line_to_write(tmp_path):
    """What was never pinned can change without a word."""
    described(tmp_path, sha256="")
    found = sha256_path(tmp_path / "tiny.safetensors")

    with pytest.raises(DataError, match=f'write sha256 = "{found}"'):
        load("tiny", folder=tmp_path)


def test_weights_of_another_architecture_are_refused(tmp_path):
    """The description says one block more, of 12 parameters."""
    described(tmp_path)
    deeper = Architecture(img_size=32, patch_size=8, embed_dim=16, depth=3, num_heads=2)
    described(
        tmp_path, deeper, name="deeper", uri=(tmp_path / "tiny.safetensors").as_uri(), sha256=describe("tiny", tmp_path).sha256
    )

    with pytest.raises(DataError, match=r"12 of 42 parameters .* first blocks\.2\.attn\.proj\.bias"):
        load("deeper", folder=tmp_path)


def test_a_file_that_runs_code_is_not_read(tmp_path):
    """A pickle may call anything; torch's reader of plain tensors refuses this one, which calls print."""

    class Calls:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("run",)

    path = tmp_path / "weights.bin"
    torch.save({"blocks": Calls()}, path)
    described(tmp_path, name="pickled", uri=path.as_uri(), sha256=sha256_path(path))

    with pytest.raises(DataError, match=r"no readable \.bin file of plain tensors"):
        load("pickled", folder=tmp_path)


@pytest.mark.parametrize(("suffix", "content"), [("safetensors", b"{"), ("bin", b""), ("bin", b"<html>please log in</html>")])
def test_a_page_saved_instead_of_weights_is_refused(tmp_path, suffix, content):
    """What a browser saves when one is not logged in; pinned by somebody who did not look."""
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(content)
    described(tmp_path, name="page", uri=path.as_uri(), sha256=sha256_path(path))

    with pytest.raises(DataError, match="fetch it again"):
        load("page", folder=tmp_path)


@pytest.mark.parametrize(
    "uri", ["../weights.bin", "/weights.bin", "https://example.org/weights.bin", "file://host/weights.bin", ""]
)
def test_weights_from_anywhere_else_are_refused(tmp_path, uri):
    """Outside of the project by a relative path, or from a web server."""
    described(tmp_path, uri=uri)

    with pytest.raises(DataError, match="must be a path inside the project"):
        load("tiny", folder=tmp_path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("gated = 1", "gated true or false", id="not-a-switch"),
        pytest.param("mean = [0.5, 0.5]", "three numbers", id="two-channels"),
        pytest.param("std = [0.5, 0.5, 0]", "std positive", id="no-spread"),
        pytest.param("tile_px = 64", "positions are learnt for one size", id="another-size"),
        pytest.param("depth = 'two'", "depth must be of the type int", id="not-a-number"),
        pytest.param("depth =", "Invalid value", id="not-toml"),
        pytest.param("sha256", "lacks sha256", id="no-hash"),
    ],
)
def test_a_description_with_a_mistake_says_which(tmp_path, line, said):
    """Operators write these files by hand."""
    described(tmp_path)
    path = tmp_path / "tiny.toml"
    key, equals, _ = line.partition(" =")
    put = line if equals else ""
    path.write_text("\n".join(put if old.startswith(f"{key} ") else old for old in path.read_text().split("\n")))

    with pytest.raises(DataError, match=said):
        load("tiny", folder=tmp_path)


def test_a_name_that_is_not_described_lists_those_that_are(tmp_path):
    """A typing mistake."""
    described(tmp_path)

    with pytest.raises(DataError, match=r"there are tiny$"):
        load("tinny", folder=tmp_path)


def test_loading_and_embedding_open_no_socket(tmp_path):
    """A process in which every socket raises loads and embeds all the same: no hub, no telemetry."""
    described(tmp_path)
    script = """
        import socket, sys
        from pathlib import Path

        def refuse(*_, **__):
            raise AssertionError("a socket was opened")

        socket.socket.__init__ = socket.create_connection = socket.getaddrinfo = refuse
        try:
            socket.socket()
        except AssertionError:
            print("sockets raise")

        import numpy as np
        from algorithms.slide.encoder.encoder import load
        print(load("tiny", folder=Path(sys.argv[1])).embed(np.zeros((1, 32, 32, 3), np.uint8)).shape)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )

    assert (0, ["sockets raise", f"(1, {TINY.embed_dim})"]) == (done.returncode, done.stdout.splitlines()), done.stderr
