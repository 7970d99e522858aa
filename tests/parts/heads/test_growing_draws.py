"""The growing head: how its rows are drawn."""

from __future__ import annotations

import pytest
import torch

from cl.parts.heads import GrowingHead


def test_growing_head_draws_are_named_and_grow_only() -> None:
    head = GrowingHead(8, init="kaiming")
    head.grow_to(4, torch.Generator().manual_seed(0))
    first = head.blocks[0].weight.clone()
    head.grow_to(4, torch.Generator().manual_seed(9))
    head.grow_to(6, torch.Generator().manual_seed(1))
    assert head.widths == [4, 2] and torch.equal(first, head.blocks[0].weight)
    assert head.blocks[1].weight.abs().max() <= 8**-0.5 and (head.blocks[0].bias == 0).all()
    with pytest.raises(Exception, match="cannot shrink"):
        head.grow_to(2, torch.Generator())


def test_each_initialisation_draws_its_distribution() -> None:
    drawn = {}
    for init in ("trunc_normal", "linear", "kaiming", "zero"):
        head = GrowingHead(64, init=init)
        head.grow_to(500, torch.Generator().manual_seed(0))
        drawn[init] = head.blocks[0]
    assert drawn["trunc_normal"].weight.std() == pytest.approx(0.02, rel=0.02)
    assert drawn["linear"].weight.std() == pytest.approx(0.125 / 3**0.5, rel=0.02), "U(-1 / 8, 1 / 8)"
    assert drawn["linear"].bias.std() == pytest.approx(0.125 / 3**0.5, rel=0.1), "the bias too"
    assert drawn["linear"].bias.abs().max() <= 0.125
    assert torch.equal(drawn["kaiming"].weight, drawn["linear"].weight)
    assert not drawn["zero"].weight.any()
    assert not any(drawn[init].bias.any() for init in ("trunc_normal", "kaiming", "zero"))
