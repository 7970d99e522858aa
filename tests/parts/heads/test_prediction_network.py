"""The head of one or two layers, and what of it is drawn again."""

from __future__ import annotations

import pytest
import torch

from cl.parts.heads import PredictionNetwork


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_one_layer_or_two_with_relu() -> None:
    x = torch.randn(7, 6, generator=rng(1))
    one, two = PredictionNetwork(6, 4, 0, rng()), PredictionNetwork(6, 4, 5, rng())
    assert two.first is not None and one.first is None
    torch.testing.assert_close(one(x), x @ one.last.weight.T)
    torch.testing.assert_close(two(x), torch.relu(x @ two.first.weight.T) @ two.last.weight.T)
    assert not any(parameter.requires_grad for parameter in two.parameters())


def test_weights_have_the_variance_of_he() -> None:
    head = PredictionNetwork(200, 50, 400, rng())
    assert head.first is not None
    assert float(head.first.weight.var()) == pytest.approx(2 / 200, rel=0.05)
    assert float(head.last.weight.var()) == pytest.approx(2 / 400, rel=0.05)


def test_drawing_again_leaves_what_is_not_named() -> None:
    head = PredictionNetwork(6, 4, 5, rng())
    assert head.first is not None
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.fill_(9)
    head.redraw_rows(torch.tensor([2, 0]), rng(1))
    assert (head.last.weight == 9).all(1).tolist() == [False, True, False, True]
    assert bool((head.last.bias == 9).all()), "biases stay"
    head.redraw(rng(2), last=True)
    assert bool((head.first.weight == 9).all()) and not bool((head.last.weight == 9).any())
    assert not bool(head.last.bias.any())
    head.redraw(rng(3))
    assert not bool((head.first.weight == 9).any()) and not bool(head.first.bias.any())
