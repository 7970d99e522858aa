"""Inner steps: each trajectory apart, gradients through the steps, and no steps at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from cl.parts.inner_loop import adapted, losses, repeated

LR = 0.3


class Toy(nn.Module):
    """A smooth network, so that finite differences are exact enough."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 3), nn.Linear(3, 5)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.first(x).tanh())
        return found


def toy() -> tuple[Toy, Tensor, Tensor, Tensor, Tensor]:
    """A network, two trajectories of three images, and four images of the outer loss for each; in float64."""
    torch.manual_seed(0)
    x, others = torch.randn(2, 3, 4).double(), torch.randn(2, 4, 4).double()
    return Toy().double(), x, torch.tensor([[0, 0, 1], [4, 2, 2]]), others, torch.randint(5, (2, 4))


def by_hand(network: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    held = {name: value.detach().clone() for name, value in network.named_parameters()}
    for image, label in zip(x, y, strict=True):
        leaves = {name: value.requires_grad_(True) for name, value in held.items()}
        loss = F.cross_entropy(functional_call(network, leaves, (image[None],)), label[None])
        found = torch.autograd.grad(loss, list(leaves.values()))
        held = {n: (v - LR * g).detach() for (n, v), g in zip(leaves.items(), found, strict=True)}
    return held


@pytest.mark.parametrize("order", [1, 2])
def test_every_trajectory_takes_its_own_steps(order: int) -> None:
    network, x, y, others, y_others = toy()
    found = adapted(network, x, y, LR, order)
    outer = losses(network, found, others, y_others)
    for number in range(2):
        held = by_hand(network, x[number], y[number])
        for name, value in held.items():
            torch.testing.assert_close(found[name][number], value)
        alone = F.cross_entropy(functional_call(network, held, (others[number],)), y_others[number])
        torch.testing.assert_close(outer[number], alone)
    assert not torch.allclose(found["last.weight"][0], found["last.weight"][1])


def slope(call: Callable[[], Tensor], value: Tensor, place: int) -> float:
    """The derivative by one number of a tensor, by differences."""
    flat, ends = value.data.view(-1), []
    for step in (1e-5, -2e-5):
        flat[place] += step
        ends.append(float(call().detach()))
    flat[place] += 1e-5
    return (ends[0] - ends[1]) / 2e-5


def test_the_second_order_agrees_with_finite_differences_and_the_first_does_not() -> None:
    network, x, y, others, y_others = toy()
    x.requires_grad_(True)
    tensors = {**dict(network.named_parameters()), "features": x}

    def outer(order: int = 2) -> Tensor:
        return losses(network, adapted(network, x, y, LR, order), others, y_others).mean()

    second = torch.autograd.grad(outer(), list(tensors.values()))
    first = torch.autograd.grad(outer(1), list(tensors.values())[:-1])
    for (name, value), gradient in zip(tensors.items(), second, strict=True):
        for place in range(min(4, value.numel())):
            assert float(gradient.view(-1)[place]) == pytest.approx(slope(outer, value, place), abs=1e-8), name
    assert max(float((one - two).abs().max()) for one, two in zip(first, second, strict=False)) > 1e-2


def test_the_first_order_is_the_gradient_at_the_weights_after_the_steps() -> None:
    network, x, y, others, y_others = toy()
    found = torch.autograd.grad(
        losses(network, adapted(network, x, y, LR, 1), others, y_others).sum(), list(network.parameters())
    )
    expected = [torch.zeros_like(value) for value in network.parameters()]
    for number in range(2):
        leaves = {name: v.requires_grad_(True) for name, v in by_hand(network, x[number], y[number]).items()}
        loss = F.cross_entropy(functional_call(network, leaves, (others[number],)), y_others[number])
        for total, gradient in zip(expected, torch.autograd.grad(loss, list(leaves.values())), strict=True):
            total += gradient
    torch.testing.assert_close(list(found), expected)


def test_no_steps_leave_the_weights() -> None:
    network, _, _, others, y_others = toy()
    found = adapted(network, torch.zeros(2, 0, 4).double(), torch.zeros(2, 0, dtype=torch.long), LR)
    for name, value in network.named_parameters():
        assert torch.equal(found[name], torch.stack([value, value]))
    plain = torch.stack([F.cross_entropy(network(x), y) for x, y in zip(others, y_others, strict=True)])
    torch.testing.assert_close(losses(network, found, others, y_others), plain)


def test_repeated_images_are_those_of_every_trajectory() -> None:
    x = torch.arange(6).view(3, 2)
    assert torch.equal(repeated(x, 2), torch.stack([x, x])) and repeated(x[:0], 2).shape == (2, 0, 2)
