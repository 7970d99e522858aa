"""The growing head: how its rows are drawn."""

from __future__ import annotations

import pytest
import torch

from cl.parts.heads.growing import GrowingHead


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
