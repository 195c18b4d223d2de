"""A Vision Transformer whose parameters are called and laid out as timm's, so that published weights load as they are.

Dosovitskiy et al., ICLR 2021, arXiv:2010.11929: an image is cut into patches, each patch becomes a token, and blocks of
self-attention and a two-layer network change the tokens.  Later models add layer scale (Touvron et al., arXiv:2103.17239),
register tokens (Darcet et al., arXiv:2309.16588) and gated networks (Shazeer, arXiv:2002.05202); DINOv2 has all of them.

Images are (N, 3, H, W), tokens (N, T, width): first the prefix (class token, then registers), then the patches row by row.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from algorithms.slide.encoder.architecture import Architecture

LAYER_NORM_EPSILON = 1e-6
"""Of every layer norm (timm's `VisionTransformer`; torch's own default is 1e-5)."""


class VisionTransformer(nn.Module):
    """The encoder: images in, embeddings out."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        width = shape.embed_dim
        positions = shape.patches + (0 if shape.no_embed_class else shape.prefix)
        self.shape = shape
        self.patch_embed = PatchEmbedding(shape)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width)) if shape.class_token else None
        self.reg_token = nn.Parameter(torch.zeros(1, shape.reg_tokens, width)) if shape.reg_tokens else None
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, width))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        # timm moves the last norm behind the pooling where the mean of the patches is the embedding.
        norm = nn.LayerNorm(width, eps=LAYER_NORM_EPSILON)
        self.norm = nn.Identity() if shape.pooling == "mean" else norm
        self.fc_norm = norm if shape.pooling == "mean" else nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the embeddings, (N, dimension), of images, (N, 3, img_size, img_size)."""
        tokens = self.tokens(images)
        if self.shape.pooling == "class":
            return self.fc_norm(tokens[:, 0])  # type: ignore[no-any-return]
        mean = tokens[:, self.shape.prefix :].mean(dim=1)
        pooled = mean if self.shape.pooling == "mean" else torch.cat([tokens[:, 0], mean], dim=-1)
        return self.fc_norm(pooled)  # type: ignore[no-any-return]

    def tokens(self, images: torch.Tensor) -> torch.Tensor:
        """Return the tokens, (N, prefix + patches, embed_dim), that the blocks make of images."""
        tokens = self.placed(self.patch_embed(images).to(self.pos_embed.dtype))
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)  # type: ignore[no-any-return]

    def placed(self, patches: torch.Tensor) -> torch.Tensor:
        """Return the patches, (N, patches, embed_dim), with their positions and behind the prefix."""
        prefix = [token.expand(len(patches), -1, -1) for token in (self.cls_token, self.reg_token) if token is not None]
        if self.shape.no_embed_class:
            return torch.cat([*prefix, patches + self.pos_embed], dim=1)
        return torch.cat([*prefix, patches], dim=1) + self.pos_embed


class PatchEmbedding(nn.Module):
    """Patches to tokens: one linear map of each patch's pixels.

    The parameters are laid out as a convolution's, as timm keeps them.  The product is a plain matrix product: images that
    lie in memory as a reader gives them (channels last, 8 bit) are never transposed, and no convolution library chooses
    between algorithms that round differently.
    """

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, shape.embed_dim, kernel_size=shape.patch_size, stride=shape.patch_size)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (N, patches, embed_dim) of images, (N, 3, H, W) of any number type."""
        size = self.proj.kernel_size[0]
        weight = self.proj.weight.permute(0, 2, 3, 1).flatten(1)
        count, _, height, width = images.shape
        grid = images.permute(0, 2, 3, 1).reshape(count, height // size, size, width // size, size, 3)
        patches = grid.permute(0, 1, 3, 2, 4, 5).flatten(3).flatten(1, 2)
        return functional.linear(patches.to(weight.dtype), weight, self.proj.bias)


class Block(nn.Module):
    """Self-attention and a two-layer network, each behind a norm and added to what came in."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        width = shape.embed_dim
        self.norm1 = nn.LayerNorm(width, eps=LAYER_NORM_EPSILON)
        self.attn = Attention(width, shape.num_heads)
        self.ls1 = LayerScale(width) if shape.layer_scale else nn.Identity()
        self.norm2 = nn.LayerNorm(width, eps=LAYER_NORM_EPSILON)
        self.mlp = Mlp(width, shape.hidden, gated=shape.mlp == "swiglu")
        self.ls2 = LayerScale(width) if shape.layer_scale else nn.Identity()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return tokens of the same shape."""
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        return tokens + self.ls2(self.mlp(self.norm2(tokens)))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Self-attention of several heads (Vaswani et al., arXiv:1706.03762, section 3.2)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return tokens of the same shape."""
        count, length, width = tokens.shape
        query, key, value = self.qkv(tokens).reshape(count, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(count, length, width))  # type: ignore[no-any-return]


class Mlp(nn.Module):
    """The two-layer network of a block: GELU, or half of the first layer's outputs, through SiLU, times the other half."""

    def __init__(self, width: int, hidden: int, *, gated: bool) -> None:
        super().__init__()
        self.gated = gated
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden // 2 if gated else hidden, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return tokens of the same shape."""
        hidden = self.fc1(tokens)
        if not self.gated:
            return self.fc2(functional.gelu(hidden))  # type: ignore[no-any-return]
        # timm's SwiGLUPacked: the first half is the gate.
        gate, kept = hidden.chunk(2, dim=-1)
        return self.fc2(functional.silu(gate) * kept)  # type: ignore[no-any-return]


class LayerScale(nn.Module):
    """One factor a channel (Touvron et al., arXiv:2103.17239, section 2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return tokens of the same shape."""
        return tokens * self.gamma
