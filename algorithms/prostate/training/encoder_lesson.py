"""What heartwood-small, the encoder that ships, is taught, and how.

A small Vision Transformer learns from tiles of synthetic men (`algorithms.phantom.biopsy`) which share of a tile each
pattern takes, how pleomorphic the cancer's nuclei are, and how many lymphocytes there are.  Each of the three is read from
the embedding by one linear layer, so the embedding holds them in a form that a risk model can use; a fourth layer points
out the lymphocytes among the tokens.  These layers are thrown away.  The first part of the training sees quarters of tiles
at a random part of the positions, which cost a quarter; the second sees whole tiles.  One seed, one thread: the same plan
gives the same weights on one kind of machine.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from algorithms.phantom.biopsy.man import PATTERNS, Man, Stain, man
from algorithms.phantom.biopsy.tissue import tile
from algorithms.slide.encoder.architecture import Architecture
from algorithms.slide.encoder.vit import VisionTransformer

log = logging.getLogger(__name__)

ARCHITECTURE = Architecture(
    img_size=224, patch_size=16, embed_dim=192, depth=4, num_heads=3, mlp_ratio=2.0, class_token=False, pooling="mean"
)
TILE_MPP = 0.5
MEAN = (0.80, 0.55, 0.70)
STD = (0.17, 0.22, 0.15)
"""Of each channel of the synthetic tissue, in fractions of white, rounded."""

EDGE = ARCHITECTURE.img_size // ARCHITECTURE.patch_size
"""Patches along a tile's edge."""
PART = EDGE // 2
"""Patches along the edge of the parts that the first half of the training sees."""
CANCER = tuple(PATTERNS.index(f"gleason{grade}") for grade in (3, 4, 5))
UNIFORM_VARIANCE = 1 / 12
"""Of pleomorphism and lymphocytes, which are uniform from 0 to 1: their errors count in units of it."""
POINTING = 5.0
"""Weight of the loss of lymphocytes' patches, of which most are empty (own choice)."""
LYMPHOCYTE_DARKER = 16
"""Grey levels by which a lymphocyte darkens a pixel; the scanner's grain changes none between two pictures of one tile."""


@dataclass(frozen=True)
class Plan:
    """How much is learnt: from how many tiles, how many steps on parts and on whole tiles, how many of them a step."""

    tiles: int = 3000
    held_out: int = 1000
    part_steps: int = 1400
    whole_steps: int = 150
    part_batch: int = 32
    whole_batch: int = 12
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    seed: int = 1


@dataclass(frozen=True)
class Tiles:
    """Tiles, (N, px, px, 3) uint8, and what is true of them, float32.

    ``patterns`` (N, 5) are shares of the tile's tissue; ``tissue``, ``pleomorphism`` and ``lymphocytes`` are (N,);
    ``covered``, (N, rows, columns), is the part of each patch that lymphocytes cover.
    """

    pixels: torch.Tensor
    patterns: torch.Tensor
    tissue: torch.Tensor
    pleomorphism: torch.Tensor
    lymphocytes: torch.Tensor
    covered: torch.Tensor

    def at(self, rows: torch.Tensor) -> Tiles:
        """Return some of them."""
        return dataclasses.replace(self, **{f.name: getattr(self, f.name)[rows] for f in dataclasses.fields(self)})

    def part(self, row: int, column: int) -> Tiles:
        """Return the part of each that begins at a patch; what is true of the whole is taken to be true of it."""
        size = ARCHITECTURE.patch_size
        y, x = slice(row * size, (row + PART) * size), slice(column * size, (column + PART) * size)
        return dataclasses.replace(
            self, pixels=self.pixels[:, y, x], covered=self.covered[:, row : row + PART, column : column + PART]
        )

    def turned(self, turns: int, mirrored: bool) -> Tiles:
        """Return them turned by quarters, then mirrored."""
        pixels, covered = torch.rot90(self.pixels, turns, (1, 2)), torch.rot90(self.covered, turns, (1, 2))
        if mirrored:
            pixels, covered = pixels.flip(2), covered.flip(2)
        return dataclasses.replace(self, pixels=pixels, covered=covered)


def made(count: int, seed: tuple[int, ...], *, strange_stain: bool = False) -> Tiles:
    """Return tiles of ``count`` men, one each, every pattern equally often."""
    size = ARCHITECTURE.img_size
    pixels = np.empty((count, size, size, 3), np.uint8)
    truth = np.empty((count, len(PATTERNS) + 3), np.float32)
    covered = np.empty((count, EDGE, EDGE), np.float32)
    for row in range(count):
        one = man(np.random.default_rng([*seed, row, 0]))
        if strange_stain:
            one = stained_strangely(one, np.random.default_rng([*seed, row, 1]))
        # The same tile without lymphocytes: where it is brighter, one lay.
        (pixels[row], labels), (bare, _) = (
            tile(np.random.default_rng([*seed, row, 2]), each, PATTERNS[row % len(PATTERNS)], size_px=size, mpp=TILE_MPP)
            for each in (one, dataclasses.replace(one, lymphocytes=0.0))
        )
        darker = (bare.astype(np.int16) - pixels[row]).max(axis=2) >= LYMPHOCYTE_DARKER
        covered[row] = darker.reshape(EDGE, ARCHITECTURE.patch_size, EDGE, ARCHITECTURE.patch_size).mean(axis=(1, 3))
        truth[row] = [labels[name] for name in (*PATTERNS, "tissue", "pleomorphism", "lymphocytes")]
    known = torch.from_numpy(truth)
    tissue, pleomorphism, lymphocytes = known[:, len(PATTERNS) :].unbind(dim=1)
    shares = known[:, : len(PATTERNS)]
    return Tiles(torch.from_numpy(pixels), shares, tissue, pleomorphism, lymphocytes, torch.from_numpy(covered))


def stained_strangely(one: Man, rng: np.random.Generator) -> Man:
    """Return the man with a stain that none of the training's laboratories has: three standard deviations off in all."""
    strength, hue = rng.choice([-1.0, 1.0], 2), rng.choice([-1.0, 1.0], 2)
    stain = Stain(
        float(np.exp(0.36 * strength[0])), float(np.exp(0.42 * strength[1])), (0.15 * float(hue[0]), 0.15 * float(hue[1]))
    )
    return dataclasses.replace(one, stain=stain)


def normalised(images: torch.Tensor) -> torch.Tensor:
    """Return images, (N, 3, H, W) in fractions of white, with the mean and standard deviation taken off."""
    return (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


class Student(nn.Module):
    """The encoder with the linear layers that read its embedding and, for lymphocytes, its tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = VisionTransformer(ARCHITECTURE)
        self.read = nn.Linear(ARCHITECTURE.dimension, len(PATTERNS) + 2)
        self.point = nn.Linear(ARCHITECTURE.dimension, 1)

    def forward(self, images: torch.Tensor, corner: tuple[int, int] = (0, 0)) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what is read of images in fractions of white.

        First scores of the patterns, pleomorphism and lymphocytes, (N, 7), then the score of lymphocytes in each patch,
        (N, rows, columns).  ``corner`` is the place, in patches (row, column), that a part of a tile takes.
        """
        model = self.encoder
        rows, columns = (edge // ARCHITECTURE.patch_size for edge in images.shape[2:])
        places = model.pos_embed.reshape(1, EDGE, EDGE, -1)
        here = places[:, corner[0] : corner[0] + rows, corner[1] : corner[1] + columns].flatten(1, 2)
        tokens = model.patch_embed(normalised(images)) + here
        for block in model.blocks:
            tokens = block(tokens)
        pointed = self.point(functional.layer_norm(tokens, tokens.shape[-1:]))
        return self.read(model.fc_norm(tokens.mean(dim=1))), pointed.reshape(len(images), rows, columns)


def initialise(student: Student, pixels: torch.Tensor, generator: torch.Generator) -> None:
    """Set the first weights.

    Those of the patches are whitened principal components of ``pixels``, (N, px, px, 3) uint8, so that all start equally loud.
    """
    for name, weight in student.named_parameters():
        if weight.ndim == 1:
            nn.init.constant_(weight, 1.0 if "norm" in name and name.endswith("weight") else 0.0)
        else:
            nn.init.trunc_normal_(weight, std=0.02, generator=generator)
    first, size = student.encoder.patch_embed.proj, ARCHITECTURE.patch_size
    with torch.no_grad():
        student.read.bias[len(PATTERNS) :] = 0.5
        student.point.bias.fill_(-4.0)  # lymphocytes cover few patches
        images = normalised(pixels.permute(0, 3, 1, 2) / 255)
        patches = functional.unfold(images, size, stride=size).transpose(1, 2).flatten(0, 1).double()
        values, vectors = torch.linalg.eigh(torch.cov(patches.T))
        kept = ARCHITECTURE.embed_dim
        loud, ways = values[-kept:].clamp(min=float(values[-1]) * 1e-4), vectors[:, -kept:]
        # Their signs are the solver's choice; turned together, the components are no longer alone in a channel either.
        turn = torch.linalg.qr(torch.randn(kept, kept, generator=generator, dtype=torch.float64)).Q
        weight = turn @ (ways / loud.sqrt()).T
        first.weight.copy_(weight.reshape(kept, 3, size, size).float() * 0.5)
        first.bias = nn.Parameter(-(0.5 * weight @ patches.mean(dim=0)).float())


def restained(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return tiles in fractions of white, (N, 3, px, px), stained and lit in another way.

    Optical density times a factor a tile and channel (after Tellez et al., Med Image Anal 58:101544 (2019)).
    """
    images = pixels.permute(0, 3, 1, 2)
    count = len(images)

    def spread(width: float, *shape: int) -> torch.Tensor:
        return (width * torch.randn(count, *shape, generator=generator)).exp()[:, :, None, None]

    density = -torch.log((images.float() + 1) / 256)
    light = spread(0.03, 1).log() + spread(0.01, 3).log()
    return torch.exp(light - density * spread(0.18, 1) * spread(0.10, 3))


def loss(read: torch.Tensor, pointed: torch.Tensor, truth: Tiles) -> torch.Tensor:
    """Return the mean loss: cross entropies of shares and of patches, and squared errors where something is to be seen."""
    shares = -(truth.patterns * functional.log_softmax(read[:, : len(PATTERNS)], dim=1)).sum(dim=1)
    cancer, rest = seen(truth)
    pleomorphism = (read[:, -2] - truth.pleomorphism).square() / UNIFORM_VARIANCE
    lymphocytes = (read[:, -1] - truth.lymphocytes).square() / UNIFORM_VARIANCE
    patches = functional.binary_cross_entropy_with_logits(pointed, truth.covered)
    return (shares * (truth.tissue > 0.1) + pleomorphism * cancer + lymphocytes * rest).mean() + POINTING * patches


def seen(truth: Tiles) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how much of each tile, 0 to 1, is cancer, which shows pleomorphism, and how much may hold lymphocytes."""
    cancer = truth.patterns[:, CANCER].sum(dim=1)
    return cancer * truth.tissue, (1 - truth.patterns[:, CANCER[-1]]) * truth.tissue


def batches(count: int, size: int, steps: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Yield ``steps`` times ``size`` rows; each of ``count`` comes once before any comes again."""
    order = torch.randperm(count, generator=generator)
    for _ in range(steps):
        if len(order) < size:
            order = torch.randperm(count, generator=generator)
        yield order[:size]
        order = order[size:]


def trained(plan: Plan) -> Student:
    """Return a student that has learnt by ``plan``."""
    generator = torch.Generator().manual_seed(plan.seed)
    tiles = made(plan.tiles, (plan.seed, 0))
    log.info("%d tiles made", plan.tiles)
    student = Student()
    initialise(student, tiles.pixels[:100], generator)
    optimiser = _optimiser(student, plan)
    total, mean_loss = plan.part_steps + plan.whole_steps, 0.0
    part_rows = batches(plan.tiles, plan.part_batch, plan.part_steps, generator)
    whole_rows = batches(plan.tiles, plan.whole_batch, plan.whole_steps, generator)
    for step, rows in enumerate(itertools.chain(part_rows, whole_rows), start=1):
        some, corner = _shown(tiles.at(rows), step <= plan.part_steps, generator)
        read, pointed = student(restained(some.pixels, generator), corner)
        error = loss(read, pointed, some)
        student.zero_grad()
        error.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = plan.learning_rate * min(step / 100, 0.5 * (1 + math.cos(math.pi * step / total)))
        optimiser.step()
        mean_loss += (float(error.detach()) - mean_loss) / min(step, 50)
        if step % 50 == 0:
            log.info("step %d of %d, loss %.3f", step, total, mean_loss)
    return student.eval()


def _shown(tiles: Tiles, partly: bool, generator: torch.Generator) -> tuple[Tiles, tuple[int, int]]:
    """Return what a step sees of its tiles, turned and mirrored, and at which of the positions."""

    def drawn(below: int) -> int:
        return int(torch.randint(below, (1,), generator=generator))

    turned = tiles.turned(drawn(4), bool(drawn(2)))
    if not partly:
        return turned, (0, 0)
    free = EDGE - PART + 1
    return turned.part(drawn(free), drawn(free)), (drawn(free), drawn(free))


def _optimiser(student: Student, plan: Plan) -> torch.optim.Optimizer:
    """Return AdamW (Loshchilov and Hutter, arXiv:1711.05101) that lets matrices decay, and no bias, norm or position."""
    matrices = [p for name, p in student.named_parameters() if p.ndim > 1 and "pos_embed" not in name]
    chosen = {id(p) for p in matrices}
    groups = [
        {"params": matrices, "weight_decay": plan.weight_decay},
        {"params": [p for p in student.parameters() if id(p) not in chosen], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98))


FIGURES = {
    "accuracy": "accuracy of the pattern, tiles of mostly one",
    "r2_shares": "R2 of the patterns' shares",
    "r2_pleomorphism": "R2 of pleomorphism, tiles of half cancer or more",
    "r2_lymphocytes": "R2 of lymphocytes, tiles of half not solid cancer or more",
}
"""What `figures` measures."""


def figures(student: Student, tiles: Tiles) -> dict[str, float]:
    """Return how well the student reads tiles that it has not seen.

    ``accuracy`` is of the commonest pattern where it takes 0.8 of the tissue or more, ``r2`` of each pattern's share, of
    pleomorphism where half of the tile or more is cancer, and of lymphocytes where half of it or more is not solid cancer.
    """
    with torch.inference_mode():
        read = torch.cat([student(some.permute(0, 3, 1, 2) / 255)[0] for some in torch.split(tiles.pixels, 32)])
    shares = read[:, : len(PATTERNS)].softmax(dim=1)
    pure = (tiles.patterns.max(dim=1).values >= 0.8) & (tiles.tissue >= 0.5)
    cancer, rest = seen(tiles)
    right = shares.argmax(dim=1) == tiles.patterns.argmax(dim=1)
    return {
        "accuracy": float(right[pure].float().mean()),
        "r2_shares": r2(shares[tiles.tissue >= 0.5], tiles.patterns[tiles.tissue >= 0.5]),
        "r2_pleomorphism": r2(read[cancer >= 0.5, -2], tiles.pleomorphism[cancer >= 0.5]),
        "r2_lymphocytes": r2(read[rest >= 0.5, -1], tiles.lymphocytes[rest >= 0.5]),
    }


def r2(read: torch.Tensor, true: torch.Tensor) -> float:
    """Return the share of the variance that is explained."""
    return 1 - float((read - true).square().sum() / (true - true.mean(dim=0)).square().sum())
