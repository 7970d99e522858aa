"""Generators of weights: plain loops, layouts, sizes, growth."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.errors import UsageError
from cl.parts.generated import FeedForward, Generator, Layout, Recurrent, largest_chunk
from cl.testing import tiny_backbone
from cl.training import state
from tests.help.backbones import flat_backbone

LAYERS = [30, 11, 4]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def embeddings(tasks: int = 3) -> Tensor:
    return torch.randn(tasks, 5, generator=rng(9))


def feed_forward(activation: str = "relu") -> FeedForward:
    found = FeedForward(sum(LAYERS), 7, 5, 3, (6, 4), activation)
    found.redraw(rng(), 5)
    return found


def recurrent(units: int = 6) -> Recurrent:
    found = Recurrent(LAYERS, 7, 5, 3, 2, units)
    found.redraw(rng(), 5)
    return found


def test_a_layout_splits_a_vector_into_the_tensors_of_the_network_and_a_head() -> None:
    backbone = flat_backbone()
    layout = Layout(backbone, 2)
    named = dict(backbone.model.named_parameters())
    assert layout.size == 2431 + 2 * 7 + 2 == sum(layout.sizes) and layout.layers == [12 * 193, 24, 13 * 7, 16]
    flat = torch.randn(layout.size, generator=rng())
    found = layout.split(flat)
    assert {name: value.shape for name, value in found.backbone.items()} == {k: v.shape for k, v in named.items()}
    norm = found.backbone["norm.weight"] - 1
    again = {**found.backbone, "norm.weight": norm}
    joined = torch.cat([*(value.flatten() for value in again.values()), found.weight.flatten(), found.bias])
    torch.testing.assert_close(joined, flat)
    assert found.weight.shape == (2, 7) and torch.equal(found.bias, flat[-2:])
    squares = torch.cat([v.detach().flatten() for k, v in named.items() if k != "norm.weight"]).square().mean()
    assert layout.scale == pytest.approx(float(squares.sqrt()), rel=1e-5)


def test_tensors_outside_of_layers_have_their_place_too() -> None:
    layout = Layout(tiny_backbone(), 3)
    assert sum(layout.layers) == layout.size == sum(layout.sizes)
    found = layout.split(torch.zeros(layout.size)).backbone
    assert bool((found["norm.weight"] == 1).all()) and not found["cls_token"].any()


@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_an_mlp_generates_one_chunk_after_another(activation: str) -> None:
    net, given = feed_forward(activation), embeddings()
    act: Any = {"relu": F.relu, "elu": F.elu}[activation]
    for row, task in zip(net(given), given, strict=True):
        parts = []
        for chunk in net.chunks:
            x = torch.cat([task, chunk])
            for number in range(2):
                layer = net.get_submodule(f"hidden.{number}")
                x = act(x @ layer.get_parameter("weight").T + layer.get_parameter("bias"))
            parts.append(F.linear(x, net.output.weight, net.output.bias))
        torch.testing.assert_close(row, torch.cat(parts)[:45])
    assert len(net.chunks) == 7 and net.numbers == 7 * 3 + 6 * 9 + 4 * 7 + 7 * 5


def test_an_lstm_generates_layer_by_layer() -> None:
    net, given = recurrent(), embeddings()
    for row, task in zip(net(given), given, strict=True):
        hidden, layers = (torch.zeros(1, 6), torch.zeros(1, 6)), []
        for layer, size in enumerate(LAYERS):
            parts: list[Tensor] = []
            while sum(map(len, parts)) < size:
                hidden = net.cell(torch.cat([task, net.layers[layer], net.chunks[len(parts)]])[None], hidden)
                parts.append(net.output(hidden[0])[0])
            layers.append(torch.cat(parts)[:size])
        torch.testing.assert_close(row, torch.cat(layers))
    assert net.counts == [5, 2, 1] and len(net.chunks) == 5 and len(net.layers) == 3


def test_later_layers_depend_on_what_was_generated_before_and_not_the_reverse() -> None:
    net, given = recurrent(), embeddings(1)
    before = net(given)[0].split(LAYERS)
    with torch.no_grad():
        net.layers[1].add_(1)
    after = net(given)[0].split(LAYERS)
    changed = [not torch.equal(one, two) for one, two in zip(before, after, strict=True)]
    assert changed == [False, True, True]


@pytest.mark.parametrize("make", [feed_forward, recurrent])
def test_the_draw_is_that_of_its_generator_and_has_the_scale_asked_for(make: type) -> None:
    one, two = make(), make()
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not any(value.any() for name, value in one.named_parameters() if "bias" in name)
    before = copy.deepcopy(one)
    one.redraw(rng(), 5, 0.02)
    for (name, a), b in zip(one.named_parameters(), before.parameters(), strict=True):
        assert torch.equal(a, b) == (name != "output.weight")
    some = torch.randn(500, 5, generator=rng(3))
    with torch.no_grad():
        assert 0.015 < float(one(some).square().mean().sqrt()) < 0.027


def test_new_units_change_nothing_until_they_are_trained() -> None:
    net, given = recurrent(), embeddings()
    with torch.no_grad():
        for value in net.parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=rng(5)))
    old, before = copy.deepcopy(net), net(given)
    net.widen(3, rng(1))
    assert net.cell.hidden_size == 9 and net.output.in_features == 9
    torch.testing.assert_close(net(given), before, rtol=0, atol=1e-6)
    gates = net.cell.weight_hh.view(4, 9, 9)
    assert torch.equal(gates[:, :6, :6], old.cell.weight_hh.view(4, 6, 6)) and not gates[:, :6, 6:].any()
    assert gates[:, 6:].abs().min() > 0 and not net.output.weight[:, 6:].any()
    net.requires_grad_(True)
    net(given).square().sum().backward()
    assert net.output.weight.grad is not None and bool((net.output.weight.grad[:, 6:] != 0).any()), "they can learn"


def test_a_state_restores_the_number_of_units() -> None:
    wide, narrow = recurrent(), recurrent(2)
    wide.widen(1, rng())
    narrow.set_state(state.clone(wide.get_state()))
    assert narrow.cell.hidden_size == 7 and torch.equal(narrow(embeddings()), wide(embeddings()))
    wide.set_state(recurrent(2).get_state())
    assert torch.equal(wide(embeddings()), recurrent(2)(embeddings()))


def test_the_largest_chunk_fits_and_the_next_does_not() -> None:
    def numbers(chunk: int) -> int:
        return FeedForward(5000, chunk, 4, 3, (6,)).numbers

    for budget in (800, 1500, 4000):
        chunk = largest_chunk(numbers, 5000, budget)
        assert numbers(chunk) <= budget < numbers(chunk + 1)
    assert largest_chunk(numbers, 5000, 10**6) == 5000
    with pytest.raises(UsageError, match=r"no chunk is small enough for a hypernetwork of 50 numbers .* raise ratio"):
        largest_chunk(numbers, 5000, 50)


def test_a_chunk_between_powers_of_two_is_found() -> None:
    def numbers(chunk: int) -> int:
        return FeedForward(2450, chunk, 6, 40, (2,)).numbers

    powers = [numbers(2**power) for power in range(12)]
    budget = min(powers) - 5
    assert numbers(largest_chunk(numbers, 2450, budget)) <= budget


def test_generators_share_what_they_are() -> None:
    assert isinstance(feed_forward(), Generator) and isinstance(recurrent(), Generator)
