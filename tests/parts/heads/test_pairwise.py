"""The pairwise head: its pairs, its classes, its size; sparse features cost no more than their active pairs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cl.parts.activations import winners
from cl.parts.heads.pairwise import PairwiseHead, number_of


def head(dim: int = 9, classes: int = 4, count: int = 0, seed: int = 0) -> PairwiseHead:
    return PairwiseHead(dim, classes, count, torch.Generator().manual_seed(seed))


def pairs(one: PairwiseHead) -> tuple[Tensor, Tensor]:
    """Rows and columns of the pair of every weight."""
    rows, columns = torch.tril_indices(9, 9, -1)[:, one.order]
    return rows, columns


def direct(one: PairwiseHead, z: Tensor) -> Tensor:
    """All products, as the equation has them."""
    rows, columns = pairs(one)
    return ((z[:, rows] * z[:, columns]).view(len(z), *one.weight.shape) * one.weight).sum(1)


def test_a_logit_is_the_weighted_sum_of_products_of_its_pairs() -> None:
    one, z = head(), torch.rand(3, 9, generator=torch.Generator().manual_seed(1))
    assert one.weight.shape == (9, 4)
    expected = torch.zeros(3, 4)
    for place, (row, column) in enumerate(zip(*(each.tolist() for each in pairs(one)), strict=True)):
        expected[:, place % 4] += one.weight[place // 4, place % 4] * z[:, row] * z[:, column]
    torch.testing.assert_close(one(z), expected)
    torch.testing.assert_close(one(3 * z), 9 * expected)
    assert not one(torch.zeros(2, 9)).any() and one(torch.zeros(0, 9)).shape == (0, 4)


@pytest.mark.parametrize("count", [0, 20, 100, 144])
def test_sparse_features_have_the_logits_and_the_gradients_of_all_products(count: int) -> None:
    one, x = head(count=count).double(), torch.randn(6, 9, generator=torch.Generator().manual_seed(1)).double()
    x[0] = torch.tensor([3, 3, 3, 3, 3, 3, 1, 4, 5])
    weigh, found = torch.randn(6, 4, generator=torch.Generator().manual_seed(2)).double(), []
    for logits in (one, lambda z: direct(one, z)):
        features = x.clone().requires_grad_()
        out = logits(winners(features, 5))
        found.append([out, *torch.autograd.grad((out * weigh).sum(), [features, one.weight])])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs)
    assert (winners(x, 5) != 0).sum(1).tolist() == [2, 4, 4, 4, 4, 4], "ties leave fewer features active"


def test_each_pair_is_of_one_class() -> None:
    one = head()
    rows, columns = pairs(one)
    assert len(set(one.order.tolist())) == 36 and bool((rows > columns).all())
    assert torch.equal(number_of(rows, columns), one.order)
    z = torch.rand(1, 9, requires_grad=True)
    one(z)[0, 2].backward()
    assert one.weight.grad is not None and not one.weight.grad[:, [0, 1, 3]].any() and one.weight.grad[:, 2].all()


@pytest.mark.parametrize(("count", "weights"), [(0, 36), (30, 28), (10, 8), (100, 100)])
def test_the_count_is_rounded_down_and_pairs_repeat_beyond_their_number(count: int, weights: int) -> None:
    one = head(count=count)
    assert one.weight.numel() == len(one.order) == weights
    assert torch.bincount(one.order).max() <= weights // 36 + 1


def test_pairs_are_the_same_in_every_run_and_weights_are_small() -> None:
    one, two = head(40, 10, 500), head(40, 10, 500, seed=5)
    assert torch.equal(one.order, two.order) and not torch.equal(one.weight, two.weight)
    assert float(one.weight.detach().std()) == pytest.approx(0.001, rel=0.2)


def test_pairs_can_be_given() -> None:
    one, z = head(), torch.rand(2, 9, generator=torch.Generator().manual_seed(1))
    rows, columns = (each.flip(0) for each in pairs(one))
    one.assign(rows, columns)
    expected = ((z[:, rows] * z[:, columns]).view(2, 9, 4) * one.weight).sum(1)
    torch.testing.assert_close(one(z), expected)
