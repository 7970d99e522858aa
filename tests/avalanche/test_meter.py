"""The plugin that counts, shows and guards Avalanche's training."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.avalanche.meter import Meter
from cl.errors import NonFiniteLoss
from cl.progress.base import Observer
from cl.training.trainer import Trainer

FORWARD = 2 * 3 * 5
"""FLOPs of one image through the layer."""


class Watching(Observer):
    def __init__(self) -> None:
        self.told: list[Any] = []

    def phase(self, name: str, total_steps: int, done: int = 0) -> None:
        self.told.append((name, total_steps))

    def advance(self, n: int = 1, loss: float | None = None) -> None:
        self.told.append((n, loss))


def training(model: nn.Module, *sizes: int) -> Any:
    """Avalanche's strategy object, as far as a plugin sees it: one epoch over batches of these sizes."""
    batches = [torch.ones(size, 3) for size in sizes]
    return SimpleNamespace(
        train_epochs=1, dataloader=batches, device=torch.device("cpu"), optimizer=object(), loss=torch.tensor(0.5),
        mbatch=[None], mb_x=None, model=model,
    )  # fmt: skip


def trained(meter: Meter, strategy: Any) -> None:
    """The calls that Avalanche makes during one task."""
    meter.before_training_epoch(strategy)
    for batch in strategy.dataloader:
        strategy.mbatch, strategy.mb_x = [batch], batch
        meter.before_training_iteration(strategy)
        strategy.model(strategy.mbatch[0])
        meter.after_training_iteration(strategy)
    meter.after_training_exp(strategy)


def test_flops_are_counted_once_per_shape_and_charged_for_every_step() -> None:
    model, trainer = nn.Linear(3, 5), Trainer(observer=Watching())
    with Meter(trainer, model) as meter:
        trained(meter, training(model, 4, 4, 4, 2))
        assert trainer.cost.flops["executed"] == 14 * FORWARD
        assert set(meter._flops) == {(4, 3), (2, 3)}
    assert trainer.cost.trainable == 3 * 5 + 5


def test_what_follows_the_last_step_is_charged_when_the_task_ends() -> None:
    model, trainer = nn.Linear(3, 5), Trainer()
    with Meter(trainer, model) as meter:
        trained(meter, training(model, 4))
        model(torch.ones(7, 3))  # importances, exemplars, class means
        assert trainer.cost.flops["executed"] == 4 * FORWARD
    assert trainer.cost.flops["executed"] == 11 * FORWARD


def test_the_observer_sees_the_phase_and_the_loss_of_every_step() -> None:
    watching, model = Watching(), nn.Linear(3, 5)
    with Meter(Trainer(observer=watching), model) as meter:
        trained(meter, training(model, 4, 2))
    assert watching.told == [("avalanche", 2), (4, 0.5), (2, 0.5)]


def test_batches_are_prepared_before_the_step() -> None:
    model, strategy, seen = nn.Identity(), training(nn.Identity(), 2), []

    def double(x: Tensor) -> Tensor:
        return 2 * x

    strategy.model = lambda x: seen.append(x)
    with Meter(Trainer(), model, double) as meter:
        trained(meter, strategy)
    assert torch.equal(seen[0], 2 * torch.ones(2, 3))


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_training(loss: float) -> None:
    model = nn.Linear(3, 5)
    strategy = training(model, 4)
    strategy.loss = torch.tensor(loss)
    trainer = Trainer()
    trainer.journal.begin(2)
    said = f"the loss became {loss} in task 2, .* step 0; lower the learning rate"
    with pytest.raises(NonFiniteLoss, match=said), Meter(trainer, model) as meter:
        trained(meter, strategy)


def test_weights_that_are_not_finite_end_the_training() -> None:
    model = nn.Linear(3, 5)
    with torch.no_grad():
        model.bias[0] = math.inf
    with pytest.raises(NonFiniteLoss, match="the weights became nan or infinite"), Meter(Trainer(), model) as meter:
        trained(meter, training(model, 4))
