"""Densities of layers, and the weights that leave and grow in an update of a mask."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cl.errors import UsageError
from cl.parts.weights.sparse import (
    check_layers,
    decayed,
    draw_masks,
    erk_densities,
    grown,
    grown_at_random,
    grown_unfired,
    survivors,
    uniform_densities,
)

SHAPES = [(16, 3, 3, 3), (32, 16, 3, 3), (10, 512)]
SIZES = [math.prod(shape) for shape in SHAPES]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def example(density: float = 0.3) -> tuple[Tensor, Tensor]:
    mask = torch.rand(40, 50, generator=rng()) < density
    return torch.randn(40, 50, generator=rng(1)) * mask, mask


@pytest.mark.parametrize("density", [0.05, 0.2, 0.5, 0.9])
def test_densities_of_erk_have_the_overall_density(density: float) -> None:
    found = erk_densities(SHAPES, density)
    assert sum(d * n for d, n in zip(found, SIZES, strict=True)) == pytest.approx(density * sum(SIZES))
    assert all(0 < d <= 1 for d in found) and found[2] == max(found)
    ratios = [d / (sum(s) / n) for d, s, n in zip(found, SHAPES, SIZES, strict=True) if d < 1]
    assert max(ratios) == pytest.approx(min(ratios)), "layers that are not dense share one factor"
    assert uniform_densities(SHAPES, density) == [density] * 3 and erk_densities(SHAPES, 1.0) == [1.0] * 3


def test_drawn_masks_have_their_density_and_are_never_empty() -> None:
    masks = draw_masks([(200, 200), (3, 2)], [0.25, 0.01], rng(), "cpu")
    assert float(masks[0].float().mean()) == pytest.approx(0.25, abs=0.01) and int(masks[1].sum()) == 1


def test_a_layer_without_a_weight_is_refused() -> None:
    check_layers(["a"], [(10, 10)], [0.01])
    with pytest.raises(UsageError, match=r"leaves a\.weight empty: it has 100 weights; set density=0\.01"):
        check_layers(["a.weight"], [(10, 10)], [0.005])


def test_the_smallest_weights_leave() -> None:
    weight, mask = example()
    left = survivors(weight, mask, 0.3)
    assert int(mask.sum() - left.sum()) == math.ceil(0.3 * int(mask.sum())) and not (left & ~mask).any()
    assert float(weight[left].abs().min()) > float(weight[mask & ~left].abs().max())
    assert not survivors(weight, mask, 1.0).any()


@pytest.mark.parametrize("count", [0, 1, 37])
def test_by_gradient_the_largest_outside_the_mask_grow(count: int) -> None:
    _, mask = example()
    order = torch.randn(40, 50, generator=rng(2))
    new = grown(mask, count, order)
    assert int(new.sum()) == int(mask.sum()) + count and bool((mask <= new).all())
    if count:
        assert float(order[new & ~mask].abs().min()) > float(order[~new].abs().max())
    assert grown(mask, 10**6, order).all()


def test_at_random_as_many_grow_in_expectation() -> None:
    _, mask = example()
    counts = [int(grown_at_random(mask, 100, rng(seed)).sum() - mask.sum()) for seed in range(40)]
    assert sum(counts) / 40 == pytest.approx(100, abs=8) and len(set(counts)) > 1
    assert torch.equal(grown_at_random(torch.ones(3, 3).bool(), 5, rng()), torch.ones(3, 3).bool())


def test_weights_that_were_never_in_a_mask_grow_first() -> None:
    _, mask = example()
    fired = mask | (torch.rand(40, 50, generator=rng(3)) < 0.5)
    new = grown_unfired(mask, 50, fired, rng())
    assert int((new & ~mask).sum()) == 50 and not (new & ~mask & fired).any()
    never = int((~fired).sum())
    more = grown_unfired(mask, never + 60, fired, rng(7))
    assert bool((~fired <= more).all()) and int((more & ~mask).sum()) == pytest.approx(never + 60, abs=30)


def test_the_share_that_leaves_falls_by_a_cosine() -> None:
    assert (decayed(0.5, 0, 100), decayed(0.5, 100, 100)) == (0.5, 0.005)
    assert decayed(0.5, 50, 100) == pytest.approx(0.2525)
