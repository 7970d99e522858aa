"""One pass over a stream without knowledge of tasks, with step sizes that only fall: Hard ASH and pairwise layers."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.parts.accumulated import KINDS, Accumulated, AccumulatedStep
from cl.strategy import RECIPES, SETTINGS, Batch, Inputs, Needs, Strategy, StreamInfo, View, option, scales


class Accumulating(Strategy):
    """Backbone and a head over all classes of the stream, trained by cross-entropy; a subclass makes the head.

    The sums that divide the steps (Adagrad, S-MAS) are never reset, and nothing else is kept of earlier tasks.
    """

    rules = ("cil_seen", "cil_all", "til_masked")
    settings = SETTINGS

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(1, "epochs per task", ge=1)
        batch_size: int = option(64, "images per step", ge=1)
        optimizer: str = option("adagrad", "what the steps are divided by", choices=KINDS)
        lr: float = option(1e-4, "learning rate", gt=0, search=scales.log(1e-5, 1e-2))
        decay: float = option(0.8, "factor of what is added to the sums in a step", gt=0)
        augment: str = option("none", "augmentation of training images", choices=tuple(RECIPES))

    head: nn.Module

    @classmethod
    def needs(cls, options: Options) -> Needs:
        return Needs(batch_size=options.batch_size)

    def setup(self, info: StreamInfo) -> None:
        self.sums = Accumulated()
        self._sensitive: dict[str, Tensor] = {}

    def logits(self, features: Tensor) -> Tensor:
        """Logits [B, classes] of all classes of the stream."""
        found: Tensor = self.head(features)
        return found

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.logits(inputs.encode(self.extractor()))

    def learn(self, view: View) -> None:
        o, named = self.options, self._named()

        def loss(batch: Batch) -> Tensor:
            logits = self.logits(self.backbone(batch.x))
            if o.optimizer == "s-mas" and torch.is_grad_enabled():
                self._sensitive = _sensitivities(logits, named)
            return F.cross_entropy(logits, batch.y)

        self.fit(
            "train", self.batches(view.train, o.batch_size, o.augment), loss,
            [{"params": list(named.values()), "tensors": list(named), "lr": o.lr}], epochs=o.epochs,
            optimizer=functools.partial(
                AccumulatedStep, sums=self.sums, kind=o.optimizer, lr=o.lr, decay=o.decay,
                sensitivity=lambda: self._sensitive,
            ),
        )  # fmt: skip
        self._sensitive = {}

    def _named(self) -> dict[str, nn.Parameter]:
        tuned = {f"backbone.{name}": value for name, value in self.backbone.model.named_parameters()}
        return tuned | {f"head.{name}": value for name, value in self.head.named_parameters()}


def _sensitivities(logits: Tensor, named: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """The gradient of the mean squared logit of a batch, without labels."""
    values = torch.autograd.grad(logits.square().mean(), list(named.values()), retain_graph=True, allow_unused=True)
    pairs = zip(named.items(), values, strict=True)
    return {name: torch.zeros_like(held) if value is None else value for (name, held), value in pairs}
