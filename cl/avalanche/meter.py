"""A plugin that gives Avalanche's training loop the bookkeeping of `Strategy.fit`."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from cl.errors import NonFiniteLoss
from cl.training.cost import FlopCounter
from cl.training.trainer import Trainer

SYNC_EVERY = 20
"""Steps between checks of the loss on an accelerator."""


class Meter:
    """Augments each batch, counts FLOPs, shows progress, and raises `NonFiniteLoss` if training diverges.

    FLOPs are counted once per batch shape and multiplied. Avalanche's work after the last step of a task (importances,
    exemplars, class means) is counted directly. Use it in a `with` statement, as the first plugin.
    """

    def __init__(self, trainer: Trainer, model: nn.Module, prepare: Callable[[Tensor], Tensor] | None = None) -> None:
        self._trainer, self._model, self._prepare = trainer, model, prepare
        self._flops: dict[tuple[int, ...], float] = {}
        self._counter: Any = None
        self._stack = ExitStack()
        self._step = 0
        trainer.trains(parameter for parameter in model.parameters() if parameter.requires_grad)

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._counter is not None:
            self._trainer.cost.add_flops(self._stop())

    def _start(self) -> None:
        self._counter = self._stack.enter_context(FlopCounter())

    def _stop(self) -> float:
        counter, self._counter = self._counter, None
        self._stack.close()
        return float(counter.total)

    # ------------------------------------------------------------------------------- what Avalanche calls

    def before_training_epoch(self, strategy: Any, **_: Any) -> None:
        if self._step == 0:
            self._trainer.observer.phase("avalanche", strategy.train_epochs * len(strategy.dataloader))

    def before_training_iteration(self, strategy: Any, **_: Any) -> None:
        if self._prepare is not None:
            strategy.mbatch[0] = self._prepare(strategy.mb_x)
        if tuple(strategy.mb_x.shape) not in self._flops:
            self._start()

    def after_training_iteration(self, strategy: Any, **_: Any) -> None:
        shape = tuple(strategy.mb_x.shape)
        if self._counter is not None:
            self._flops[shape] = self._stop()
        self._trainer.cost.add_flops(self._flops[shape])
        shown = None
        if strategy.device.type == "cpu" or self._step % SYNC_EVERY == 0:
            shown = float(strategy.loss.detach())
            if strategy.optimizer is not None and not math.isfinite(shown):
                raise self._diverged(f"the loss became {shown}", f"step {self._step}")
        self._step += 1
        self._trainer.observer.advance(len(strategy.mb_x), shown)

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self._model.parameters()):
            raise self._diverged("the weights became nan or infinite", "the last step")
        self._start()

    def _diverged(self, what: str, where: str) -> NonFiniteLoss:
        return NonFiniteLoss(
            f"{what} in task {self._trainer.journal.task}, Avalanche's training, {where}; lower the learning rate (for "
            "example --set lr=...) and run again. What was learned in the tasks before is kept."
        )
