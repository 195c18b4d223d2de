"""The stages of a training on a task that is learnt in seconds: weights, judgement, entry, report, promotion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

from algorithms.contract.digest import sha256_path
from algorithms.contract.errors import DataError
from algorithms.contract.pipeline import PROJECT
from algorithms.segmentation.entry import WEIGHTS, read_entry
from algorithms.segmentation.segmenter import load
from algorithms.train_segmentation import evaluate, register, report, tasks, train
from algorithms.train_segmentation.promote import Trained, promote
from tests.algorithms.train_segmentation.small_task import BALLS, ball_sample

SETTINGS: dict[str, Any] = {"lessons_at_once": 2, "learning_rate": 2e-2, "training_precision": "float32", "processes": 1}


@dataclass(frozen=True)
class Training:
    """The artefacts of one training of the small task."""

    artefacts: dict[str, Path]
    measured: dict[str, dict[str, Any]]


def training(folder: Path, samples: Path, steps: int) -> Training:
    """Return a training that was run stage after stage in ``folder``."""
    data = {"title": "Balls", "licence": "Apache-2.0", "task": "balls"}
    seeds = [{"kind": "phantom", "seed": seed, "held_back": seed > 2} for seed in (1, 2, 3, 4)]
    folder.mkdir()
    (folder / "data.json").write_text(json.dumps(data | {"studies": seeds}))
    artefacts = {"samples": samples, "data": folder / "data.json"}
    measured = {}
    settings = SETTINGS | {"steps": steps, "training_seed": 1}
    for stage, module, given in (("train", train, settings), ("evaluate", evaluate, {}), ("register", register, {})):
        out = folder / stage
        out.mkdir()
        measured[stage] = module.run(artefacts, out, **given)
        made = {"weights": WEIGHTS, "losses": "losses.json", "evaluation": "evaluation.json"}
        made |= {"case_pictures": "pictures", "entry": "entry"}
        artefacts |= {name: out / path for name, path in made.items() if (out / path).exists()}
    return Training(artefacts, measured)


@pytest.fixture(scope="module", autouse=True)
def balls() -> Iterator[None]:
    """Make the small task known, in one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tasks.TASKS, "balls", BALLS)  # type: ignore[arg-type]
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    for seed in (1, 2, 3, 4):
        ball_sample(folder / f"p{seed}", seed, held_back=seed > 2)
    return folder


@pytest.fixture(scope="module")
def good(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    return training(tmp_path_factory.mktemp("runs") / "good", samples, 120)


@pytest.fixture(scope="module")
def bad(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    return training(tmp_path_factory.mktemp("runs") / "bad", samples, 1)


def record(found: Training) -> dict[str, Any]:
    """Return what the contract would tell the report of a training whose stages are all done."""
    from algorithms.train_segmentation.pipeline import PIPELINE

    stages = [
        {"name": s.name, "state": "done", "version": s.version, "key": "0" * 64, "parameters": {}, "inputs": {}, "outputs": {}}
        | {"measurements": found.measured.get(s.name, {}), "failure": None, "help": s.help, "source": s.source}
        for s in PIPELINE.stages
        if not s.always
    ]
    return {"case_id": "0" * 16, "pipeline": "train_segmentation", "heartwood": "0", "title": "Training", "stages": stages}


def told(found: Training, out: Path) -> dict[str, Any]:
    """Return ``result.json`` of a training, written with its report below ``out`` and checked against its schema."""
    out.mkdir()
    (out / "record.json").write_text(json.dumps(record(found)))
    report.run(found.artefacts | {"record": out / "record.json"}, out)
    result = json.loads((out / "result.json").read_text())
    jsonschema.validate(result, json.loads((PROJECT / "algorithms/train_segmentation/result.schema.json").read_text()))
    return dict(result)


def test_a_training_writes_a_report_with_its_worst_study_first(good, tmp_path):
    """The page shows the studies' figures and pictures; the document keeps to its schema."""
    result = told(good, tmp_path / "out")

    assert "answered" == result["verdict"]
    assert ["coronary lumen", "wide blood"] == [row["label"] for row in result["structures"]]
    worst = json.loads(good.artefacts["evaluation"].read_text())["cases"]
    assert worst[0]["badness"] >= worst[1]["badness"]
    page = (tmp_path / "out" / "report.html").read_text()
    first, second = (page.index(f"study {case['label']}") for case in worst)
    assert first < second
    assert (tmp_path / "out" / "report.pdf").read_bytes().startswith(b"%PDF")


def test_a_training_that_found_nothing_is_held(bad, tmp_path):
    """One step teaches nothing: the report says so, and the model should not be promoted."""
    result = told(bad, tmp_path / "out")

    assert "held" == result["verdict"]
    assert not result["released"]


def test_a_refused_data_set_gets_a_report_too(good, tmp_path):
    """With the reason and the remedy."""
    (tmp_path / "record.json").write_text(json.dumps(refused(good)))
    report.run({"record": tmp_path / "record.json"}, tmp_path)

    result = json.loads((tmp_path / "result.json").read_text())
    assert "rejected" == result["verdict"]
    assert "no study to learn from" in (tmp_path / "report.html").read_text()


def refused(found: Training) -> dict[str, Any]:
    """Return the record of a training whose first stage refused the data."""
    document = record(found)
    failure = {"kind": "data", "message": "there is no study to learn from"}
    document["stages"][0] |= {"state": "failed", "failure": failure, "key": None}
    for stage in document["stages"][1:]:
        stage |= {"state": "not run", "key": None}
    return document


def test_an_entry_tells_where_it_comes_from(good):
    """Data, parents by sha256 and figures; the card says that it is not for clinical use, and its numbers are the entry's."""
    folder = good.artefacts["entry"]
    entry = read_entry("entry", folder.parent)

    assert {name: sha256_path(good.artefacts[name]) for name in entry.record["parents"]} == entry.record["parents"]
    assert sha256_path(folder / WEIGHTS) == entry.sha256
    card = (folder / "card.md").read_text()
    assert "Trained on synthetic phantoms, not for clinical use" in card
    assert f"{entry.record['figures']['wide blood']['dice']:.3f}" in card


def test_a_model_that_was_replaced_in_the_meantime_is_no_beginning(samples, tmp_path):
    """The data tell which weights were meant; a training that began with others would be told as something it is not."""
    data = {"task": "balls", "studies": [], "begun_with": {"name": "fine", "sha256": "0" * 64, "data": {}}}
    (tmp_path / "data.json").write_text(json.dumps(data))

    with pytest.raises(DataError, match="was replaced since this training was received"):
        train.run({"samples": samples, "data": tmp_path / "data.json"}, tmp_path, steps=1, training_seed=1, **SETTINGS)


def test_the_first_model_of_a_task_is_promoted_and_answers(good, samples, tmp_path):
    """There is nothing to be worse than; a case asks it by the task's name."""
    replaced = promote(Trained(good.artefacts["entry"], samples), tmp_path)

    assert replaced is None
    hu = np.load(samples / "p3" / "image.npy")
    answer = load("balls", precision="float32", models=tmp_path).probabilities(hu)
    assert (2, *hu.shape) == answer.shape


def test_a_worse_model_is_not_promoted(good, bad, samples, tmp_path):
    """The refusal names what is worse; the default stays, and nothing is left beside it."""
    promote(Trained(good.artefacts["entry"], samples), tmp_path)

    with pytest.raises(DataError, match="figures are worse than the default's"):
        promote(Trained(bad.artefacts["entry"], samples), tmp_path)

    assert read_entry("entry", good.artefacts["entry"].parent).sha256 == read_entry("balls", tmp_path).sha256
    assert [tmp_path / "balls"] == list(tmp_path.iterdir())


def test_a_model_that_is_not_worse_replaces_the_default_and_says_so(good, bad, samples, tmp_path):
    """The sha256 of what it replaced stays in the entry."""
    promote(Trained(bad.artefacts["entry"], samples), tmp_path)

    replaced = promote(Trained(good.artefacts["entry"], samples), tmp_path)

    assert replaced == read_entry("entry", bad.artefacts["entry"].parent).sha256
    assert replaced == read_entry("balls", tmp_path).record["replaced_sha256"]
