"""Adapters in every block, one set per task."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.data.store import ImageStore
from cl.parts.attached.adapters import Adapters, AdapterSets
from cl.parts.attached.attach import Attached
from cl.testing import tiny_backbone
from cl.training.encodings import Encodings


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def images(count: int = 6, size: int = 8) -> Tensor:
    return draw(count, 3, size, size, seed=5)


def filled(backbone: Backbone, seed: int = 0, **options: Any) -> Adapters:
    adapters = Adapters(backbone, 4, torch.Generator().manual_seed(seed), **options)
    with torch.no_grad():
        for name in ("up", "up_bias", "down_bias"):
            value = getattr(adapters, name)
            value.copy_(draw(*value.shape, seed=seed + len(name)))
    return adapters


def test_a_new_set_changes_nothing_and_a_trained_set_follows_the_equation() -> None:
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


def test_dropout_is_active_in_training_mode_only() -> None:
    backbone, x = tiny_backbone().double(), images()
    adapters = filled(backbone, dropout=0.5).double()
    assert not torch.equal(adapters.train()(backbone, x), adapters(backbone, x))
    assert torch.equal(adapters.eval()(backbone, x), adapters(backbone, x))


def test_stored_sets_are_copies_and_are_resized_by_their_state() -> None:
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


def test_extractors_are_identified_by_values_and_lasting_extractors_are_cached() -> None:
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
    assert calls(lasting=True, memory=3 * 10 * backbone.dim * 4) == 12, "the cache holds only what fits"
