"""The vault: what is encrypted under a case's key comes back whole or not at all, and never once the key is destroyed."""

from __future__ import annotations

import stat
import tracemalloc
from pathlib import Path

import pytest

from algorithms.contract.case import Home
from algorithms.contract.errors import DataError
from algorithms.contract.seal import BLOCK_BYTES, MAGIC, SALT_BYTES, TAG_BYTES
from algorithms.contract.vault import data_key, decrypt, destroy_key, encrypt, read_key

CASE_ID = "0123456789abcdef"
SEALED_BLOCK = BLOCK_BYTES + TAG_BYTES
HEADER = len(MAGIC) + SALT_BYTES


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def sealed(folder: Path, key: bytes, content: bytes, name: str = "study/000001") -> Path:
    (folder / "plain").write_bytes(content)
    encrypt(folder / "plain", folder / "sealed", key, name)
    return folder / "sealed"


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES])
def test_what_is_encrypted_comes_back(tmp_path, home, size):
    """At every edge of a block; each block costs sixteen bytes, and the header is always there."""
    key, content = data_key(home, CASE_ID), bytes(range(256)) * (size // 256) + bytes(size % 256)

    file = sealed(tmp_path, key, content)
    decrypt(file, tmp_path / "back", key, "study/000001")

    assert content == (tmp_path / "back").read_bytes()
    assert HEADER + size + TAG_BYTES * max(1, -(-size // BLOCK_BYTES)) == file.stat().st_size


def test_equal_content_is_encrypted_to_equal_bytes_under_one_name_only(tmp_path, home):
    """So an upload can be repeated; and nobody sees from outside that two files, or two cases, hold the same."""
    key, other = data_key(home, CASE_ID), data_key(home, "f" * 16)

    files = [sealed(tmp_path, k, b"x" * 99, n).read_bytes() for k, n in ((key, "a"), (key, "a"), (key, "b"), (other, "a"))]

    assert files[0] == files[1]
    assert 3 == len({file[HEADER:] for file in files})
    assert 3 == len({file[:HEADER] for file in files})


@pytest.mark.parametrize(
    "tamper",
    [
        pytest.param(lambda b: b[:-1], id="a byte cut off"),
        pytest.param(lambda b: b[: HEADER + SEALED_BLOCK], id="a block cut off"),
        pytest.param(lambda b: b[:HEADER], id="only the header"),
        pytest.param(lambda b: b[: HEADER // 2], id="half the header"),
        pytest.param(lambda b: b[:HEADER] + b[HEADER + SEALED_BLOCK :], id="a block left out"),
        pytest.param(
            lambda b: b[:HEADER] + b[HEADER + SEALED_BLOCK :][:SEALED_BLOCK] + b[HEADER:][:SEALED_BLOCK], id="blocks swapped"
        ),
        pytest.param(lambda b: b + b"x", id="a byte more"),
        pytest.param(lambda b: b[:-20] + bytes([b[-20] ^ 1]) + b[-19:], id="a bit turned"),
        pytest.param(lambda b: b[:20] + bytes([b[20] ^ 1]) + b[21:], id="a bit of the salt"),
        pytest.param(lambda b: b"something else", id="another kind of file"),
    ],
)
def test_what_was_tampered_with_is_refused(tmp_path, home, tamper):
    """Every byte is sealed, and so are order and end."""
    key = data_key(home, CASE_ID)
    file = sealed(tmp_path, key, bytes(2 * BLOCK_BYTES))
    file.write_bytes(tamper(file.read_bytes()))

    with pytest.raises(DataError, match="damaged, cut off, of another case"):
        decrypt(file, tmp_path / "back", key, "study/000001")


@pytest.mark.parametrize(("case_id", "name"), [(CASE_ID, "study/000002"), ("f" * 16, "study/000001")])
def test_a_file_of_another_name_or_case_is_refused(tmp_path, home, case_id, name):
    """Whoever can write into the store cannot put one patient's file in another one's place."""
    file = sealed(tmp_path, data_key(home, CASE_ID), b"content")

    with pytest.raises(DataError, match="under another name"):
        decrypt(file, tmp_path / "back", data_key(home, case_id), name)


def test_a_key_is_made_once_and_only_its_owner_reads_it(home):
    """And it lies there wrapped: the file alone, without the home's secret, opens nothing."""
    key = data_key(home, CASE_ID)
    place = home.vault / "keys" / CASE_ID

    assert key == data_key(home, CASE_ID) == read_key(home, CASE_ID)
    assert key not in place.read_bytes()
    assert 0o600 == stat.S_IMODE(place.stat().st_mode)
    assert [place] == list(place.parent.iterdir())


def test_a_destroyed_key_is_overwritten_and_gone(tmp_path, home):
    """Another name of the same file, such as a snapshot's hard link, holds zeros too; doing it again does no harm."""
    key = data_key(home, CASE_ID)
    file = sealed(tmp_path, key, b"content")
    (tmp_path / "link").hardlink_to(home.vault / "keys" / CASE_ID)

    for _ in range(2):
        destroy_key(home, CASE_ID)

    assert {0} == set((tmp_path / "link").read_bytes())
    with pytest.raises(DataError, match="was shredded"):
        read_key(home, CASE_ID)
    with pytest.raises(DataError, match="damaged"):
        decrypt(file, tmp_path / "back", data_key(home, CASE_ID), "study/000001")


def test_a_key_copied_from_another_case_opens_nothing(home):
    """The wrapping binds it to its case."""
    data_key(home, CASE_ID)
    (home.vault / "keys" / ("f" * 16)).write_bytes((home.vault / "keys" / CASE_ID).read_bytes())

    with pytest.raises(DataError, match="damaged"):
        read_key(home, "f" * 16)


def test_a_large_file_takes_little_memory(tmp_path, home):
    """Blocks pass one by one: a slide of 8 GiB must not be in memory.  Eight blocks is room for copies inside the library."""
    key = data_key(home, CASE_ID)
    with (tmp_path / "plain").open("wb") as file:
        file.truncate(64 * BLOCK_BYTES)

    tracemalloc.start()
    encrypt(tmp_path / "plain", tmp_path / "sealed", key, "slide")
    decrypt(tmp_path / "sealed", tmp_path / "back", key, "slide")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 8 * BLOCK_BYTES
