"""Assertions for parts that are attached to a backbone for one pass, and attention by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.backbone import Backbone, load
from cl.errors import UsageError
from cl.testing import tiny_backbone
from cl.training import state

Make = Callable[[Backbone], nn.Module]
"""Builds a part for a backbone."""


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


def images(count: int = 5) -> Tensor:
    return draw(count, 3, 8, 8, seed=5)


def filled(make: Make, backbone: Backbone) -> Any:
    """A part in float64 with changed parameters."""
    part: Any = make(backbone).double()
    with torch.no_grad():
        for number, parameter in enumerate(part.parameters()):
            parameter.add_(0.3 * draw(*parameter.shape, seed=number))
    return part


def attention(attn: Any, x: Tensor, qkv: Callable[[Tensor], Tensor], proj: Callable[[Tensor], Tensor]) -> Tensor:
    """Attention [B, N, d], head by head."""
    width, out = attn.head_dim, []
    q, k, v = qkv(x).chunk(3, -1)
    for head in range(attn.num_heads):
        cut = slice(head * width, (head + 1) * width)
        weights = (q[..., cut] @ k[..., cut].mT / width**0.5).softmax(-1)
        out.append(weights @ v[..., cut])
    return proj(torch.cat(out, -1))


def assert_the_backbone_stays_pristine_and_every_parameter_trains(make: Make) -> None:
    backbone, x = tiny_backbone(depth=2).double(), images()
    before, plain = state.clone(dict(backbone.state_dict())), backbone(x)
    part = filled(make, backbone).requires_grad_(True)
    features = part(backbone, x)
    assert features.shape == plain.shape and not torch.allclose(features, plain, atol=1e-3)
    features.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in part.parameters())
    assert torch.equal(backbone(x), plain) and backbone.is_pristine
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert all("forward" not in vars(module) for module in backbone.modules())
    assert all(p.grad is None for p in backbone.parameters())


def assert_images_are_independent_and_states_are_restored(make: Make) -> None:
    backbone, x = tiny_backbone(depth=2).double(), images()
    part = filled(make, backbone)
    together = part(backbone, x)
    assert torch.allclose(torch.cat([part(backbone, one[None]) for one in x]), together, atol=1e-10)
    other: Any = make(backbone).double()
    other.load_state_dict(state.clone(part.state_dict()))
    assert torch.equal(other(backbone, x), together)


def assert_a_network_without_blocks_is_refused(make: Make) -> None:
    with pytest.raises(UsageError, match="choose a timm Vision Transformer"):
        make(load("resnet18@random"))
