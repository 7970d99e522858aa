"""The pairwise head: its pairs, its classes, its size."""

from __future__ import annotations

import pytest
import torch

from cl.parts.heads.pairwise import PairwiseHead


def head(dim: int = 9, classes: int = 4, count: int = 0, seed: int = 0) -> PairwiseHead:
    return PairwiseHead(dim, classes, count, torch.Generator().manual_seed(seed))


def test_a_logit_is_the_weighted_sum_of_products_of_its_pairs() -> None:
    one, z = head(), torch.rand(3, 9, generator=torch.Generator().manual_seed(1))
    assert one.weight.shape == (9, 4)
    expected = torch.zeros(3, 4)
    for place, (row, column) in enumerate(zip(one.rows.tolist(), one.columns.tolist(), strict=True)):
        expected[:, place % 4] += one.weight[place // 4, place % 4] * z[:, row] * z[:, column]
    torch.testing.assert_close(one(z), expected)
    torch.testing.assert_close(one(3 * z), 9 * expected)
    assert not one(torch.zeros(2, 9)).any()


def test_each_pair_is_of_one_class() -> None:
    one = head()
    pairs = set(zip(one.rows.tolist(), one.columns.tolist(), strict=True))
    assert len(pairs) == 36 and all(row > column for row, column in pairs)
    z = torch.rand(1, 9, requires_grad=True)
    one(z)[0, 2].backward()
    assert one.weight.grad is not None and not one.weight.grad[:, [0, 1, 3]].any() and one.weight.grad[:, 2].all()


@pytest.mark.parametrize(("count", "weights"), [(0, 36), (30, 28), (10, 8), (100, 100)])
def test_the_count_is_rounded_down_and_pairs_repeat_beyond_their_number(count: int, weights: int) -> None:
    one = head(count=count)
    assert one.weight.numel() == len(one.rows) == weights
    pairs = list(zip(one.rows.tolist(), one.columns.tolist(), strict=True))
    assert max(pairs.count(pair) for pair in pairs) <= weights // 36 + 1


def test_pairs_are_the_same_in_every_run_and_weights_are_small() -> None:
    one, two = head(40, 10, 500), head(40, 10, 500, seed=5)
    assert torch.equal(one.rows, two.rows) and not torch.equal(one.weight, two.weight)
    assert float(one.weight.std()) == pytest.approx(0.001, rel=0.2)
