"""Prefixes and adapters: parts attached to a stock Vision Transformer for one pass."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.backbone import Backbone, load
from cl.data.store import ImageStore
from cl.errors import UsageError
from cl.parts.attached.adapters import Adapters, AdapterSets
from cl.parts.attached.attach import Attached, overridden
from cl.parts.attached.prefixes import Prefix, attention_blocks, legacy_layout, prefixed
from cl.testing import tiny_backbone
from cl.training.encodings import Encodings


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


@pytest.mark.parametrize("gate", [None, lambda scores: 0.7 * torch.sigmoid(1.3 * scores)])
def test_prefixes_enter_attention_as_the_equation_says(gate: Any) -> None:
    backbone = tiny_backbone(depth=2).double()
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


def test_no_prefix_and_a_gate_that_adds_nothing_change_nothing() -> None:
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


def test_prefixes_are_trained_through_half_precision_too() -> None:
    backbone = load("vit_micro_patch4_32.tinyimagenet_distill", precision="bf16")
    keys = nn.Parameter(torch.randn(2, backbone.dim))
    x = images(3, 32).float()
    prefixed(backbone, x, {0: Prefix(keys, keys), 5: Prefix(keys, keys)}, {0: torch.tanh}).sum().backward()
    assert keys.grad is not None and bool(keys.grad.abs().sum() > 0)
    with pytest.raises(UsageError, match="has 6"):
        attention_blocks(backbone, 7)
    with pytest.raises(UsageError, match="no blocks"):
        attention_blocks(load("resnet18@random"))


def filled(backbone: Backbone, seed: int = 0, **options: Any) -> Adapters:
    adapters = Adapters(backbone, 4, torch.Generator().manual_seed(seed), **options)
    with torch.no_grad():
        for name in ("up", "up_bias", "down_bias"):
            value = getattr(adapters, name)
            value.copy_(draw(*value.shape, seed=seed + len(name)))
    return adapters


def test_a_fresh_set_changes_nothing_and_a_filled_one_what_the_equation_says() -> None:
    backbone, x = tiny_backbone(depth=2).double(), images()
    assert torch.equal(Adapters(backbone, 4, torch.Generator()).double()(backbone, x), backbone(x))
    adapters = filled(backbone).double()
    features = adapters(backbone, x)
    model = cast(Any, backbone.model)
    stream = model._pos_embed(model.patch_embed(x))
    for n, block in enumerate(model.blocks):
        stream = stream + block.attn(block.norm1(stream))
        hidden = F.relu(stream @ adapters.down[n].T + adapters.down_bias[n])
        stream = stream + block.mlp(block.norm2(stream)) + 0.1 * (hidden @ adapters.up[n].T + adapters.up_bias[n])
    assert torch.allclose(features, model.norm(stream)[:, 0], atol=1e-10)
    assert all("forward" not in vars(module) for module in backbone.modules())


def test_dropout_acts_while_training_only() -> None:
    backbone, x = tiny_backbone().double(), images()
    adapters = filled(backbone, dropout=0.5).double()
    assert not torch.equal(adapters.train()(backbone, x), adapters(backbone, x))
    assert torch.equal(adapters.eval()(backbone, x), adapters(backbone, x))


def test_stored_sets_are_copies_and_grow_with_their_state() -> None:
    backbone, x = tiny_backbone(), images().float()
    adapters = filled(backbone)
    sets = AdapterSets(adapters)
    sets.store(adapters)
    first = sets[0](backbone, x)
    with torch.no_grad():
        adapters.up.mul_(2)
    sets.store(adapters)
    assert torch.equal(sets[0].eval()(backbone, x), first.detach()) and len(sets) == 2
    other = AdapterSets(Adapters(backbone, 4, torch.Generator()))
    other.set_state(sets.get_state())
    assert all(torch.equal(a, b) for a, b in zip(other.parameters(), sets.parameters(), strict=True))
    other.set_state(sets.get_state()[:1])
    assert len(other) == 1


def test_extractors_are_told_apart_by_values_and_lasting_ones_are_kept() -> None:
    backbone = tiny_backbone()
    sets = [filled(backbone, seed) for seed in range(4)]
    keys = [adapters.extractor(backbone).key for adapters in sets]
    assert len(set(keys)) == 4 and filled(backbone, 2).extractor(backbone).key == keys[2]
    with torch.no_grad():
        sets[3].down[0, 0, 0] += 1
    assert sets[3].extractor(backbone).key != keys[3]
    pixels = (draw(10, 8, 8, 3).numpy() * 30 + 128).clip(0, 255).astype(np.uint8)
    store, rows = ImageStore.from_arrays(pixels, np.zeros(10, np.int64)), np.arange(10)

    def calls(lasting: bool, **options: Any) -> int:
        made: list[int] = []

        def counting(adapters: Adapters) -> Attached:
            def call(images: Tensor) -> Tensor:
                made.append(len(images))
                return adapters(backbone, images)

            return Attached(backbone, call, adapters.parameters(), lasting=lasting)

        encodings = Encodings(**options)
        for _ in range(3):
            for adapters in sets:
                encodings.get(counting(adapters), store, rows, torch.device("cpu"))
        return made.count(10)

    assert calls(lasting=True) == 4 and calls(lasting=False) == 12
    assert calls(lasting=True, memory=3 * 10 * backbone.dim * 4) == 12, "only as many as fit are kept"
