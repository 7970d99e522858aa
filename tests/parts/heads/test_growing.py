"""Heads that grow with the classes."""

from __future__ import annotations

import torch

from cl.parts.heads import AlignedHead, GrowingHead
from cl.training import state


def test_the_state_of_a_head_with_fewer_blocks_removes_blocks() -> None:
    head = GrowingHead(2)
    head.grow_to(3, torch.Generator().manual_seed(0))
    before = state.clone(head.get_state())
    head.grow_to(6, torch.Generator().manual_seed(1))
    head.set_state(before)
    assert head.widths == [3]


def test_a_new_head_takes_the_blocks_of_a_state() -> None:
    head, other = GrowingHead(2), GrowingHead(2)
    head.grow_to(3, torch.Generator().manual_seed(0))
    head.grow_to(5, torch.Generator().manual_seed(1))
    other.set_state(head.get_state())
    assert other.widths == [3, 2]
    features = torch.randn(4, 2, generator=torch.Generator().manual_seed(2))
    assert torch.equal(other(features), head(features))


def test_the_newest_rows_are_aligned_to_the_mean_length_of_earlier_ones() -> None:
    head = AlignedHead(8)
    for number, classes in enumerate((3, 5, 6)):
        head.grow_to(classes, torch.Generator().manual_seed(number))
        if not number:
            head.align_newest(0.5)  # there is nothing to align with
            assert float(head.blocks[0].weight.abs().max()) > 0.015
    before = state.clone(head.get_state())
    head.align_newest(0.5)
    old = torch.cat(before["weights"][:2]).norm(dim=1).mean()
    expected = before["weights"][2] * (0.5 * old / before["weights"][2].norm(dim=1).mean())
    torch.testing.assert_close(head.blocks[2].weight, expected)
    assert all(
        torch.equal(block.weight, was) for block, was in zip(head.blocks[:2], before["weights"][:2], strict=True)
    )
    assert torch.equal(head.blocks[2].bias, before["biases"][2])
