"""The inner loop: steps, hooks, selection, and losses that are not finite."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.errors import ContractError, NonFiniteLoss, UsageError
from cl.training.batches import Batch, TensorBatches
from cl.training.optim import MultiStep, Plateau, adam, sgd
from tests.help.probe import X, Y, probe, weights


def test_fit_equals_a_bare_loop_with_the_same_draws() -> None:
    learner, bare = probe(), probe()
    learner.train(epochs=3, optimizer=adam(0.01), schedule=MultiStep((2,), 0.5))
    trainer = bare.trainer
    from cl.training.generators import generator, seed_globals

    seed_globals(trainer.seeds.data, "fit", 0, "a", 1)
    optim = torch.optim.Adam(bare.layer.parameters(), lr=0.01, foreach=True)
    bare.layer.train()
    for epoch in range(3):
        optim.param_groups[0]["lr"] = 0.01 * (0.5 if epoch >= 2 else 1)
        order = torch.randperm(40, generator=generator(trainer.seeds.data, "fit", 0, "a", 1, epoch, "order"))
        for start in range(0, 40, 8):
            index = order[start : start + 8]
            optim.zero_grad()
            bare.loss(Batch(X[index], Y[index])).backward()
            optim.step()
    assert torch.equal(weights(learner), weights(bare))


def test_an_extra_phase_does_not_change_the_draws_of_the_others() -> None:
    one, two = probe(), probe()
    one.train("main")
    two.fit("extra", TensorBatches(X, Y, 8), lambda b: two.spare(two.layer(b.x)).sum() * 0, two.spare.parameters(),
            epochs=1, optimizer=sgd(0.1))  # fmt: skip
    torch.rand(7)
    two.rng("something").initial_seed()
    two.train("main")
    assert torch.equal(weights(one), weights(two))


def test_only_the_given_parameters_move_and_all_are_frozen_afterwards() -> None:
    learner = probe()
    spare = learner.spare.weight.detach().clone()
    modes: set[tuple[bool, bool]] = set()

    def loss(batch: Batch) -> Tensor:
        modes.add((learner.layer.training, learner.spare.training))
        return learner.loss(batch)

    learner.train(loss=loss)
    assert modes == {(True, False)}, "modules that train are in training mode, frozen ones are not"
    assert torch.equal(spare, learner.spare.weight)
    assert not any(p.requires_grad for m in (learner.layer, learner.spare) for p in m.parameters())
    assert not learner.layer.training


def test_parameters_outside_the_state_are_refused() -> None:
    learner, stranger = probe(), nn.Linear(3, 2)
    with pytest.raises(ContractError, match=r"would train a parameter of shape \(2, 3\) that the strategy's state"):
        learner.train(params=stranger.parameters())
    with pytest.raises(ContractError, match="no parameters"):
        learner.train(params=[])


def test_the_best_state_is_restored() -> None:
    learner, seen = probe(), []
    scores = iter([0.1, 0.9, 0.3, 0.2])

    def validate() -> float:
        seen.append((weights(learner), learner.layer.training))
        return next(scores)

    result = learner.train(epochs=4, validate=validate, select="best")
    assert result["best_epoch"] == 1 and torch.equal(weights(learner), seen[1][0])
    assert not any(training for _, training in seen), "validation runs in evaluation mode"


def test_plateau_scales_the_rate_and_stops() -> None:
    learner, rates = probe(), []
    build = sgd(0.1)

    def watched(groups: Any) -> torch.optim.Optimizer:
        optim = build(groups)
        rates.append(optim)
        return optim

    result = learner.train(epochs=50, optimizer=watched, validate=lambda: 0.0, plateau=Plateau(0.5, 2, 0.04))
    # improves at epoch 0; 3 stale epochs halve 0.1 to 0.05, 3 more to 0.025 < 0.04
    assert result["epochs"] == 7 and rates[0].param_groups[0]["lr"] == pytest.approx(0.05)


def test_best_without_validation_is_refused() -> None:
    with pytest.raises(UsageError, match="needs validate"):
        probe().train(select="best")


def test_nan_names_the_place_and_the_fix() -> None:
    learner = probe()
    with pytest.raises(NonFiniteLoss, match=r"the loss became nan in task 0, fit 'a', epoch 0, step 0; lower"):
        learner.train(loss=lambda b: learner.loss(b) * math.nan)
    fresh = probe()
    with pytest.raises(NonFiniteLoss, match=r"the weights became nan or infinite in task 0, fit 'b', last step; lower"):
        fresh.fit("b", TensorBatches(X, Y, 40), fresh.loss, fresh.layer.parameters(), epochs=1, optimizer=sgd(math.inf))


def test_finite_weights_with_an_infinite_sum_are_accepted() -> None:
    learner = probe()
    linear: Any = learner.layer[1]
    linear.weight = nn.Parameter(torch.full((2, 3), 3e38))
    assert not torch.isfinite(linear.weight.sum())
    result = learner.train(loss=lambda batch: 0 * linear.bias.sum(), epochs=1)
    assert result["loss"] == [0.0]


def test_a_validation_score_that_is_not_finite_ends_the_fit() -> None:
    with pytest.raises(NonFiniteLoss, match="the validation score became nan in task 0, fit 'a', epoch 0"):
        probe().train(validate=lambda: math.nan, select="best")


def test_gradient_clipping_and_hooks_run_in_order() -> None:
    learner, calls = probe(), []
    learner.train(
        epochs=1,
        optimizer=sgd(1.0, momentum=0),
        clip=1e-3,
        before_step=lambda when: calls.append(("before", when.step, weights(learner))),
        after_step=lambda when: calls.append(("after", when.step, weights(learner))),
    )
    assert [(name, step) for name, step, _ in calls[:4]] == [("before", 0), ("after", 0), ("before", 1), ("after", 1)]
    assert (calls[1][2] - calls[0][2]).norm() == pytest.approx(1e-3, rel=1e-3)


def test_flops_of_a_step_are_counted_once_per_run_and_shape() -> None:
    learner, counted = probe(), []
    own_flops = learner.trainer.cost.own_flops

    def counting(call: Any) -> Any:
        counted.append(1)
        return own_flops(call)

    learner.trainer.cost.own_flops = counting  # type: ignore[method-assign]
    step = 6 * 8 * 3 * 2 - 2 * 8 * 3 * 2  # forward pass and gradients of the weights; the images need none
    first = learner.train(epochs=2)
    assert len(counted) == 1 and first["flops"] == 10 * step
    learner.trainer.journal.begin(1)
    assert learner.train(epochs=1)["flops"] == 5 * step and len(counted) == 1
    bias = [learner.layer[1].bias]
    assert learner.train(epochs=1, params=bias)["flops"] < 5 * step and len(counted) == 2
    assert learner.fit("b", TensorBatches(X, Y, 7), loss=learner.loss, params=learner.layer.parameters(), epochs=1,
                       optimizer=sgd(0.1))["flops"] == 5 * step  # fmt: skip
    assert len(counted) == 4  # another phase, with batches of 7 and of 5


def test_fits_of_other_parameters_with_equal_shapes_are_counted_apart() -> None:
    learner = probe()
    learner.layer = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2))
    first = learner.train(epochs=1, params=learner.layer[0].parameters())["flops"]
    learner.trainer.journal.begin(1)
    second = learner.train(epochs=1, params=learner.layer[1].parameters())["flops"]
    assert first - second == 5 * 2 * 8 * 3 * 3  # the gradient that reaches the first layer


def test_validations_are_counted_in_each_fit() -> None:
    learner = probe()

    def validated(images: int) -> float:
        before = learner.trainer.cost.flops["executed"]
        steps = learner.train(epochs=2, validate=lambda: float(learner.layer(X[:images]).detach().sum()))["flops"]
        learner.trainer.journal.begin(learner.trainer.journal.task + 1)
        return learner.trainer.cost.flops["executed"] - before - steps

    assert validated(20) == 2 * 2 * 20 * 3 * 2 and validated(5) == 2 * 2 * 5 * 3 * 2
