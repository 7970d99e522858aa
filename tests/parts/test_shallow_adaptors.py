"""Shallow adaptors by their formula, what a budget admits, the score, and a pool of different shapes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.shallow_adaptors import LAYERS, WIDTHS, AdaptorPool, ShallowAdaptor, Shape, naswot, shapes
from cl.training import state

DIMS = [5, 7, 6]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parts(count: int = 9) -> list[Tensor]:
    return [torch.randn(count, dim, generator=rng(dim)) for dim in DIMS]


@pytest.mark.parametrize("shape", [Shape((2,), 8, 1), Shape((0, 2), 16, 2), Shape((0, 1, 2), 8, 2)])
def test_an_adaptor_adds_its_hidden_layers_to_the_last_depth(shape: Shape) -> None:
    adaptor = ShallowAdaptor(shape, DIMS, rng())
    assert torch.equal(adaptor(parts()), parts()[-1]), "a new one changes nothing"
    assert sum(value.numel() for value in adaptor.parameters()) == shape.parameters(DIMS)
    assert not any(value.requires_grad for value in adaptor.parameters())
    with torch.no_grad():
        for number, value in enumerate(adaptor.parameters()):
            value.copy_(torch.randn(value.shape, generator=rng(number)))
    held = dict(adaptor.named_parameters())
    x = torch.cat([(parts()[d] - parts()[d].mean(1, True)) / (parts()[d].var(1, False, keepdim=True) + 1e-5).sqrt()
                   for d in shape.depths], 1)  # fmt: skip
    for layer in range(shape.layers):
        x = (x @ held[f"hidden.{layer}.weight"].T + held[f"hidden.{layer}.bias"]).clamp(min=0)
    expected = parts()[-1] + x @ held["up.weight"].T + held["up.bias"]
    assert torch.allclose(adaptor(parts()), expected, atol=1e-5)


def test_weights_are_drawn_like_linear_layers_from_a_seed() -> None:
    one, same, other = (ShallowAdaptor(Shape((0, 1, 2), 512, 2), DIMS, rng(seed)) for seed in (3, 3, 4))
    for layer, into in zip(one.hidden, (18, 512), strict=True):
        assert float(layer.weight.abs().max()) == pytest.approx(into**-0.5, rel=0.01)
        assert not layer.bias.any()
    assert torch.equal(one.hidden[0].weight, same.hidden[0].weight)
    assert not torch.equal(one.hidden[0].weight, other.hidden[0].weight)


def test_a_budget_admits_every_shape_that_fits_and_no_other() -> None:
    every = shapes(DIMS, 2**62)
    assert len(every) == len(set(every)) == 7 * len(WIDTHS) * len(LAYERS)
    sizes = [shape.parameters(DIMS) for shape in every]
    assert sizes == sorted(sizes)
    assert shapes(DIMS, 500) == [shape for shape in every if shape.parameters(DIMS) <= 500]
    assert not shapes(DIMS, sizes[0] - 1) and shapes(DIMS, sizes[0])


def test_the_score_counts_units_that_are_alike() -> None:
    adaptor = ShallowAdaptor(Shape((0, 1), 32, 2), DIMS, rng())
    layers = adaptor.activations(parts())
    kernel = torch.zeros(9, 9, dtype=torch.float64)
    for layer in layers:
        for i in range(9):
            for j in range(9):
                kernel[i, j] += int(((layer[i] > 0) == (layer[j] > 0)).sum())
    assert naswot(layers) == pytest.approx(float(torch.logdet(kernel)), abs=1e-9)
    assert naswot([F.relu(torch.ones(3, 4))]) == float("-inf"), "images that look alike"


def test_a_pool_restores_shapes_and_values() -> None:
    pool, other = AdaptorPool(DIMS), AdaptorPool(DIMS)
    for number, shape in enumerate([Shape((0,), 8, 1), Shape((1, 2), 16, 2)]):
        pool.add(shape, rng(number))
    for number, shape in enumerate([Shape((0,), 8, 1), Shape((2,), 8, 1), Shape((2,), 8, 1)]):
        other.add(shape, rng(10 + number))
    kept = other[0]
    other.set_state(state.clone(pool.get_state()))
    assert len(other) == 2 and other[0] is kept and other[1].shape == Shape((1, 2), 16, 2)
    for one, two in zip(pool.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
