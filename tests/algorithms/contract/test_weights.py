"""Where weights may lie, and what becomes of a copy that is not what it should be."""

import boto3
import moto
import pytest

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.contract.store import open_store
from algorithms.contract.weights import located, require_sha256, tensors

WORDS = {"whose": "model tiny", "inside": "its folder"}


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    """A bucket ``models``, and a cache of its own for this test; moto is S3 here."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with moto.mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="models")
        yield open_store("s3://models/networks")


def test_weights_lie_below_a_folder_or_anywhere_on_the_disk(tmp_path):
    """A relative path is one below the folder; blanks of an absolute one are written as %20."""
    assert tmp_path / "a" / "b.bin" == located("a/b.bin", "", tmp_path, **WORDS)
    assert "/srv/my weights.bin" == str(located("file:///srv/my%20weights.bin", "", tmp_path, **WORDS))


@pytest.mark.parametrize(
    "uri", ["../b.bin", "/b.bin", "https://example.org/b.bin", "file://host/b.bin", "hf://owner/model", ""]
)
def test_weights_from_anywhere_else_are_refused(tmp_path, uri):
    """The message has the caller's words and never what was written."""
    with pytest.raises(DataError, match=r"^uri of model tiny must be a path inside its folder, file:///absolute/path or s3://"):
        located(uri, "", tmp_path, **WORDS)


def test_a_spoilt_copy_is_fetched_anew(tmp_path, bucket):
    """A half-written or meddled file must not stay in the way of the right one."""
    (tmp_path / "w.bin").write_bytes(b"right")
    wanted = sha256_path(tmp_path / "w.bin")
    bucket.put_file(tmp_path / "w.bin", "w.bin")
    uri = "s3://models/networks/w.bin"

    located(uri, wanted, tmp_path, **WORDS).write_bytes(b"spoilt")

    assert b"right" == located(uri, wanted, tmp_path, **WORDS).read_bytes()


def test_what_a_store_has_not_is_nowhere(tmp_path, bucket):
    """The caller asks whether the path exists, and says in its own words whose the weights are."""
    assert not located("s3://models/networks/absent.bin", "0" * 64, tmp_path, **WORDS).exists()


def test_other_weights_are_refused_with_both_hashes_and_the_remedy(tmp_path):
    """sha256 of nothing is e3b0c44298fc... (FIPS 180-4's example of an empty message)."""
    (tmp_path / "w.bin").write_bytes(b"")

    with pytest.raises(DataError, match=r"model tiny have sha256 e3b0c44298fc\.\.\., its entry names 000000000000\.\.\.; ask"):
        require_sha256(tmp_path / "w.bin", "0" * 64, whose="model tiny", paper="entry", remedy="ask")


def test_a_page_saved_instead_of_weights_is_refused(tmp_path):
    """What a browser saves when one is not logged in."""
    (tmp_path / "w.safetensors").write_bytes(b"<html>please log in</html>")

    with pytest.raises(DataError, match="no readable safetensors file; fetch it again"):
        tensors(tmp_path / "w.safetensors")
