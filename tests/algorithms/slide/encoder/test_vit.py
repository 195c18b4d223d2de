"""The Vision Transformer: parameter counts that are published, arithmetic that torch does too, and tokens where they belong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from algorithms.slide.encoder.architecture import Architecture, architecture
from algorithms.slide.encoder.description import describe
from algorithms.slide.encoder.vit import Block, Mlp, PatchEmbedding, VisionTransformer
from tests.algorithms.slide.encoder.described import TINY, vit

LAYER_SCALE_OF_VIT_L = 24 * 2 * 1024


def array(tensor: torch.Tensor) -> np.ndarray:
    """Return the values of a tensor."""
    return tensor.detach().numpy()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        pytest.param("lunit-vit-s16", 21_665_664, id="vit-s16"),
        pytest.param("lunit-vit-s8", 21_670_272, id="vit-s8"),
        pytest.param("uni", 303_301_632 + LAYER_SCALE_OF_VIT_L, id="uni"),
        pytest.param("uni2-h", 681_394_176, id="uni2-h"),
        pytest.param("virchow2", 631_239_424, id="virchow2"),
        pytest.param("h-optimus-0", 1_134_774_272, id="h-optimus-0"),
    ],
)
def test_a_described_model_has_as_many_parameters_as_the_published_one(name, parameters):
    """Counted by timm 1.0.31 for the arguments of each model card; the cards say 303 M, 681 M, 632 M and 1.1 B."""
    with torch.device("meta"):
        model = VisionTransformer(describe(name).architecture)

    assert parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("uni", {"pos_embed": (1, 197, 1024), "blocks.23.ls2.gamma": (1024,), "norm.weight": (1024,)}),
        ("uni2-h", {"pos_embed": (1, 256, 1536), "reg_token": (1, 8, 1536)}),
        ("uni2-h", {"blocks.0.mlp.fc1.weight": (8192, 1536), "blocks.0.mlp.fc2.weight": (1536, 4096)}),
        ("virchow2", {"pos_embed": (1, 261, 1280), "reg_token": (1, 4, 1280)}),
        ("virchow2", {"blocks.31.mlp.fc1.weight": (6832, 1280), "blocks.31.mlp.fc2.weight": (1280, 3416)}),
        ("lunit-vit-s8", {"pos_embed": (1, 785, 384), "patch_embed.proj.weight": (384, 3, 8, 8)}),
    ],
)
def test_parameters_have_timms_names_and_shapes(name, shapes):
    """Listed from timm 1.0.31's state_dict; a published file loads with strict=True only if all of them agree."""
    with torch.device("meta"):
        found = VisionTransformer(describe(name).architecture).state_dict()

    assert shapes == {key: tuple(found[key].shape) for key in shapes}


def test_a_block_computes_what_torchs_own_encoder_layer_does():
    """`nn.TransformerEncoderLayer`, norm first and GELU, is the same arithmetic by another hand; float64 leaves round-off."""
    block = Block(Architecture(img_size=32, patch_size=8, embed_dim=48, depth=1, num_heads=3)).double().eval()
    other = nn.TransformerEncoderLayer(
        48, 3, dim_feedforward=192, dropout=0.0, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    ).double()
    names = {
        "norm1": "norm1", "norm2": "norm2", "attn.qkv": "self_attn.in_proj_", "attn.proj": "self_attn.out_proj",
        "mlp.fc1": "linear1", "mlp.fc2": "linear2",
    }  # fmt: skip
    for theirs, parameter in other.named_parameters():
        ours = next(a for a, b in names.items() if theirs.startswith(b))
        block.get_parameter(f"{ours}.{'weight' if theirs.endswith('weight') else 'bias'}").data = parameter.data
    tokens = torch.randn(2, 17, 48, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    np.testing.assert_allclose(array(block(tokens)), array(other.train()(tokens)), rtol=1e-12, atol=1e-12)


def test_layer_scale_multiplies_what_is_added():
    """With all factors zero a block adds nothing, so it returns what came in."""
    block = Block(Architecture(img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2, layer_scale=True))
    for scale in (block.ls1, block.ls2):
        nn.init.zeros_(scale.gamma)
    tokens = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(1))

    assert torch.equal(tokens, block(tokens))


def test_the_first_half_of_a_gated_network_is_the_gate():
    """SwiGLU by hand for one input: fc1 gives (0, ln 3, 5, 7); SiLU of the gate times the rest is (0, 0.75 ln 3 * 7)."""
    gated = Mlp(1, 4, gated=True)
    log3 = 1.0986122886681098
    gated.fc1.weight.data = torch.tensor([[0.0], [log3], [5.0], [7.0]])
    gated.fc2.weight.data = torch.tensor([[100.0, 1.0]])
    for layer in (gated.fc1, gated.fc2):
        nn.init.zeros_(layer.bias)

    assert gated(torch.ones(1, 1)).item() == pytest.approx(0.75 * log3 * 7, rel=1e-6)  # float32


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_patches_are_what_a_convolution_makes_of_them(layout):
    """The parameters are a convolution's; `conv2d` is the reference, in whichever order the pixels lie."""
    embed = PatchEmbedding(TINY).double()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    reference = functional.conv2d(images, embed.proj.weight, embed.proj.bias, stride=8).flatten(2).transpose(1, 2)

    np.testing.assert_allclose(array(embed(images.contiguous(memory_format=layout))), array(reference), rtol=1e-12, atol=1e-12)


def test_class_and_mean_pooling_leaves_the_registers_out():
    """Virchow2's card: the class token, then the mean of the tokens behind the registers."""
    model = vit(Architecture(img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2, reg_tokens=3, pooling="class+mean"))
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    tokens = model.tokens(images)
    expected = torch.cat([tokens[:, 0], tokens[:, 4:20].mean(dim=1)], dim=1)

    assert (2, 20, 16) == tokens.shape
    assert torch.equal(expected, model(images))


def test_without_positions_the_order_of_the_patches_does_not_matter():
    """Attention is a function of the set of tokens; the class token of shuffled patches is the same up to round-off."""
    model = vit(
        Architecture(img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2, no_embed_class=True, reg_tokens=1)
    ).double()
    nn.init.zeros_(model.pos_embed)
    images = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rows = images.reshape(1, 3, 4, 8, 32).flip(2).reshape(1, 3, 32, 32)

    np.testing.assert_allclose(array(model(images)), array(model(rows)), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"patch_size": 15}, "multiple of patch_size", id="patches-that-do-not-fit"),
        pytest.param({"depth": 2.0}, "depth must be of the type int", id="not-whole"),
        pytest.param({"class_token": 1}, "class_token must be of the type bool", id="not-a-switch"),
        pytest.param({"pooling": "max"}, "pooling one of", id="unknown-pooling"),
        pytest.param({"class_token": False}, "needs a class token", id="no-class-token-to-pool"),
        pytest.param({"width": 16}, "unknown names: width", id="unknown-name"),
        pytest.param({"num_heads": 0}, "must be positive", id="no-heads"),
    ],
)
def test_an_architecture_that_cannot_be_is_refused(change, said):
    """What is wrong is said by its name, before any weight is read."""
    table = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2} | change

    with pytest.raises(ValueError, match=said):
        architecture(table)
