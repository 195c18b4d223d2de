"""A model ready to be asked: Hounsfield units in, probabilities out.

    segmenter = load("fine")
    shares = segmenter.probabilities(hu)            # (Z, Y, X) at segmenter.entry.input.spacing_mm -> (channels, Z, Y, X)

On a CPU that multiplies bfloat16 (AMX, AVX-512 BF16) numbers inside the network are of that kind, float32 otherwise; their
answers differ by rounding.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from algorithms.contract.errors import DataError
from algorithms.contract.threads import cores, each, one_thread
from algorithms.contract.weights import require_fit, tensors
from algorithms.segmentation.blocks import Block, blocks, padding
from algorithms.segmentation.entry import HEARTWOOD, MODELS, MUSCLE_HU, Entry, Input, read_entry
from algorithms.segmentation.nnunet import nnunet_network
from algorithms.segmentation.torchscript import bundle_network, torchscript_network
from algorithms.segmentation.unet import ResidualUNet
from algorithms.segmentation.weights import verified

log = logging.getLogger(__name__)

FASTEST = "fastest"
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Numbers inside a network by name; `FASTEST` is the one of them that this machine is quicker with."""


class Segmenter:
    """A network with its entry, on the GPU where there is one; ``workers`` blocks are computed at a time."""

    def __init__(self, entry: Entry, network: nn.Module, precision: str = FASTEST) -> None:
        self.entry = entry
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.precision = fastest_on(self.device) if precision == FASTEST else precision
        self.dtype = PRECISIONS[self.precision]
        self.workers = 1 if self.device.type == "cuda" else cores()
        placed = network.to(self.device, self.dtype).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self._network: nn.Module = placed.eval().requires_grad_(False)

    def probabilities(self, hu: np.ndarray, where: np.ndarray | None = None, *, blood_hu: float | None = None) -> np.ndarray:
        """Return the probability of every channel, (channels, Z, Y, X) float16, of ``hu`` (Z, Y, X) at the input's spacing.

        With ``where`` (Z, Y, X) only blocks that it touches are computed; elsewhere every probability is 0.  ``blood_hu`` is
        that of the aorta, which some networks must know.
        """
        answers = Answers(self, hu, blood_hu)
        answers.ask(where)
        return answers.shares

    def answer(self, block: np.ndarray) -> np.ndarray:
        """Return the probability of every channel, (channels, Z, Y, X) float32, of one block of normalised intensities."""
        with torch.inference_mode():
            given = torch.from_numpy(block)[None, None].to(self.device, self.dtype)
            answer: torch.Tensor = self._network(given.contiguous(memory_format=torch.channels_last_3d))[0].float()
            if answer.shape[0] != len(self.entry.channels):
                raise DataError(
                    f"model {self.entry.name} answers with {answer.shape[0]} channels, its entry names "
                    f"{len(self.entry.channels)}; mend channels in its entry.json"
                )
            if self.entry.activation == "sigmoid":
                answer = answer.sigmoid()
            elif self.entry.activation == "softmax":
                answer = answer.softmax(dim=0)
            return answer.cpu().numpy()


class Answers:
    """What a network says of one volume, asked block by block: a structure can be followed without asking for the rest.

    ``shares`` (channels, Z, Y, X) float16 are 0 where nothing was asked, ``asked`` (Z, Y, X) tells where something was.
    """

    def __init__(self, segmenter: Segmenter, hu: np.ndarray, blood_hu: float | None = None) -> None:
        seen = segmenter.entry.input
        self.shares = np.zeros((len(segmenter.entry.channels), *hu.shape), np.float16)
        self.asked = np.zeros(hu.shape, bool)
        self.blocks = 0
        self._segmenter = segmenter
        self._blood_hu = blood_hu
        self._padded = np.pad(hu, padding(hu.shape, seen.block, seen.margin), mode="edge")

    def ask(self, where: np.ndarray | None = None) -> int:
        """Answer the blocks whose core ``where`` (Z, Y, X) touches, all without it, and return how many were new.

        Each block is computed in one thread, as many at a time as there are cores; their number changes no bit.
        """
        seen = self._segmenter.entry.input
        new = [block for block in blocks(self.asked.shape, seen.block, seen.margin, where) if not self.asked[block.kept].all()]

        def answered(block: Block) -> None:
            answer = self._segmenter.answer(normalised(self._padded[block.seen], seen, self._blood_hu))
            self.shares[(slice(None), *block.kept)] = answer[(slice(None), *block.core)]
            self.asked[block.kept] = True

        with one_thread():
            each(answered, new, self._segmenter.workers)
        self.blocks += len(new)
        log.info("asked %s for %d blocks of %s, %d in all", self._segmenter.entry.name, len(new), _size(seen), self.blocks)
        return len(new)


class MeanAnswers:
    """What several networks say of one volume on the average, each asked as `Answers` does; they see the same spacing.

    A channel's mean is that of the networks that have it.
    """

    def __init__(self, segmenters: Sequence[Segmenter], hu: np.ndarray, blood_hu: float | None = None) -> None:
        self._each = [(segmenter.entry, Answers(segmenter, hu, blood_hu)) for segmenter in segmenters]

    def ask(self, where: np.ndarray | None = None) -> int:
        """Ask every network for the blocks that ``where`` (Z, Y, X) touches, and return how many were new."""
        return sum(answers.ask(where) for _, answers in self._each)

    @property
    def asked(self) -> np.ndarray:
        """Where all were asked, (Z, Y, X) bool."""
        everywhere: np.ndarray = np.logical_and.reduce([answers.asked for _, answers in self._each])
        return everywhere

    @property
    def blocks(self) -> int:
        """How many blocks were computed."""
        return sum(answers.blocks for _, answers in self._each)

    def share(self, channel: str, part: tuple[slice, ...] = ()) -> np.ndarray:
        """Return the mean probability of a channel, (Z, Y, X) float32, in a part of the volume, all of it by default.

        It is 0 where nothing was asked or nobody has the channel.
        """
        total = np.zeros(self._each[0][1].asked[part].shape, np.float32)
        shares = [a.shares[e.channels.index(channel)][part] for e, a in self._each if channel in e.channels]
        for share in shares:
            total += share
        total /= max(1, len(shares))
        return total


def _size(seen: Input) -> str:
    return "x".join(map(str, seen.block))


def normalised(hu: np.ndarray, seen: Input, blood_hu: float | None = None) -> np.ndarray:
    """Return intensities as the network sees them, float32 of the shape of ``hu``; ``blood_hu`` is that of the aorta.

    Raises
    ------
    DataError
        If the network must know the aorta's blood and nobody does, or it is no brighter than muscle.
    """
    low, high = seen.clip_hu
    if seen.blood_hu is not None:
        if blood_hu is None or blood_hu <= MUSCLE_HU:
            told = "unknown" if blood_hu is None else f"{blood_hu:.0f} HU"
            raise DataError(f"the aorta's blood is {told}, wanted more than muscle's {MUSCLE_HU:.0f} HU: no scan with contrast")
        gain = np.float32((seen.blood_hu - MUSCLE_HU) / (blood_hu - MUSCLE_HU))
        hu = np.float32(MUSCLE_HU) + gain * (hu.astype(np.float32) - np.float32(MUSCLE_HU))
    out: np.ndarray = (np.clip(hu, low, high).astype(np.float32) - np.float32(seen.mean_hu)) / np.float32(seen.deviation_hu)
    return out


def fastest_on(device: torch.device) -> str:
    """Return the name of the kind of number that ``device`` is quicker with."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    able = torch.cpu.get_capabilities()
    return "bfloat16" if able.get("amx_bf16") or able.get("avx512_bf16") else "float32"


def load(name: str, *, precision: str = FASTEST, models: Path = MODELS) -> Segmenter:
    """Return the model called ``name`` of the registry ``models``.

    Raises
    ------
    DataError
        If it is not there, its weights are not those of its entry, or its format is none that is read.
    """
    entry = read_entry(name, models)
    if entry.format not in READERS:
        raise DataError(f"model {name} is in a format that is not read; wanted one of {', '.join(READERS)}")
    network = READERS[entry.format](entry, verified(entry, models))
    log.info("model %s, %.2f million parameters", name, sum(p.numel() for p in network.parameters()) / 1e6)
    return Segmenter(entry, network, precision)


def own_network(entry: Entry, weights: Path) -> nn.Module:
    """Return a network of ours with the weights of a safetensors file."""
    assert entry.architecture is not None
    with torch.device("meta"):
        network = ResidualUNet(entry.architecture)
    state = {name: value.float() for name, value in tensors(weights).items()}
    require_fit(network, state, whose=f"model {entry.name}", paper="entry")
    network.load_state_dict(state, strict=True, assign=True)
    return network


READERS: dict[str, Callable[[Entry, Path], nn.Module]] = {
    HEARTWOOD: own_network,
    "torchscript": torchscript_network,
    "monai-bundle": bundle_network,
    "nnunet": nnunet_network,
}
"""How a model of each format becomes a network."""
