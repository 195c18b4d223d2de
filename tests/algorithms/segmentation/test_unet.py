"""The network's gradients, whatever a batch holds and however its numbers lie in memory."""

import pytest
import torch

from algorithms.segmentation.unet import InstanceNorm


@pytest.mark.parametrize("volumes", [1, 2])
def test_a_gradient_does_not_depend_on_how_its_numbers_lie_in_memory(volumes):
    """Convolutions hand it back in channels-last order; torch's own instance norm mixes it up where a batch is one volume."""
    x, back = torch.randn(2, volumes, 12, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    gradients = []
    for order in (torch.contiguous_format, torch.channels_last_3d):
        norm = InstanceNorm(12, affine=True)
        given = x.clone(memory_format=order).requires_grad_()
        norm(given).backward(back.clone(memory_format=order))
        gradients.append((given.grad, norm.weight.grad, norm.bias.grad))

    for plain, channels_last in zip(*gradients, strict=True):
        torch.testing.assert_close(channels_last, plain, rtol=1e-4, atol=1e-3)
