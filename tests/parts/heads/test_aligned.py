"""The newest rows of a head get the length of earlier ones; the initialisation `lecun`."""

from __future__ import annotations

import pytest
import torch

from cl.parts.heads import GrowingHead, LeCunHead, align_newest
from cl.training import state


def test_the_newest_rows_are_aligned_to_the_mean_length_of_earlier_ones() -> None:
    head = GrowingHead(8)
    for number, classes in enumerate((3, 5, 6)):
        head.grow_to(classes, torch.Generator().manual_seed(number))
        if not number:
            align_newest(head, 0.5)  # there is nothing to align with
            assert float(head.blocks[0].weight.abs().max()) > 0.015
    before = state.clone(head.get_state())
    align_newest(head, 0.5)
    old = torch.cat(before["weights"][:2]).norm(dim=1).mean()
    expected = before["weights"][2] * (0.5 * old / before["weights"][2].norm(dim=1).mean())
    torch.testing.assert_close(head.blocks[2].weight, expected)
    assert all(
        torch.equal(block.weight, was) for block, was in zip(head.blocks[:2], before["weights"][:2], strict=True)
    )
    assert torch.equal(head.blocks[2].bias, before["biases"][2])


def test_lecun_draws_have_variance_one_over_dim_and_others_are_those_of_a_growing_head() -> None:
    head = LeCunHead(64, init="lecun")
    head.grow_to(500, torch.Generator().manual_seed(0))
    weight, bias = head.blocks[0].weight, head.blocks[0].bias
    assert weight.std() == pytest.approx(0.125, rel=0.02), "U(-3^0.5 / 8, 3^0.5 / 8)"
    assert weight.abs().max() <= 0.125 * 3**0.5 and not bias.any()
    one, two = (kind(8, init="kaiming") for kind in (LeCunHead, GrowingHead))
    for each in (one, two):
        each.grow_to(3, torch.Generator().manual_seed(1))
    assert torch.equal(one.blocks[0].weight, two.blocks[0].weight)
