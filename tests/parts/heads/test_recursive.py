"""Recursive ridge regression: the batch solution in float64, bounds of float64, and its state."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cl.errors import UsageError
from cl.parts.heads import RecursiveRidge
from cl.parts.statistics.symmetric import ROWS
from cl.training import state
from tests.help.closed_forms import drawn, ridge

X, Y = drawn(600, 9), torch.arange(600) * 7 % 5


@pytest.mark.parametrize("sizes", [[600], [1] * 20 + [580], [ROWS, 600 - ROWS], [250, 100, 250]])
@pytest.mark.parametrize("forgetting", [1.0, 0.995])
def test_it_equals_the_batch_solution_however_images_come(sizes: list[int], forgetting: float) -> None:
    regression = RecursiveRidge(9, 0.3, forgetting)
    for x, y in zip(X.split(sizes), Y.split(sizes), strict=True):
        regression.add(x, y, 5)
    ages = np.arange(599, -1, -1)
    expected = ridge(X.numpy(), Y.numpy(), 0.3 * forgetting**600, forgetting**ages)
    assert np.allclose(regression.weights, expected, rtol=0, atol=1e-10)
    assert np.isclose(regression.penalty, 0.3 * forgetting**600)
    assert torch.equal(regression.inverse, regression.inverse.T)
    assert torch.allclose(regression.scores(X[:3]), X[:3] @ torch.from_numpy(expected))


def test_later_classes_have_target_0_for_earlier_images() -> None:
    regression = RecursiveRidge(9, 2.0)
    for position in range(5):
        regression.add(X[position == Y], Y[position == Y], position + 1)
    assert np.allclose(regression.weights, ridge(X.numpy(), Y.numpy(), 2.0), rtol=0, atol=1e-10)


def test_an_image_costs_the_same_however_many_came_before() -> None:
    """Nothing grows but the numbers."""
    regression, sizes = RecursiveRidge(9, 1.0), []
    for x, y in zip(X.split(100), Y.split(100), strict=True):
        regression.add(x, y, 5)
        sizes.append(state.nbytes(regression.get_state()))
    assert set(sizes) == {8 * (9 * 10 // 2 + 9 * 5)}, "half of Phi, and the weights"


def test_a_penalty_that_float64_cannot_resolve_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"ridge penalty has become .* set a larger ridge, or a forgetting factor"):
        RecursiveRidge(9, 1e-12).add(X, Y, 5)
    regression = RecursiveRidge(9, 1.0, 0.9)
    with pytest.raises(UsageError, match="too small beside features"):
        regression.add(X, Y, 5)
    with pytest.raises(UsageError, match="too small beside features"):
        RecursiveRidge(9, 1.0).add(X * torch.nan, Y, 5)


def test_a_state_continues_to_the_same_bits() -> None:
    one, two = RecursiveRidge(9, 1.0, 0.999), RecursiveRidge(9, 5.0, 0.999)
    one.add(X[:300], Y[:300], 5)
    two.set_state(state.clone(one.get_state()))
    for regression in (one, two):
        regression.add(X[300:], Y[300:], 5)
    assert torch.equal(one.weights, two.weights) and torch.equal(one.inverse, two.inverse)
    assert (one.penalty, one.energy) == (two.penalty, two.energy)
