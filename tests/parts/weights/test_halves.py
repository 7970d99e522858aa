"""Halves of a network: what is drawn, and that the rest rests."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn

from cl.backbone import Backbone, load
from cl.errors import UsageError
from cl.parts.weights.halves import ATTENTION, FEED_FORWARD, NORM, OTHER, Half, Unit, drawn, units_of
from cl.testing import tiny_backbone
from cl.training.optim import Step


def deep(depth: int = 6) -> Backbone:
    """A Vision Transformer of so many blocks, as small as the tests'."""
    from timm.models.vision_transformer import VisionTransformer

    small = tiny_backbone()
    model = VisionTransformer(img_size=8, patch_size=4, embed_dim=16, depth=depth, num_heads=2, num_classes=0)
    return Backbone(model, small.transform, small.identity)


def draw(units: list[Unit], select: str, share: float = 0.5, seed: int = 0) -> list[Unit]:
    return drawn(units, select, share, torch.Generator().manual_seed(seed))


def test_a_vision_transformer_has_six_matrices_and_two_norms_per_block_and_a_last_norm() -> None:
    units = units_of(deep(3))
    assert Counter(unit.kind for unit in units) == {ATTENTION: 12, FEED_FORWARD: 6, NORM: 7}
    queries = [unit for unit in units if unit.rows is not None]
    assert [unit.rows for unit in queries[:3]] == [(0, 16), (16, 32), (32, 48)]
    assert {unit.names for unit in queries[:3]} == {("blocks.0.attn.qkv.weight", "blocks.0.attn.qkv.bias")}
    names = {name for unit in units for name in unit.names}
    rest = {name for name, _ in deep(3).model.named_parameters()} - names
    assert rest == {"cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"}


@pytest.mark.parametrize("seed", range(5))
def test_category_takes_exactly_half_of_every_kind_in_every_block(seed: int) -> None:
    chosen = draw(units_of(deep()), "category", seed=seed)
    for block in range(6):
        counts = Counter(unit.kind for unit in chosen if unit.block == block and unit.kind != NORM)
        assert counts == {ATTENTION: 2, FEED_FORWARD: 1}
    assert sum(unit.kind == NORM for unit in chosen) == 7, "half of 13 norms"


def test_an_mlp_of_three_matrices_trains_one_or_two_of_them() -> None:
    units = [Unit((f"{b}.{i}",), FEED_FORWARD, b) for b in range(8) for i in range(3)]
    units += [Unit((f"{b}.a",), ATTENTION, b) for b in range(8)]
    for seed in range(5):
        counts = Counter(unit.block for unit in draw(units, "category", seed=seed) if unit.kind == FEED_FORWARD)
        assert Counter(counts.values()) == {1: 4, 2: 4}


def test_layer_takes_whole_blocks_and_model_any_matrices() -> None:
    units = units_of(deep())
    layers = draw(units, "layer")
    blocks = {unit.block for unit in layers}
    assert layers == [unit for unit in units if unit.block in blocks] and len(blocks) == 4, "of six and the last norm"
    matrices = [unit for unit in draw(units, "model") if unit.kind != NORM]
    assert len(matrices) == 18 and set(Counter(unit.block for unit in matrices).values()) != {3}


@pytest.mark.parametrize("select", ["category", "layer", "model"])
def test_a_draw_depends_on_its_generator_alone_and_a_share_of_one_is_everything(select: str) -> None:
    units = units_of(deep())
    assert draw(units, select) == draw(units, select) != draw(units, select, seed=1)
    assert draw(units, select, share=1.0) == units


def test_a_network_without_attention_has_no_categories() -> None:
    backbone = load("cnn_x1_32@random")
    units = units_of(backbone)
    assert [unit.kind for unit in units] == [OTHER] * 3 and len({unit.block for unit in units}) == 3
    with pytest.raises(UsageError, match=r"^select=category draws .*cnn_x1_32@random has none; .* set select=layer or"):
        drawn(units, "category", 0.5, torch.Generator(), backbone.identity["name"])
    assert len(draw(units, "layer")) == 2
    for some, select, share, least in ((units, "model", 0.1, "0.33"), (units_of(deep()), "layer", 0.01, "0.14")):
        words = rf"^share={share} leaves nothing of .* with select={select}; set share={least} or more\.$"
        with pytest.raises(UsageError, match=words):
            draw(some, select, share=share)
        assert draw(some, select, share=float(least))


def test_batch_norms_are_norms() -> None:
    kinds = Counter(unit.kind for unit in units_of(load("resnet20_cifar@random")))
    assert kinds == {OTHER: 19, NORM: 19}


@pytest.mark.parametrize("optimizer", [
    lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1), lambda p: torch.optim.AdamW(p, lr=0.1),
])  # fmt: skip
def test_what_rests_keeps_every_bit_and_what_is_chosen_moves(optimizer: Any) -> None:
    backbone = deep(2)
    for parameter in backbone.parameters():
        nn.init.normal_(parameter)
    units = units_of(backbone)
    chosen = draw(units, "category")
    half = Half(backbone, units, chosen)
    before = {name: tensor.detach().clone() for name, tensor in backbone.model.named_parameters()}
    for parameter in half.parameters:
        parameter.requires_grad_(True)
    steps = optimizer(half.parameters)
    for number in range(3):
        steps.zero_grad()
        backbone(torch.rand(4, 3, 8, 8)).square().sum().backward()
        step = Step(0, number, 1, 3, steps)
        half.before_step(step)
        steps.step()
        half.after_step(step)
    after = dict(backbone.model.named_parameters())
    for unit in units:
        rows = slice(None) if unit.rows is None else slice(*unit.rows)
        for name in unit.names:
            same = bool((before[name][rows] == after[name][rows]).all())
            assert same == (unit not in chosen), f"{name} {rows}"
    assert not torch.equal(before["pos_embed"], after["pos_embed"])
