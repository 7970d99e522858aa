"""A linear head on frozen features whose gradients are projected, so that answers to earlier images stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cl.bases.fine_tuning import FineTuning
from cl.parts.heads import GrowingHead
from cl.strategy import RECIPES, SETTINGS, Step, StreamInfo, option


class Projected(FineTuning):
    """SGD on a head W [C, d] without bias; subclasses say by what linear map a gradient is changed before each step.

    New rows start at 0. Momentum and schedules keep a step within the span of projected gradients; weight decay and
    adaptive rates would not, so there are none.
    """

    settings = SETTINGS

    @dataclass(frozen=True)
    class Options(FineTuning.Options):
        epochs: int = option(20, "epochs per task", ge=1)
        trains: str = option("head", "train the head only", choices=("head",))
        loss: str = option(
            "global", "softmax over the task's classes (local), or over all classes seen", choices=("local", "global")
        )
        optimizer: str = option("sgd", "optimiser, fresh for every task", choices=("sgd",))
        momentum: float = option(0.0, "SGD momentum", ge=0, lt=1)
        weight_decay: float = option(0.0, "none: its step is not projected", ge=0, le=0)
        augment: str = option(
            "none", "augmentation of training images; 'none': features are memoised", choices=tuple(RECIPES)
        )
        head_init: str = option("zero", "initialisation of new head rows", choices=("zero",))

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.head = GrowingHead(self.backbone.dim, bias=False, init=self.options.head_init).to(self.device)

    def project(self, gradient: Tensor) -> Tensor:
        """The gradient [C, d] that the optimiser gets, for the gradient of the loss."""
        raise NotImplementedError

    def fit(self, *arguments: Any, **more: Any) -> dict[str, Any]:
        return super().fit(*arguments, before_step=self._before_step, **more)

    @torch.no_grad()
    def _before_step(self, step: Step) -> None:
        weights = [block.weight for block in self.head.blocks]
        gradient = torch.cat([torch.zeros_like(w) if w.grad is None else w.grad for w in weights])
        for weight, own in zip(weights, self.project(gradient).split([len(w) for w in weights]), strict=True):
            weight.grad = own.to(weight.dtype)
