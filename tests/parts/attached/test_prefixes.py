"""Prefixes of attention, attached to a stock Vision Transformer for one pass."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from cl.backbone import Backbone, load
from cl.errors import UsageError
from cl.parts.attached.attach import overridden
from cl.parts.attached.prefixes import Prefix, attention_blocks, legacy_layout, prefixed
from cl.testing import tiny_backbone


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def images(count: int = 6, size: int = 8) -> Tensor:
    return draw(count, 3, size, size, seed=5)


def prefixes(backbone: Backbone, batch: int, length: int = 3, blocks: int = 2) -> dict[int, Prefix]:
    dim = backbone.dim
    return {n: Prefix(draw(batch, length, dim, seed=n), draw(batch, length, dim, seed=9 + n)) for n in range(blocks)}


def by_hand(attn: Any, prefix: Prefix, x: Tensor, added: Any = None) -> Tensor:
    """Attention with a prefix for one image [N, d], head by head."""
    width, out = attn.head_dim, []
    q, k, v = attn.qkv(x).chunk(3, -1)
    for head in range(attn.num_heads):
        cut = slice(head * width, (head + 1) * width)
        scores = q[:, cut] @ torch.cat([prefix.keys[:, cut], k[:, cut]]).T / width**0.5
        length = len(prefix.keys)
        if added is not None:
            scores = torch.cat([scores[:, :length] + added(scores[:, :length]), scores[:, length:]], 1)
        weights = scores.softmax(1)
        assert torch.allclose(weights.sum(1), torch.ones(len(x), dtype=x.dtype))
        out.append(weights @ torch.cat([prefix.values[:, cut], v[:, cut]]))
    return cast(Tensor, attn.proj(torch.cat(out, 1)))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("gate", [None, lambda scores: 0.7 * torch.sigmoid(1.3 * scores)])
def test_attention_with_prefixes_follows_the_equation(gate: Any, fused: bool) -> None:
    backbone = tiny_backbone(depth=2).double()
    for attn in attention_blocks(backbone):
        attn.fused_attn = fused
    given, x = prefixes(backbone, 6), images()
    features = prefixed(backbone, x, given, {0: gate, 1: gate} if gate else None)
    blocks = attention_blocks(backbone)
    for image, row in zip(range(6), features, strict=True):
        own = {n: Prefix(*(part[image] for part in prefix)) for n, prefix in given.items()}
        stands = [
            (blocks[n], "forward", lambda t, n=n, own=own, **_: by_hand(blocks[n], own[n], t[0], gate)[None])
            for n in own
        ]
        with overridden(stands):
            assert torch.allclose(backbone(x[image][None])[0], row, atol=1e-10)


def test_empty_prefixes_and_a_zero_gate_change_nothing() -> None:
    backbone, x = tiny_backbone(depth=2).double(), images()
    plain = backbone(x)
    empty = {0: Prefix(draw(0, backbone.dim), draw(0, backbone.dim))}
    assert torch.allclose(prefixed(backbone, x, empty), plain, atol=1e-12)
    given = prefixes(backbone, 6)
    zero = dict.fromkeys(given, lambda scores: 0 * scores)
    assert torch.allclose(prefixed(backbone, x, given, zero), prefixed(backbone, x, given), atol=1e-12)
    assert not torch.allclose(prefixed(backbone, x, given), plain, atol=1e-3)
    assert torch.equal(backbone(x), plain)


def test_each_image_has_its_own_prefix_and_the_legacy_layout_mixes_them() -> None:
    backbone, x = tiny_backbone(depth=2).double(), images()
    given = prefixes(backbone, 6)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    moved = {n: Prefix(prefix.keys[order], prefix.values[order]) for n, prefix in given.items()}
    together, shuffled = prefixed(backbone, x, given), prefixed(backbone, x[order], moved)
    assert torch.allclose(together[order], shuffled, atol=1e-10)
    broken = prefixed(backbone, x, {n: legacy_layout(prefix) for n, prefix in given.items()})
    mixed = prefixed(backbone, x[order], {n: legacy_layout(prefix) for n, prefix in moved.items()})
    assert not torch.allclose(broken[order], mixed, atol=1e-4)
    keys, values = legacy_layout(Prefix(draw(4, 2, 8), draw(4, 2, 8, seed=1)))
    first, second = draw(4, 2, 8), draw(4, 2, 8, seed=1)
    assert torch.equal(keys, torch.stack([first[0], first[2], second[0], second[2]]))
    assert torch.equal(values, torch.stack([first[1], first[3], second[1], second[3]]))


def test_prefixes_get_gradients_in_half_precision() -> None:
    backbone = load("vit_micro_patch4_32.tinyimagenet_distill", precision="bf16")
    keys = nn.Parameter(torch.randn(2, backbone.dim))
    x = images(3, 32).float()
    prefixed(backbone, x, {0: Prefix(keys, keys), 5: Prefix(keys, keys)}, {0: torch.tanh}).sum().backward()
    assert keys.grad is not None and bool(keys.grad.abs().sum() > 0)
    with pytest.raises(UsageError, match="has 6"):
        attention_blocks(backbone, 7)
    with pytest.raises(UsageError, match="no blocks"):
        attention_blocks(load("resnet18@random"))
