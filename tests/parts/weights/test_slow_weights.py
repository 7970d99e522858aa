"""Slow weights: averages of trained tensors that can replace them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from cl.errors import ContractError
from cl.parts.weights.slow_weights import SlowWeights, places

CPU = torch.device("cpu")


def holder(dtype: torch.dtype = torch.float32) -> Any:
    """A trained network with a batch norm, a layer that is not trained, and a private layer."""
    torch.manual_seed(0)
    made = SimpleNamespace(
        net=nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), spare=nn.Linear(2, 2), _hidden=nn.Linear(2, 2), number=3
    )
    made.net.to(dtype)
    return made


def entered(made: Any) -> SlowWeights:
    slow = SlowWeights(CPU)
    slow.enter(places(made), made.net.parameters())
    return slow


def shift(made: Any, amount: float) -> None:
    with torch.no_grad():
        for tensor in (*made.net.parameters(), made.net[1].running_mean):
            tensor.add_(amount)


def test_places_are_the_floating_point_tensors_of_public_modules() -> None:
    names = {f"net.{name}" for name in ("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var")}
    assert set(places(holder())) == names | {"spare.weight", "spare.bias"}, "no counter, nothing private"


def test_trained_parameters_and_the_buffers_of_their_module_are_followed() -> None:
    slow = entered(holder())
    assert {name.partition(".")[0] for name in slow.get_state()} == {"net"} and len(slow.get_state()) == 6


def test_following_is_an_exponential_average() -> None:
    made, tau = holder(), 0.9
    start = made.net[0].weight.detach().clone()
    slow = entered(made)
    shift(made, 1.0)  # then the fast weights stay: start + (1 - tau^n)
    for _ in range(5):
        slow.follow(places(made), tau)
    for name in ("net.0.weight", "net.1.running_mean"):
        assert name in slow.get_state()
    torch.testing.assert_close(slow.get_state()["net.0.weight"], start + (1 - tau**5))
    torch.testing.assert_close(slow.get_state()["net.1.running_mean"], torch.full((4,), 1 - tau**5))


@pytest.mark.parametrize("tau", [0.0, 1.0])
def test_following_is_exact_at_the_ends(tau: float) -> None:
    made = holder()
    start = made.net[0].weight.detach().clone()
    slow = entered(made)
    shift(made, 0.1)
    slow.follow(places(made), tau)
    expected = start if tau == 1 else made.net[0].weight
    assert torch.equal(slow.get_state()["net.0.weight"], expected)


def test_entering_again_keeps_the_averages_so_far() -> None:
    made = holder()
    slow = entered(made)
    before = slow.get_state()["net.0.weight"].clone()
    shift(made, 1.0)
    slow.enter(places(made), [*made.net.parameters(), *made.spare.parameters()])
    assert torch.equal(slow.get_state()["net.0.weight"], before) and "spare.weight" in slow.get_state()


def test_slow_tensors_replace_fast_tensors_for_a_block() -> None:
    made, x = holder(), torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    made.net.eval()
    expected = made.net(x)
    slow = entered(made)
    shift(made, 1.0)
    fast, weight = made.net(x), made.net[0].weight
    with pytest.raises(ZeroDivisionError), slow.standing_in(places(made)):
        assert torch.equal(made.net(x), expected)
        raise ZeroDivisionError
    assert made.net[0].weight is weight and torch.equal(made.net(x), fast)
    slow.copy_to(places(made))
    assert made.net[0].weight is weight and torch.equal(made.net(x), expected)


def test_half_precision_is_followed_in_single_precision() -> None:
    made = holder(torch.bfloat16)
    slow = entered(made)
    assert {tensor.dtype for tensor in slow.get_state().values()} == {torch.float32}
    shift(made, 1.0)
    for _ in range(50):
        slow.follow(places(made), 0.999)  # steps that bfloat16 would round away
    assert 0.03 < float((slow.get_state()["net.1.bias"]).mean()) < 0.06
    with slow.standing_in(places(made)):
        assert made.net[0].weight.dtype == torch.bfloat16


def test_parameters_outside_the_attributes_of_the_strategy_are_refused() -> None:
    with pytest.raises(ContractError, match="must lie in modules that are attributes of the base strategy"):
        SlowWeights(CPU).enter(places(holder()), nn.Linear(2, 2).parameters())


def test_a_state_is_a_copy() -> None:
    made = holder()
    slow, other = entered(made), SlowWeights(CPU)
    other.set_state(slow.get_state())
    shift(made, 1.0)
    slow.follow(places(made), 0.0)
    assert not torch.equal(slow.get_state()["net.0.weight"], other.get_state()["net.0.weight"])
