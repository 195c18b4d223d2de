"""Models of the registry: what is believed of them, and what they answer."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from algorithms.contract.errors import DataError
from algorithms.contract.pipeline import PROJECT
from algorithms.segmentation.entry import ENTRY, MUSCLE_HU, WEIGHTS, Entry, Input, read_entry
from algorithms.segmentation.segmenter import Segmenter, load, normalised
from algorithms.segmentation.weights import verified
from tests.algorithms.segmentation.small_models import INPUT, tiny


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one order, and no fight over the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).normal(100, 300, shape).astype(np.float32)


def echo(**changed: object) -> Segmenter:
    """Return a model that answers with what it sees."""
    given = {"channels": ("same",), "activation": "none", "format": "echo"} | changed
    fields = ("e", "Echo", "toy", given["format"], "w", "0" * 64, "none", "none", INPUT, given["channels"], given["activation"])
    return Segmenter(Entry(*fields), nn.Identity(), "float32")


def test_an_entry_is_read_as_it_was_written(tmp_path):
    """The registry is files: what training wrote is what a case reads."""
    assert tiny(tmp_path) == read_entry("tiny", tmp_path)


@pytest.mark.parametrize("shape", [(5, 7, 9), (16, 16, 16), (21, 8, 33)])
def test_the_cores_of_all_blocks_are_the_volume(shape):
    """A model that answers with what it sees must give the volume back, whatever its shape is to the blocks."""
    hu = noise(shape)

    (answer,) = echo().probabilities(hu)

    assert np.array_equal(normalised(hu, INPUT).astype(np.float16), answer)


def test_neither_workers_nor_threads_change_a_bit(tmp_path):
    """A machine with more cores must give the same artefact."""
    tiny(tmp_path)
    segmenter = load("tiny", precision="float32", models=tmp_path)
    answers = []
    for workers, threads in ((1, 1), (3, 2)):
        segmenter.workers = workers
        torch.set_num_threads(threads)
        answers.append(segmenter.probabilities(noise((24, 24, 24))))

    assert np.array_equal(*answers)


def test_only_blocks_with_candidates_are_computed():
    """The candidates' block is answered as in the whole volume; the rest stays 0."""
    hu = noise((8, 8, 24))
    where = np.zeros(hu.shape, bool)
    where[0, 0, 20] = True

    whole, part = echo().probabilities(hu)[0], echo().probabilities(hu, where)[0]

    assert np.array_equal(whole[:, :, 16:], part[:, :, 16:])
    assert not part[:, :, :16].any()


def test_probabilities_are_those_of_the_network(tmp_path):
    """A block is what the network makes of it, through a sigmoid; the margin is surroundings only."""
    tiny(tmp_path)
    hu = noise((8, 8, 8))
    segmenter = load("tiny", precision="float32", models=tmp_path)
    padded = np.pad(hu, 4, mode="edge")

    answer = segmenter.probabilities(hu)

    with torch.inference_mode():
        direct = segmenter._network(torch.from_numpy(normalised(padded, INPUT))[None, None])[0].sigmoid()
    assert np.allclose(direct[:, 4:12, 4:12, 4:12], answer, atol=5e-4)  # half precision of the answer


def test_bfloat16_is_near_float32(tmp_path):
    """Eight bits of mantissa through ten layers: a few hundredths, no more."""
    tiny(tmp_path)
    hu = noise((8, 8, 8))

    exact, fast = (load("tiny", precision=p, models=tmp_path).probabilities(hu) for p in ("float32", "bfloat16"))

    assert 0 < np.abs(exact.astype(float) - fast).max() < 0.1


def test_the_fastest_numbers_are_named(tmp_path):
    """What a machine chose is told by its name, so that a case can say it."""
    tiny(tmp_path)
    hu = noise((8, 8, 8))

    fastest = load("tiny", models=tmp_path)

    named = load("tiny", precision=fastest.precision, models=tmp_path)
    assert np.array_equal(fastest.probabilities(hu), named.probabilities(hu))


def test_softmax_makes_channels_share(tmp_path):
    """A model of mutually exclusive labels."""
    tiny(tmp_path, activation="softmax")

    answer = load("tiny", precision="float32", models=tmp_path).probabilities(noise((8, 8, 8)))

    assert np.allclose(1, answer.astype(float).sum(axis=0), atol=2e-3)  # half precision


def test_weights_that_were_changed_are_refused(tmp_path):
    """One flipped bit is enough."""
    tiny(tmp_path)
    path = tmp_path / "tiny" / WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"have sha256 .* its entry names"):
        load("tiny", models=tmp_path)


def test_weights_of_another_architecture_are_refused(tmp_path):
    """The message says how many parameters do not fit."""
    tiny(tmp_path)
    path = tmp_path / "tiny" / ENTRY
    document = json.loads(path.read_text())
    document["architecture"]["width"] = 3
    path.write_text(json.dumps(document))

    with pytest.raises(DataError, match="of another architecture"):
        load("tiny", models=tmp_path)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        pytest.param("absent.safetensors", "are not at its uri", id="absent"),
        pytest.param("../../secret", "must be a path inside", id="outside"),
        pytest.param("/etc/passwd", "must be a path inside", id="absolute without file://"),
        pytest.param("https://example.org/w", "must be a path inside", id="network"),
    ],
)
def test_weights_lie_where_an_entry_may_point(tmp_path, uri, message):
    """Inside the entry's folder, file:// or a store; nothing is fetched from elsewhere."""
    with pytest.raises(DataError, match=message):
        verified(tiny(tmp_path, uri=uri), tmp_path)


def test_weights_may_lie_anywhere_on_the_disk_or_in_a_store(tmp_path, monkeypatch):
    """The same file by three ways."""
    entry = tiny(tmp_path / "models")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    elsewhere = tmp_path / "elsewhere.safetensors"
    elsewhere.write_bytes((tmp_path / "models" / "tiny" / WEIGHTS).read_bytes())

    path = verified(tiny(tmp_path / "others", uri=elsewhere.as_uri()), tmp_path / "others")

    assert elsewhere == path
    assert entry.sha256 == read_entry("tiny", tmp_path / "others").sha256


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        pytest.param("sha256", "abc", "64 hexadecimal", id="short hash"),
        pytest.param("channels", [""], "at least one", id="no channel"),
        pytest.param("surprise", 1, "unknown names: surprise", id="unknown field"),
        pytest.param("activation", "tanh", "activation must be", id="activation"),
        pytest.param("licence", None, "must be texts", id="no licence"),
    ],
)
def test_a_wrong_entry_is_refused_with_what_is_wrong(tmp_path, key, value, message):
    """Entries are written by hand for models from elsewhere."""
    tiny(tmp_path)
    path = tmp_path / "tiny" / ENTRY
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))

    with pytest.raises(DataError, match=message):
        read_entry("tiny", tmp_path)


def test_an_unknown_model_names_those_that_exist(tmp_path):
    """And never what was typed."""
    tiny(tmp_path)

    with pytest.raises(DataError, match="there are tiny"):
        read_entry("Muster", tmp_path)


def test_an_answer_of_other_channels_than_the_entry_names_is_refused():
    """Otherwise a vein could be read as an artery."""
    with pytest.raises(DataError, match="answers with 1 channels, its entry names 2"):
        echo(channels=("a", "b")).probabilities(noise((4, 4, 4)))


def test_a_margin_leaves_a_core():
    """A block that is all margin would answer nothing."""
    with pytest.raises(ValueError, match="twice the margin"):
        Input((1.0, 1.0, 1.0), (16, 16, 16), 8, (-200.0, 800.0), 100.0, 300.0)


def test_every_model_that_ships_is_what_its_entry_says():
    """Names of files would be believed otherwise."""
    for path in (PROJECT / "algorithms" / "segmentation" / "models").glob(f"*/{ENTRY}"):
        assert verified(read_entry(path.parent.name)).is_file()


def test_the_aortas_blood_is_as_bright_in_every_scan():
    """Two scans of one person with more and with less contrast are one to a network that knows the aorta's blood."""
    seen = replace(INPUT, blood_hu=400.0)
    share = np.linspace(0, 1, 11)  # of the aorta's contrast: muscle, a vein, an artery

    rich, poor = (normalised(MUSCLE_HU + share * (blood - MUSCLE_HU), seen, blood) for blood in (550.0, 250.0))

    assert rich == pytest.approx(poor, abs=1e-5)
    assert rich[-1] == pytest.approx(normalised(np.array([400.0]), INPUT)[0])


@pytest.mark.parametrize("blood_hu", [None, 40.0])
def test_blood_that_is_not_known_is_refused(blood_hu):
    """A scan without contrast cannot be brought to one."""
    with pytest.raises(DataError, match="aorta's blood"):
        normalised(noise((4, 4, 4)), replace(INPUT, blood_hu=400.0), blood_hu)
