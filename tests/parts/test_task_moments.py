"""Moments per task: plain optimisers with one task, and what similarity of tasks does to a step."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.parts.task_moments import EPS, MomentStep, TaskMoments

PLAIN = {
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.99, eps=EPS),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01, eps=EPS),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.9, 0.99), eps=EPS),
}


def draws(count: int, seed: int = 0) -> list[Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(3, 4, generator=rng) for _ in range(count)]


def stepper(moments: TaskMoments, parameter: nn.Parameter, **options: Any) -> MomentStep:
    chosen: dict[str, Any] = {"kind": "rmsprop", "lr": 0.01, "b": 5.0, **options}
    return MomentStep([{"params": [parameter], "tensors": ["w"]}], moments, **chosen)


def feed(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, gradients: list[Tensor]) -> Tensor:
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach().clone()


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("kind", list(PLAIN))
def test_with_one_task_it_is_the_plain_optimiser(kind: str, decay: float) -> None:
    ours, theirs = (nn.Parameter(draws(1, 9)[0].clone()) for _ in range(2))
    plain = PLAIN[kind]([theirs])
    plain.param_groups[0]["weight_decay"] = decay
    one = feed(stepper(TaskMoments(), ours, kind=kind, weight_decay=decay), ours, draws(7))
    torch.testing.assert_close(one, feed(plain, theirs, draws(7)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("factor", "cosine"), [(1.0, 1.0), (-1.0, -1.0), (0.0, 0.0)])
def test_alpha_is_exp_of_minus_b_times_the_cosine(factor: float, cosine: float) -> None:
    moments, parameter = TaskMoments(), nn.Parameter(torch.zeros(3, 4))
    feed(stepper(moments, parameter), parameter, draws(1))
    before = moments.second["w"].clone()
    moments.end_task()
    feed(stepper(moments, parameter), parameter, [factor * draws(1)[0]])
    assert moments.alphas("w", 5.0).tolist() == pytest.approx([math.exp(-5 * cosine)], rel=1e-4)
    expected = (math.exp(-5 * cosine) * before + math.exp(-5) * moments.second["w"]).sqrt()
    torch.testing.assert_close(moments.denominator("w", 5.0), expected, rtol=1e-4, atol=1e-7)


def test_b_of_zero_adds_all_second_moments() -> None:
    moments, parameter = TaskMoments(), nn.Parameter(torch.zeros(3, 4))
    total = torch.zeros(3, 4)
    for task in range(3):
        feed(stepper(moments, parameter, b=0.0, kind="adagrad"), parameter, draws(4, task))
        total += sum(g.square() for g in draws(4, task))
        if task < 2:
            moments.end_task()
    torch.testing.assert_close(moments.denominator("w", 0.0), total.sqrt())


def test_steps_are_shorter_against_an_earlier_task_than_along_it() -> None:
    lengths = []
    for sign in (1.0, -1.0):
        moments, parameter = TaskMoments(), nn.Parameter(torch.zeros(3, 4))
        feed(stepper(moments, parameter), parameter, draws(3))
        moments.end_task()
        start = parameter.detach().clone()
        lengths.append(float((feed(stepper(moments, parameter), parameter, [sign * draws(3)[2]]) - start).norm()))
    assert lengths[1] < 0.2 * lengths[0]


def test_the_scale_of_earlier_first_moments_does_not_count() -> None:
    """Their direction is kept; second moments are those of the gradients."""
    ends = []
    for scale in (1.0, 100.0):
        moments, parameter = TaskMoments(), nn.Parameter(torch.zeros(3, 4))
        feed(stepper(moments, parameter), parameter, draws(3))
        moments.first["w"] *= scale
        moments.end_task()
        ends.append(feed(stepper(moments, parameter), parameter, draws(2, 5)))
    torch.testing.assert_close(ends[0], ends[1])


def test_a_tensor_without_gradients_does_not_move_and_one_that_comes_later_has_no_earlier_rows() -> None:
    moments, parameter = TaskMoments(), nn.Parameter(torch.ones(3, 4))
    assert torch.equal(feed(stepper(moments, parameter), parameter, [torch.zeros(3, 4)]), torch.ones(3, 4))
    moments.end_task()
    assert moments.directions["w"].eq(0).all()
    late = nn.Parameter(torch.zeros(2))
    late.grad = torch.ones(2)
    MomentStep([{"params": [late], "tensors": ["late"]}], moments, kind="rmsprop", lr=0.01, b=5.0).step()
    assert torch.allclose(late, torch.full((2,), -0.01 / math.sqrt(0.01 * math.exp(-5))))
    assert moments.alphas("late", 5.0).shape == (0,)


def test_the_state_is_that_of_every_task() -> None:
    moments, parameter = TaskMoments(), nn.Parameter(torch.zeros(3, 4))
    feed(stepper(moments, parameter), parameter, draws(3))
    moments.end_task()
    feed(stepper(moments, parameter), parameter, draws(2))
    other = TaskMoments()
    other.set_state(moments.get_state())
    assert torch.equal(other.denominator("w", 5.0), moments.denominator("w", 5.0)) and other.steps == {"w": 2}
