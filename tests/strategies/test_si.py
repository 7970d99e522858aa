"""SI: the path integral of the gradient without the penalty, and what it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.strategies.finetune import Finetune
from cl.strategies.si import SI
from cl.testing import tiny_backbone
from cl.training import state
from cl.training.optim import Step
from tests.conftest import make, tensors, tiny_stream
from tests.help.compare import same
from tests.help.merging import still
from tests.help.plain_loops import Keeping, logits, weights

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 8, "lr": 0.05, "augment": "none", "momentum": 0.0, "loss": "global"}


def test_two_tasks_equal_a_plain_loop(learn: Learn) -> None:
    """SGD on cross-entropy + reg sum Omega (theta - theta*)^2, with omega summed in a loop."""
    trainer, backbone = Keeping(), tiny_backbone()
    still(backbone)
    learner = SI(SI.Options(**FAST, reg=0.5, xi=0.01), backbone, trainer)
    ends = learn(learner, tiny_stream(), 2, lambda s, v: (weights(s), state.clone(s.anchors.terms[0]["weights"])))
    omega_total: dict[str, Tensor] = {}
    anchor: dict[str, Tensor] = {}
    model = tiny_backbone().model
    for task in range(2):
        start = trainer.starts[task, "train"]
        now = {name: value.clone() for name, value in start.items()}
        path = {name: torch.zeros_like(value) for name, value in start.items()}
        for batch in trainer.batches[task, "train"]:
            leaves = {name: value.detach().requires_grad_(True) for name, value in now.items()}
            loss = F.cross_entropy(logits(model, leaves, batch.x), batch.y)
            found = torch.autograd.grad(loss, list(leaves.values()))
            for name, gradient in zip(list(now), found, strict=True):
                step = gradient.clone()
                if task:  # old rows only
                    rows = slice(len(anchor[name]))
                    step[rows] += 2 * 0.5 * omega_total[name] * (now[name][rows] - anchor[name])
                path[name] += gradient * 0.05 * step  # -g (after - before)
                now[name] = now[name] - 0.05 * step
        ours, importance = ends[task]
        for name, value in now.items():
            torch.testing.assert_close(ours[name], value, rtol=0, atol=1e-5)
            new = path[name] / ((value - start[name]).square() + 0.01)
            if (old := omega_total.get(name)) is not None:
                new[: len(old)] += old
            omega_total[name] = new.clamp(min=0)
        anchor = now
        for name, value in importance.items():
            if name.startswith("backbone"):
                expected = omega_total[name.removeprefix("backbone.model.")]
                torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-4)


def test_without_weight_it_is_finetune_bit_for_bit(learn: Learn) -> None:
    learner, baseline = make(SI, **FAST, reg=0.0), make(Finetune, **FAST)
    for each in (learner, baseline):
        learn(each, tiny_stream(), 2)
    assert same(tensors(learner), tensors(baseline))


@pytest.mark.parametrize("clamp", [True, False])
def test_importance_is_clipped_at_0_unless_switched_off(learn: Learn, clamp: bool) -> None:
    learner = make(SI, **FAST, clamp=clamp, xi=0.5)
    learn(learner, tiny_stream(), 1)
    learner.start = {name: value.detach() - 0.5 for name, value in learner.held().items()}
    learner.path = {name: torch.full_like(value, -3.0) for name, value in learner.start.items()}
    old = {name: torch.ones_like(value) for name, value in learner.start.items()}
    for value in learner.importance(tiny_stream().view(0), old).values():
        torch.testing.assert_close(value, torch.full_like(value, 0.0 if clamp else 1 - 3 / 0.75))


def test_the_path_counts_the_whole_move_with_the_loss_gradient_alone(learn: Learn) -> None:
    """Of a step whose gradient is the penalty's only, omega is 0."""
    learner = make(SI, **FAST, reg=2.0, loss_scale=1e-20)
    learn(learner, tiny_stream(), 1)
    held = learner.held()
    learner.path = {name: torch.zeros_like(value) for name, value in held.items()}
    name = "head.blocks.0.weight"
    learner.anchors.terms[0]["weights"][name].fill_(3.0)
    held[name].data.add_(0.25)
    held[name].grad = torch.full_like(held[name], 2 * 2.0 * 3.0 * 0.25)
    step = Step(0, 0, 1, 1, torch.optim.SGD(held.values(), lr=0.1))
    learner._before_step(step)
    step.optimizer.step()
    learner._after_step(step)
    assert float(learner.path[name].abs().max()) < 1e-6 and not learner._step
    held[name].grad = 1.0 + 2 * 2.0 * 3.0 * 0.25 * torch.ones_like(
        held[name]
    )  # now the loss has a gradient of 1, up to the move away from the anchor
    learner._before_step(step)
    before, gradient = learner._step[name]
    step.optimizer.step()
    learner._after_step(step)
    torch.testing.assert_close(learner.path[name], -gradient * (held[name].detach() - before))


def test_nothing_but_omega_and_anchors_is_kept_between_tasks(learn: Learn) -> None:
    learner = make(SI, **FAST)
    sizes = learn(learner, tiny_stream(), 2, lambda s, v: s.stored()["statistics"])
    parameters = 4 * sum(value.numel() for value in learner.held().values())
    assert sizes[1] == 2 * parameters and learner.path == {} and learner.start == {}
