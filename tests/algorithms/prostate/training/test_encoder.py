"""The encoder that ships: what it is taught is true, what ships is what was trained, and it tells synthetic tissue apart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from algorithms.phantom.biopsy.man import PATTERNS
from algorithms.prostate.training import encoder, encoder_lesson
from algorithms.prostate.training.encoder_lesson import Plan, Student, Tiles, initialise, made, normalised, restained, trained
from algorithms.slide.encoder.description import ENCODERS, describe
from algorithms.slide.encoder.encoder import load

MOST_BYTES = 3_000_000
"""What the project keeps of weights in git (own bound)."""


@pytest.fixture(scope="module")
def tiles() -> Tiles:
    """Return fifteen tiles, three of each pattern."""
    return made(15, (7, 7))


@pytest.fixture(scope="module")
def student(tiles) -> Student:
    """Return a student that has learnt nothing yet."""
    student = Student()
    initialise(student, tiles.pixels, torch.Generator().manual_seed(1))
    return student.eval()


def test_what_is_taught_is_true_of_the_tiles(tiles):
    """Shares of the tissue sum to 1, and the pattern that was asked for fills the middle, so mostly it is the commonest."""
    commonest = tiles.patterns.argmax(dim=1)

    np.testing.assert_allclose(tiles.patterns.sum(dim=1).numpy(), 1, atol=1e-6)
    assert (commonest == torch.arange(15) % len(PATTERNS)).float().mean() > 0.8
    assert tiles.covered.min() == 0
    assert 0.02 < float(tiles.covered.max()) <= 1
    # More lymphocytes cover more; the two are told apart man by man only where the tissue is alike, so by their ranks over all.
    ranks = [values.argsort().argsort().float() for values in (tiles.lymphocytes, tiles.covered.mean(dim=(1, 2)))]
    assert torch.corrcoef(torch.stack(ranks))[0, 1] > 0.5


def test_a_turned_tile_takes_its_patches_along(tiles):
    """Where lymphocytes are is turned as the pixels are: the patch that they cover most is the same piece of tissue."""
    size = encoder.ARCHITECTURE.patch_size
    turned = tiles.turned(1, True)
    old, new = (each.pixels[0, rows, columns] for each in (tiles, turned) for rows, columns in [most_covered(each, size)])

    assert torch.equal(torch.rot90(old, 1, (0, 1)).flip(1), new)


def most_covered(tiles: Tiles, size: int) -> tuple[slice, slice]:
    """Return where the first tile's patch lies that lymphocytes cover most, rows and columns of pixels."""
    row, column = divmod(int(tiles.covered[0].argmax()), tiles.covered.shape[2])
    return slice(row * size, (row + 1) * size), slice(column * size, (column + 1) * size)


def test_a_part_of_a_tile_has_the_patches_that_cover_it(tiles):
    """Seven patches a side from row 3, column 5."""
    part = tiles.part(3, 5)

    assert torch.equal(part.pixels, tiles.pixels[:, 48:160, 80:192])
    assert torch.equal(part.covered, tiles.covered[:, 3:10, 5:12])


def test_staining_anew_leaves_glass_white_and_order_alone():
    """Optical density times a factor: none stays none, and what was darker in a channel stays darker."""
    ramp = torch.arange(0, 256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(4, 16, 16, 3)
    stained = restained(ramp, torch.Generator().manual_seed(2))

    assert torch.equal(stained.flatten(2).argsort(dim=2), torch.arange(256).expand(4, 3, 256))
    assert float((stained[:, :, -1, -1] - 1).abs().max()) < 0.2  # the light of the lamp alone: 3 % of a tile, 1 % of a channel


def test_the_student_sees_what_the_encoder_computes(tiles, student):
    """A whole tile at the first position: the training's forward pass and the encoder's are one."""
    images = tiles.pixels[:3].permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        read, _ = student(images)
        expected = student.read(student.encoder(normalised(images)))

    np.testing.assert_allclose(read.numpy(), expected.numpy(), atol=1e-5)  # float32, values near 1


def test_first_weights_make_every_component_equally_loud(tiles, student):
    """Whitened: half a standard deviation in each of 192 outputs over the patches that the components are of."""
    with torch.inference_mode():
        tokens = student.encoder.patch_embed(normalised(tiles.pixels.permute(0, 3, 1, 2) / 255)).flatten(0, 1)

    np.testing.assert_allclose(tokens.mean(dim=0).numpy(), 0, atol=1e-3)
    assert 0.3 < float(tokens.std(dim=0).min()) <= float(tokens.std(dim=0).max()) < 0.55


@pytest.mark.slow
def test_one_plan_gives_one_set_of_weights():
    """Every random number comes from the plan's seed: two trainings, of parts and of whole tiles, end in the same bits."""
    plan = Plan(tiles=6, part_steps=1, whole_steps=1, part_batch=4, whole_batch=2)
    one, other = (trained(plan).state_dict() for _ in range(2))

    assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_is_written_is_loaded_again(tmp_path, tiles, student):
    """Description, weights and card of an untrained student: the loaded encoder gives its embeddings, from 8-bit pixels."""
    plan = dataclasses.replace(Plan(), held_out=5)
    encoder.write(student, plan, tmp_path)
    text = (tmp_path / "heartwood-small.toml").read_text()
    (tmp_path / "heartwood-small.toml").write_text(text.replace('"algorithms/slide/encoders/', f'"{tmp_path.as_uri()}/'))
    loaded = load("heartwood-small", folder=tmp_path)
    with torch.inference_mode():
        expected = student.encoder(normalised(tiles.pixels.permute(0, 3, 1, 2) / 255))

    np.testing.assert_allclose(loaded.embed(tiles.pixels.numpy()), expected.numpy(), atol=1e-3)  # values of size 3, folded
    assert "has never seen tissue of a human being" in (tmp_path / "heartwood-small.md").read_text()


def test_every_figure_of_the_card_is_measured():
    """The card's rows are the names that `figures` returns."""
    measured = encoder_lesson.figures(Student().eval(), made(5, (3,)))

    assert set(encoder_lesson.FIGURES) == set(measured)


def test_the_shipped_encoder_is_small_and_of_the_shape_that_is_trained():
    """What lies in the repository is what the command writes."""
    shipped = describe("heartwood-small")

    assert encoder.ARCHITECTURE == shipped.architecture
    assert (ENCODERS / "heartwood-small.safetensors").stat().st_size <= MOST_BYTES
    assert "gleason" not in shipped.title.lower()


def test_the_shipped_encoder_tells_synthetic_tissue_apart():
    """A ridge regression on embeddings of 75 tiles names the commonest pattern of 25 others; guessing gets one in five."""
    known = made(100, (12345,))
    vectors = load("heartwood-small").embed(known.pixels.numpy()).astype(float)
    vectors = np.column_stack([vectors - vectors[:75].mean(axis=0), np.ones(100)])
    wanted = known.patterns.numpy()
    weights = np.linalg.solve(vectors[:75].T @ vectors[:75] + 10 * np.eye(193), vectors[:75].T @ wanted[:75])
    right = (vectors[75:] @ weights).argmax(axis=1) == wanted[75:].argmax(axis=1)

    assert right.mean() >= 0.6
