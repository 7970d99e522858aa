"""Factors of units: how they start, their switches at temperature 0, their distance, and that tasks keep theirs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, kl_divergence

from cl.parts.weights.unit_adaptation import UnitAdaptation, concrete, factors
from cl.training import state


def adaptation(tasks: int = 1) -> UnitAdaptation:
    found = UnitAdaptation([4, 3])
    rng = torch.Generator().manual_seed(0)
    for _ in range(tasks):
        found.add()
        for values in found.current:
            values.add_(torch.randn(values.shape, generator=rng))
        found.keep()
    return found


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_all_factors_start_at_one_and_have_gradients() -> None:
    found = UnitAdaptation([4, 3])
    found.add()
    for values in found.current:
        values.requires_grad_(True)
    drawn = found.drawn(5, 0.5)
    assert [tuple(each.shape) for each in drawn] == [(5, 4), (5, 3)]
    assert all(torch.allclose(each, torch.ones_like(each), atol=1e-6) for each in drawn)
    sum(each.sum() for each in drawn).backward()  # type: ignore[union-attr]
    gradient = found.current[0].grad
    assert gradient is not None and bool((gradient[1:] > 0).all()), "a and m move first, then p"


def test_a_switch_that_is_off_leaves_the_unit_exactly_and_one_that_is_on_is_bounded() -> None:
    values = torch.randn(3, 50, generator=rng()) * 3
    assert torch.equal(factors(values, torch.zeros(2, 50)), torch.ones(2, 50))
    on = factors(values, torch.ones(1, 50))[0]
    assert bool((on >= -1e-6).all() and (on <= values[2].exp() + 1e-5).all())


def test_draws_become_binary_as_the_temperature_falls() -> None:
    logits = torch.tensor([-1.0, 0.0, 2.0])

    def between(draws: Tensor) -> float:
        return float(((draws > 0.01) & (draws < 0.99)).float().mean())

    shares = [between(concrete(logits, 4000, each, rng())) for each in (2.0, 0.5, 0.1, 0.01)]
    assert shares == sorted(shares, reverse=True) and shares[0] > 0.9 and shares[-1] < 0.03
    hard = concrete(logits, 20_000, 0.0, rng())
    assert set(hard.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(hard.mean(0), logits.sigmoid(), atol=0.015, rtol=0)
    nearly = concrete(logits, 4000, 1e-4, rng())
    torch.testing.assert_close(nearly, concrete(logits, 4000, 0.0, rng()), atol=1e-3, rtol=0)


def test_the_distance_is_that_of_bernoulli_variables_and_never_negative() -> None:
    found = UnitAdaptation([200])
    found.add()
    assert float(found.kl(0.5)) == pytest.approx(0, abs=1e-4)
    found.current[0][0] = torch.randn(200, generator=rng()) * 4
    logits = found.current[0][0].double()
    for prior in (0.5, 0.1, 0.99):
        expected = kl_divergence(Bernoulli(logits=logits), Bernoulli(torch.tensor(prior).double())).sum()
        assert float(found.kl(prior)) == pytest.approx(float(expected), rel=1e-4) and float(expected) > 0


def test_means_are_those_of_draws_and_tasks_keep_their_own() -> None:
    found = adaptation(2)
    for task in range(2):
        for mean, drawn in zip(found.expected(task), found.sampled(task, 40_000, rng()), strict=True):
            torch.testing.assert_close(mean[0], drawn.mean(0), atol=0.03, rtol=0.03)
    before = state.clone(found.get_state())["tasks"]
    found.add()
    found.current[0].fill_(9.0)
    found.keep()
    assert len(found) == 3 and found.adapted(2) == pytest.approx(4 / 7)
    for task in range(2):
        assert all(torch.equal(one, two) for one, two in zip(before[task], found.tasks[task], strict=True))


def test_the_state_is_restored_in_place_and_grows() -> None:
    found, other = adaptation(2), UnitAdaptation([4, 3])
    found.add()
    found.current[1].fill_(3.0)
    other.set_state(state.clone(found.get_state()))
    assert len(other) == 2 and torch.equal(other.current[1], found.current[1])
    held = other.current[0]
    other.set_state(state.clone(found.get_state()))
    assert other.current[0] is held
    other.set_state(state.clone(adaptation(1).get_state()))
    assert len(other) == 1 and not other.current
