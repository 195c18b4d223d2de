"""A results folder of nnU-Net v2 (2.4 or later): ``plans.json``, ``dataset.json``, ``fold_N/checkpoint_final.pth``.

The network is built here from the numbers in the plans, under the names that its checkpoint has; what the plans name as code
is never imported.  The checkpoint is read by torch's reader of plain tensors, which makes no other objects than those and
numpy's numbers.

References
----------
Isensee et al., Nat Methods 18:203 (2021), for nnU-Net; Isensee et al., MICCAI 2024, arXiv:2404.09556, for residual encoders.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from algorithms.contract.errors import DataError
from algorithms.contract.weights import require_fit
from algorithms.segmentation.archive import Place, opened, text
from algorithms.segmentation.entry import Entry

CHECKPOINT = "checkpoint_final.pth"
CONFIGURATION = "3d_fullres"
"""The configuration that is read."""

SLOPE = 0.01
"""Slope of torch's leaky rectifier, which nnU-Net leaves as it is."""

MADE_OF = {"conv_op": "Conv3d", "norm_op": "InstanceNorm3d", "nonlin": "LeakyReLU"}
"""What a network must be made of, by the last part of the names in the plans; there must be no dropout."""

Triple = tuple[int, ...]


@dataclass(frozen=True)
class Form:
    """The numbers of one network; ``residual`` tells its encoder, ``depth`` is blocks or convolutions of each stage."""

    residual: bool
    features: tuple[int, ...]
    kernels: tuple[Triple, ...]
    strides: tuple[Triple, ...]
    depth: tuple[int, ...]
    depth_up: tuple[int, ...]
    bias: bool
    eps: float
    outputs: int


class Convolution(nn.Module):
    """Convolution, normalisation and, where ``active``, a rectifier."""

    def __init__(self, widths: tuple[int, int], kernel: Triple, stride: Triple, form: Form, *, active: bool = True) -> None:
        super().__init__()
        padding = tuple((k - 1) // 2 for k in kernel)
        bias = form.bias and max(kernel) > 1  # the projection beside a residual block never has one
        self.conv = nn.Conv3d(*widths, kernel, stride, padding, bias=bias)  # type: ignore[arg-type]
        self.norm = nn.InstanceNorm3d(widths[1], eps=form.eps, affine=True)
        self.active = active

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the three make of ``x``."""
        x = self.norm(self.conv(x))
        return functional.leaky_relu(x, SLOPE) if self.active else x


class Stack(nn.Module):
    """Convolutions one after the other, the first of which may stride."""

    def __init__(self, widths: tuple[int, int], number: int, kernel: Triple, stride: Triple, form: Form) -> None:
        super().__init__()
        given, made = widths
        rest = [Convolution((made, made), kernel, (1, 1, 1), form) for _ in range(number - 1)]
        self.convs = nn.Sequential(Convolution((given, made), kernel, stride, form), *rest)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the last one makes."""
        out: torch.Tensor = self.convs(x)
        return out


class Block(nn.Module):
    """Two convolutions beside a way past them, which is pooled and projected where the block changes size or width."""

    def __init__(self, widths: tuple[int, int], kernel: Triple, stride: Triple, form: Form) -> None:
        super().__init__()
        given, made = widths
        self.conv1 = Convolution(widths, kernel, stride, form)
        self.conv2 = Convolution((made, made), kernel, (1, 1, 1), form, active=False)
        past: list[nn.Module] = [nn.AvgPool3d(stride, stride)] if max(stride) > 1 else []  # type: ignore[arg-type]
        if given != made:
            past.append(Convolution(widths, (1, 1, 1), (1, 1, 1), form, active=False))
        self.skip = nn.Sequential(*past)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum of both ways, rectified."""
        return functional.leaky_relu(self.conv2(self.conv1(x)) + self.skip(x), SLOPE)


class Blocks(nn.Module):
    """Residual blocks one after the other, the first of which may stride."""

    def __init__(self, widths: tuple[int, int], number: int, kernel: Triple, stride: Triple, form: Form) -> None:
        super().__init__()
        given, made = widths
        rest = [Block((made, made), kernel, (1, 1, 1), form) for _ in range(number - 1)]
        self.blocks = nn.Sequential(Block((given, made), kernel, stride, form), *rest)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the last one makes."""
        out: torch.Tensor = self.blocks(x)
        return out


class Encoder(nn.Module):
    """The way down."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        first = form.features[0]
        self.stem = Stack((1, first), 1, form.kernels[0], (1, 1, 1), form) if form.residual else None
        widths = zip((first if form.residual else 1, *form.features), form.features, strict=False)
        stages: list[nn.Module] = []
        for pair, number, kernel, stride in zip(widths, form.depth, form.kernels, form.strides, strict=True):
            if form.residual:
                stages.append(Blocks(pair, number, kernel, stride, form))
            else:
                stages.append(nn.Sequential(Stack(pair, number, kernel, stride, form)))
        self.stages = nn.Sequential(*stages)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return what each stage makes, the finest first."""
        x = x if self.stem is None else self.stem(x)
        passed = []
        for stage in self.stages:
            x = stage(x)
            passed.append(x)
        return passed


class Decoder(nn.Module):
    """The way up; its stages are numbered from the coarsest."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        stages, up, heads = [], [], []
        for number, depth in enumerate(form.depth_up, start=1):
            below, made = form.features[-number], form.features[-number - 1]
            stride = form.strides[-number]
            up.append(nn.ConvTranspose3d(below, made, stride, stride, bias=form.bias))  # type: ignore[arg-type]
            stages.append(Stack((2 * made, made), depth, form.kernels[-number - 1], (1, 1, 1), form))
            heads.append(nn.Conv3d(made, form.outputs, 1))
        self.stages, self.transpconvs, self.seg_layers = nn.ModuleList(stages), nn.ModuleList(up), nn.ModuleList(heads)

    def forward(self, passed: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the logits at the finest resolution."""
        x = passed[-1]
        for number, (stage, up) in enumerate(zip(self.stages, self.transpconvs, strict=True), start=2):
            x = stage(torch.cat([up(x), passed[-number]], 1))
        logits: torch.Tensor = self.seg_layers[-1](x)
        return logits


class PlannedUNet(nn.Module):
    """The network that plans describe."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(form), Decoder(form)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, outputs, Z, Y, X) of ``x`` (N, 1, Z, Y, X)."""
        logits: torch.Tensor = self.decoder(self.encoder(x))
        return logits


def configuration(plans: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the configuration that is read; raises `DataError` where the plans have none of the kind."""
    found: Mapping[str, Any] | None = plans.get("configurations", {}).get(CONFIGURATION)
    if found is None or "architecture" not in found:
        raise DataError(f"plans.json has no {CONFIGURATION} with an architecture; train or convert with nnU-Net 2.4 or later")
    if plans.get("transpose_forward", [0, 1, 2]) != [0, 1, 2]:
        raise DataError("the plans turn the axes of the volume, which is not read; plan again without transpose_forward")
    return found


def form_of(plans: Mapping[str, Any], outputs: int) -> Form:
    """Return the numbers of the network that plans describe; raises `DataError` for one that cannot be built here."""
    described = configuration(plans)["architecture"]
    kind, told = str(described["network_class_name"]).rpartition(".")[2], described["arch_kwargs"]
    made_of = {name: str(told.get(name)).rpartition(".")[2] for name in MADE_OF}
    if kind not in {"PlainConvUNet", "ResidualEncoderUNet"} or made_of != MADE_OF or told.get("dropout_op"):
        raise DataError(
            "the network is none that is built here; wanted PlainConvUNet or ResidualEncoderUNet of "
            f"{', '.join(MADE_OF.values())} without dropout"
        )
    residual = kind == "ResidualEncoderUNet"
    return Form(
        residual=residual,
        features=tuple(told["features_per_stage"]),
        kernels=tuple(map(tuple, told["kernel_sizes"])),
        strides=tuple(map(tuple, told["strides"])),
        depth=tuple(told["n_blocks_per_stage" if residual else "n_conv_per_stage"]),
        depth_up=tuple(told["n_conv_per_stage_decoder"]),
        bias=bool(told.get("conv_bias", False)),
        eps=float((told.get("norm_op_kwargs") or {}).get("eps", 1e-5)),
        outputs=outputs,
    )


def nnunet_network(entry: Entry, path: Path) -> nn.Module:
    """Return the network of a results folder, of its first fold, or of the one that learnt from all studies."""
    folder = opened(path)
    network = PlannedUNet(form_of(json.loads(text(folder, "plans.json")), len(entry.channels)))
    state = checkpoint_state(checkpoint_place(folder))
    require_fit(network, state, whose=f"model {entry.name}", paper="entry")
    network.load_state_dict(state)
    return network


def checkpoint_place(folder: Place) -> Place:
    """Return the checkpoint of a results folder; raises `DataError` if there is none."""
    folds = sorted(place.name for place in folder.iterdir() if place.name.startswith("fold_"))
    for fold in sorted(folds, key=lambda name: name != "fold_all"):
        if (place := folder / fold / CHECKPOINT).exists():
            return place
    raise DataError(f"no fold of the results folder has a {CHECKPOINT}; pack the folder after the training has ended")


def checkpoint_state(place: Place) -> dict[str, torch.Tensor]:
    """Return the parameters of a checkpoint, each once; raises `DataError` if it holds more than numbers and tensors."""
    with place.open("rb") as file:
        content = io.BytesIO(file.read())
    kinds = [type(np.dtype(name)) for name in ("float64", "float32", "int64", "bool")]
    # Losses and times in it are numpy's numbers; older numpy kept their maker in another module.
    maker = np._core.multiarray.scalar  # type: ignore[attr-defined]
    numbers = [maker, (maker, "numpy.core.multiarray.scalar"), np.dtype, *kinds]
    try:
        with torch.serialization.safe_globals(numbers):
            weights = torch.load(content, map_location="cpu", weights_only=True)["network_weights"]
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError) as error:
        raise DataError(
            f"the checkpoint is none of nnU-Net, or holds more than tensors and numbers ({type(error).__name__})"
        ) from error
    names = {name.removeprefix("module.").removeprefix("_orig_mod."): value for name, value in weights.items()}
    return {n: v.float() for n, v in names.items() if ".all_modules." not in n and not n.startswith("decoder.encoder.")}
