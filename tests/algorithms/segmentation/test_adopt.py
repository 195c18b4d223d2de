"""Models from elsewhere: what is read of them, what they answer, and what is refused."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from algorithms.segmentation.adopt import main
from algorithms.segmentation.entry import read_entry
from algorithms.segmentation.segmenter import load, normalised

SEEN = ["--spacing-mm", "1,1,1", "--block", "16,16,16", "--margin", "4", "--clip-hu=-200,800", "--mean-hu", "100"]
SEEN += ["--deviation-hu", "300", "--activation", "sigmoid"]
FEATURES = (3, 5)


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one order, and no fight over the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def adopt(model: Path, models: Path, *options: str) -> int:
    """Put a model into the registry ``models`` as ``theirs``."""
    return main([str(model), "--name", "theirs", "--task", "fine", "--licence", "CC0", "--models", str(models), *options])


def scripted(path: Path) -> nn.Module:
    """Write a network of two channels as TorchScript and return it."""
    torch.manual_seed(2)
    network = nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.LeakyReLU(), nn.Conv3d(2, 2, 1)).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(network, torch.zeros(1, 1, 16, 16, 16)), path)
    return network


def answered(network: nn.Module, models: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return what the adopted model and the network itself make of the same volume of one block's core."""
    hu = np.random.default_rng(1).normal(100, 200, (8, 8, 8)).astype(np.float32)
    segmenter = load("theirs", precision="float32", models=models)
    seen = normalised(np.pad(hu, 4, mode="edge"), segmenter.entry.input)
    with torch.inference_mode():
        itself = network(torch.from_numpy(seen)[None, None])[0, :, 4:12, 4:12, 4:12].sigmoid().numpy()
    return segmenter.probabilities(hu), itself


def test_a_torchscript_file_answers_as_it_does_elsewhere(tmp_path):
    """The entry has what the file does not say."""
    network = scripted(tmp_path / "model.ts")

    assert adopt(tmp_path / "model.ts", tmp_path / "models", "--channels", "coronary lumen,", *SEEN) == 0

    ours, theirs = answered(network, tmp_path / "models")
    assert np.allclose(theirs, ours, atol=5e-4)  # half precision of the answer
    assert ("coronary lumen", "") == read_entry("theirs", tmp_path / "models").channels


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_a_monai_bundle_tells_its_channels(tmp_path, packed):
    """From its metadata; the network is the TorchScript in it."""
    bundle = tmp_path / "bundle"
    network = scripted(bundle / "models" / "model.ts")
    outputs = {"pred": {"channel_def": {"0": "background", "1": "artery"}}}
    form = {"inputs": {"image": {"spatial_shape": [16, 16, 16]}}, "outputs": outputs}
    (bundle / "configs").mkdir()
    (bundle / "configs" / "metadata.json").write_text(json.dumps({"network_data_format": form}))
    model = Path(shutil.make_archive(str(tmp_path / "bundle"), "zip", tmp_path, "bundle")) if packed else bundle
    without_block = [word for word in SEEN if word not in {"--block", "16,16,16"}]

    assert adopt(model, tmp_path / "models", "--channel", "artery=coronary lumen", *without_block) == 0

    ours, theirs = answered(network, tmp_path / "models")
    assert np.allclose(theirs, ours, atol=5e-4)
    assert ("", "coronary lumen") == read_entry("theirs", tmp_path / "models").channels


def test_a_bundle_that_would_run_python_is_refused(tmp_path, capfd):
    """Its configuration names classes; the remedy is to export it."""
    bundle = tmp_path / "bundle"
    scripted(bundle / "models" / "model.ts")
    (bundle / "configs").mkdir()
    form = {"inputs": {"image": {}}, "outputs": {"pred": {"channel_def": {"0": "a", "1": "b"}}}}
    (bundle / "configs" / "metadata.json").write_text(json.dumps({"network_data_format": form}))
    (bundle / "models" / "model.ts").rename(bundle / "models" / "model.pt")
    assert adopt(bundle, tmp_path / "models", *SEEN) == 0

    with pytest.raises(Exception, match=r"has no models/model\.ts; .* ckpt_export"):
        load("theirs", models=tmp_path / "models")


def plans() -> dict[str, Any]:
    """Return the plans of the smallest network that nnU-Net could plan."""
    kwargs = {
        "n_stages": 2, "features_per_stage": FEATURES, "kernel_sizes": [[3, 3, 3]] * 2, "strides": [[1, 1, 1], [2, 2, 2]],
        "n_conv_per_stage": [1, 1], "n_conv_per_stage_decoder": [1], "conv_bias": True, "dropout_op": None,
        "conv_op": "torch.nn.modules.conv.Conv3d", "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True}, "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
    }  # fmt: skip
    network = {"network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet", "arch_kwargs": kwargs}
    fullres = {"spacing": [1, 1, 1], "patch_size": [16, 16, 16], "normalization_schemes": ["CTNormalization"]}
    intensities = {"mean": 100, "std": 300, "percentile_00_5": -200, "percentile_99_5": 800}
    return {
        "transpose_forward": [0, 1, 2],
        "foreground_intensity_properties_per_channel": {"0": intensities},
        "configurations": {"3d_fullres": fullres | {"architecture": network}},
    }


def parameters() -> dict[str, torch.Tensor]:
    """Return random parameters of that network under the names of nnU-Net's checkpoints, some of them twice as there."""
    rng = torch.Generator().manual_seed(5)
    fine, coarse = FEATURES

    def convolution(place: str, given: int, made: int) -> dict[str, torch.Tensor]:
        shapes = {"conv.weight": (made, given, 3, 3, 3), "conv.bias": (made,), "norm.weight": (made,), "norm.bias": (made,)}
        return {f"{place}.{name}": torch.randn(shape, generator=rng) for name, shape in shapes.items()}

    made = convolution("encoder.stages.0.0.convs.0", 1, fine) | convolution("encoder.stages.1.0.convs.0", fine, coarse)
    made |= convolution("decoder.stages.0.convs.0", 2 * fine, fine)
    made |= {"decoder.transpconvs.0.weight": torch.randn(coarse, fine, 2, 2, 2, generator=rng)}
    made |= {"decoder.transpconvs.0.bias": torch.randn(fine, generator=rng)}
    made |= {"decoder.seg_layers.0.weight": torch.randn(2, fine, 1, 1, 1, generator=rng)}
    made |= {"decoder.seg_layers.0.bias": torch.randn(2, generator=rng)}
    again = {f"decoder.{name}": value for name, value in made.items() if name.startswith("encoder.")}
    inner = {"encoder.stages.0.0.convs.0.all_modules.0.weight": made["encoder.stages.0.0.convs.0.conv.weight"]}
    return made | again | inner


def by_hand(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Return the logits of the network, written down layer by layer from the paper's figure."""

    def layer(place: str, given: torch.Tensor, stride: int = 1) -> torch.Tensor:
        w, b, scale, shift = (state[f"{place}.{name}"] for name in ("conv.weight", "conv.bias", "norm.weight", "norm.bias"))
        y = functional.conv3d(given, w, b, stride=stride, padding=1)
        mean, variance = y.mean((2, 3, 4), keepdim=True), y.var((2, 3, 4), keepdim=True, unbiased=False)
        y = (y - mean) / (variance + 1e-5).sqrt() * scale[:, None, None, None] + shift[:, None, None, None]
        return torch.where(y > 0, y, 0.01 * y)

    fine = layer("encoder.stages.0.0.convs.0", x)
    coarse = layer("encoder.stages.1.0.convs.0", fine, 2)
    up = functional.conv_transpose3d(
        coarse, state["decoder.transpconvs.0.weight"], state["decoder.transpconvs.0.bias"], stride=2
    )
    both = layer("decoder.stages.0.convs.0", torch.cat([up, fine], 1))
    return functional.conv3d(both, state["decoder.seg_layers.0.weight"], state["decoder.seg_layers.0.bias"])


def results(folder: Path, **more: Any) -> Path:
    """Write a results folder of nnU-Net."""
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans()))
    (folder / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "artery": 1}}))
    logged = {
        "logging": {"ema_fg_dice": [np.float64(0.5), np.float32(0.4)]},
        "_best_ema": np.float64(0.5),
        "optimizer_state": None,
    }
    torch.save(
        {"network_weights": parameters(), "trainer_name": "nnUNetTrainer"} | logged | more,
        folder / "fold_0" / "checkpoint_final.pth",
    )
    return folder


def test_a_results_folder_of_nnunet_is_read_with_all_that_it_says(tmp_path):
    """Spacing, block, intensities and channels are its own; the answer is that of the layers written down by hand."""
    assert adopt(results(tmp_path / "r"), tmp_path / "models", "--channel", "artery=coronary lumen", "--margin", "4") == 0

    entry = read_entry("theirs", tmp_path / "models")
    assert (("", "coronary lumen"), "softmax") == (entry.channels, entry.activation)
    assert ((16, 16, 16), (-200, 800), 100, 300) == (
        entry.input.block,
        entry.input.clip_hu,
        entry.input.mean_hu,
        entry.input.deviation_hu,
    )
    hu = np.random.default_rng(1).normal(100, 200, (8, 8, 8)).astype(np.float32)
    seen = torch.from_numpy(normalised(np.pad(hu, 4, mode="edge"), entry.input))[None, None]
    answer = load("theirs", precision="float32", models=tmp_path / "models").probabilities(hu)
    assert np.allclose(by_hand(parameters(), seen).softmax(1)[0, :, 4:12, 4:12, 4:12], answer, atol=1e-3)


class Bomb:
    """What runs a program when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("exploded",)


def test_a_checkpoint_that_runs_code_is_refused(tmp_path, monkeypatch):
    """Nothing of it has run."""
    monkeypatch.chdir(tmp_path)
    assert adopt(results(tmp_path / "r", extra=Bomb()), tmp_path / "models") == 0

    with pytest.raises(Exception, match="holds more than tensors and numbers"):
        load("theirs", models=tmp_path / "models")

    assert not (tmp_path / "exploded").exists()
    with (tmp_path / "r" / "fold_0" / "bomb").open("wb") as file:
        pickle.dump(Bomb(), file)
    pickle.loads((tmp_path / "r" / "fold_0" / "bomb").read_bytes())
    assert (tmp_path / "exploded").exists()  # the bomb is one


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"transpose_forward": [2, 0, 1]}, "turn the axes", id="turned axes"),
        pytest.param({"configurations": {}}, "no 3d_fullres", id="two dimensions only"),
    ],
)
def test_plans_that_are_not_read_are_refused(tmp_path, capfd, change, message):
    """With what to do, and exit code 65."""
    folder = results(tmp_path / "r")
    (folder / "plans.json").write_text(json.dumps(plans() | change))

    assert 65 == adopt(folder, tmp_path / "models")
    assert not (tmp_path / "models" / "theirs").exists()


def test_a_file_that_says_nothing_of_itself_wants_options(tmp_path, caplog):
    """They are named."""
    scripted(tmp_path / "model.ts")

    assert 65 == adopt(tmp_path / "model.ts", tmp_path / "models")
    assert "spacing_mm, block, clip_hu, mean_hu, deviation_hu, channels, activation" in caplog.text


def test_a_file_that_is_no_torchscript_is_refused(tmp_path):
    """Whatever its entry says."""
    (tmp_path / "model.ts").write_bytes(b"no model")
    assert adopt(tmp_path / "model.ts", tmp_path / "models", "--channels", "a", *SEEN) == 0

    with pytest.raises(Exception, match="no TorchScript"):
        load("theirs", models=tmp_path / "models")
