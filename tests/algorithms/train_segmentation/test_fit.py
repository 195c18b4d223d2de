"""Training: the same weights however often it was killed and however many processes shared it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from algorithms.contract.pipeline import PROJECT
from algorithms.segmentation.entry import WEIGHTS
from algorithms.train_segmentation import fit as fitting
from algorithms.train_segmentation.fit import Plan, Pupil, fit
from algorithms.train_segmentation.learnt import keep_learnt
from algorithms.train_segmentation.lessons import Changes, lesson
from algorithms.train_segmentation.losses import loss
from tests.algorithms.train_segmentation.small_task import BALLS, ball_sample

PLAN = Plan(steps=6, batch=2, seed=3, precision="float32", keep_every=2)


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one order, and no fight over the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def samples(tmp_path):
    return [ball_sample(tmp_path / f"s{seed}", seed) for seed in (1, 2)]


def test_a_killed_training_ends_with_the_same_bits(samples, tmp_path, monkeypatch):
    """Killed in step 4, after the checkpoint of step 4 was made of steps 1 to 4: what was lost is drawn again."""
    whole, losses = fit(BALLS, samples, PLAN, tmp_path)
    again = tmp_path / "again"
    again.mkdir()
    learn = Pupil.learn
    monkeypatch.setattr(Pupil, "learn", lambda self, lessons: 1 / 0 if self.step == 5 else learn(self, lessons))
    with pytest.raises(ZeroDivisionError):
        fit(BALLS, samples, PLAN, again)
    monkeypatch.undo()

    resumed, resumed_losses = fit(BALLS, samples, PLAN, again)

    assert losses == resumed_losses
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_second_training_goes_on_from_what_the_first_has_learnt(samples, tmp_path):
    """Its first loss is that of learnt weights, not of random ones; and it is not the first training's checkpoint."""
    plan = replace(PLAN, steps=80, rate=2e-2, keep_every=100)
    weights, losses = fit(BALLS, samples, plan, tmp_path)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    keep_learnt(first, weights, losses)

    _, gone_on = fit(BALLS, samples, replace(plan, steps=5, rate=1e-4, begin=str(first / WEIGHTS)), second)

    assert np.mean(gone_on) < 0.75 * np.mean(losses[:5])


def test_a_half_written_checkpoint_is_none(samples, tmp_path):
    """The file is replaced by a rename: what a killed writer leaves has another name."""
    (tmp_path / f"{fitting.checkpoint.CHECKPOINT}.part").write_bytes(b"half")

    assert fitting.checkpoint.found(tmp_path, torch.device("cpu")) is None


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_network_learns(samples, tmp_path, precision):
    """The loss of a cut-and-dried task falls by a quarter and more."""
    plan = replace(PLAN, steps=80, rate=2e-2, precision=precision, keep_every=100)

    _, losses = fit(BALLS, samples, plan, tmp_path)

    assert np.mean(losses[-20:]) < 0.75 * np.mean(losses[:5])


def test_a_lesson_depends_on_its_number_alone(samples):
    """Two processes draw the same sequence without speaking to each other."""
    one, same, other = (lesson(samples, BALLS, 3, number) for number in (5, 5, 6))

    assert np.array_equal(one.image, same.image)
    assert np.array_equal(one.target, same.target)
    assert not np.array_equal(one.image, other.image)


def test_a_lesson_keeps_targets_on_their_voxels(samples):
    """Mirrored, scaled and shifted alike: with intensities unchanged, bright voxels are those of a ball."""
    calm = Changes(contrast=(1, 1), shift_hu=0, noise_hu=0, blur_voxels=0)

    for number in range(8):
        one = lesson(samples, BALLS, 3, number, calm)
        hu = one.image[0] * BALLS.input.deviation_hu + BALLS.input.mean_hu
        inside, outside = one.target.sum(0) > 0.9, one.target.sum(0) < 0.1
        assert one.image.shape == (1, *BALLS.taught)
        assert (hu[inside] > 250).all()  # 400, with five deviations of noise of 20 and a border voxel's share
        assert (hu[outside] < 150).all()


def test_what_is_not_known_teaches_nothing():
    """Whatever the network says of an unlabelled channel, loss and gradient are those of the others."""
    logits = torch.randn(2, 2, 4, 4, 4, requires_grad=True)
    target = torch.rand(2, 2, 4, 4, 4)
    known = torch.tensor([[True, False], [True, False]])

    loss(logits, target, known).backward()

    assert logits.grad is not None
    assert not logits.grad[:, 1].any()
    assert logits.grad[:, 0].any()


def test_the_loss_is_least_at_the_target():
    """Shares between 0 and 1 are targets too: the answer that equals them is better than any other constant."""
    target = torch.full((1, 1, 6, 6, 6), 0.3)
    known = torch.ones(1, 1, dtype=torch.bool)

    found = {p: float(loss(torch.full_like(target, p).logit(), target, known)) for p in (0.1, 0.2, 0.3, 0.4, 0.9)}

    assert 0.3 == min(found, key=found.__getitem__)


def test_a_batch_is_dealt_evenly(samples, tmp_path):
    """Otherwise a process would wait for ever for the others."""
    with pytest.raises(ValueError, match="cannot be dealt over 2"):
        fit(BALLS, samples, replace(PLAN, batch=3), tmp_path, fitting.Group(0, 2))


@pytest.mark.slow
def test_two_processes_learn_what_one_does(samples, tmp_path):
    """Gloo averages the gradients of one lesson each; one process takes both. Float32 rounding is all that differs."""
    alone, losses = fit(BALLS, samples, PLAN, tmp_path)
    (tmp_path / "shared").mkdir()
    program = "from tests.algorithms.train_segmentation.two_processes import main; main()"
    command = [sys.executable, "-c", program, str(tmp_path)]
    ranks = [subprocess.Popen(command, cwd=PROJECT, env=os.environ | {"RANK": str(rank)}) for rank in (0, 1)]

    assert [0, 0] == [rank.wait(timeout=300) for rank in ranks]
    shared = torch.load(tmp_path / "shared" / "weights.pt", weights_only=True)
    assert np.allclose(losses, shared["losses"], atol=1e-5)
    assert all(torch.allclose(alone[name], shared["mean"][name], atol=1e-4) for name in alone)
