"""Sums that are never reset, and the steps that they divide."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from cl.parts.accumulated import EPS, Accumulated, AccumulatedStep

GRADIENTS = [torch.tensor([1.0, -2.0]), torch.tensor([0.5, 0.0]), torch.tensor([-1.0, 3.0])]


def _twice(gradient: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"w": 2 * gradient}


def run(kind: str, sums: Accumulated, decay: float = 0.8) -> list[torch.Tensor]:
    """The steps for `GRADIENTS`; the sensitivity of a value is 2 times its gradient."""
    held = nn.Parameter(torch.zeros(2))
    steps = []
    for gradient in GRADIENTS:
        optimizer = AccumulatedStep(
            [{"params": [held], "tensors": ["w"], "lr": 0.1}], sums, kind=kind, lr=1.0, decay=decay,
            sensitivity=partial(_twice, gradient),
        )  # fmt: skip
        before, held.grad = held.detach().clone(), gradient.clone()
        optimizer.step()
        steps.append(held.detach() - before)
    return steps


def test_adagrad_sums_squares_over_optimisers() -> None:
    sums, total = Accumulated(), torch.zeros(2)
    for step, gradient in zip(run("adagrad", sums), GRADIENTS, strict=True):
        total += 0.8 * gradient**2
        torch.testing.assert_close(step, -0.1 * gradient / (total + EPS).sqrt())
    torch.testing.assert_close(sums.sums["w"], total)


def test_s_mas_sums_sizes_of_sensitivities() -> None:
    sums, total = Accumulated(), torch.zeros(2)
    for step, gradient in zip(run("s-mas", sums, 0.01), GRADIENTS, strict=True):
        total += 0.01 * (2 * gradient).abs()
        torch.testing.assert_close(step, -0.1 * gradient / (total + EPS).sqrt())


def test_sgd_keeps_nothing() -> None:
    sums = Accumulated()
    assert [step.tolist() for step in run("sgd", sums)] == [pytest.approx((-0.1 * g).tolist()) for g in GRADIENTS]
    assert not sums.sums


def test_equal_gradients_make_shorter_steps_each_time_and_the_state_comes_back() -> None:
    sums = Accumulated()
    lengths = [float(sums.add("w", torch.ones(1)).rsqrt()) for _ in range(5)]
    assert lengths == sorted(lengths, reverse=True)
    other = Accumulated()
    other.set_state(sums.get_state())
    assert float(other.add("w", torch.ones(1))) == 6
