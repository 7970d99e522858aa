"""Soft masks: 1 for the weights with the largest scores (major), a number drawn from U(0, 1) for the others (minor)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cl.backbone import Backbone
from cl.parts.weights.masks import Scores
from cl.training.batches import Batch, Rng, Source, without_single


class SoftScores(Scores):
    """Scores with soft masks; the minor values are buffers, so `fit` saves them with the best state."""

    def __init__(
        self,
        backbone: Backbone,
        generator: torch.Generator,
        names: Sequence[str] | None = None,
        *,
        gradient: str = "score",
    ) -> None:
        super().__init__(backbone, generator, names)
        self.gradient = gradient
        for i, scores in enumerate(self.values):
            self.register_buffer(f"minor{i}", torch.zeros_like(scores))

    def redraw(self, generator: torch.Generator | None) -> None:
        """Draw a minor value for every weight; without a generator all are 0, and the masks are hard."""
        for i, scores in enumerate(self.values):
            minor = self.get_buffer(f"minor{i}")
            minor.zero_() if generator is None else minor.copy_(torch.rand(scores.shape, generator=generator))

    def choose(self, share: float) -> list[Tensor]:
        """Choose the major weights by the current scores; returns soft masks with straight-through gradients."""
        chosen = super().choose(share)
        return [hard + self._minor(i) for i, hard in enumerate(chosen)]

    def soft(self) -> list[Tensor]:
        """The masks chosen last: exactly 1 for major weights, values in [0, 1) for minor ones."""
        return [mask + self._minor(i) for i, mask in enumerate(self.masks)]

    def _minor(self, layer: int) -> Tensor:
        return self.get_buffer(f"minor{layer}").masked_fill(self.masks[layer], 0)


class FixedMasks:
    """Masks that no longer change, one per layer; empty at first."""

    stores = "parameters"

    def __init__(self) -> None:
        self.values: list[Tensor] = []

    def get_state(self) -> list[Tensor]:
        return self.values

    def set_state(self, state: list[Tensor]) -> None:
        device = self.values[0].device if self.values else None
        self.values = [value.to(device) if device else value for value in state]


class Redrawn:
    """The batches of `source`; soft masks get new minor values before each epoch or each step (`every`).

    Before epoch `soft_from` the masks are hard; infinity keeps them hard.
    """

    def __init__(self, source: Source, scores: SoftScores, *, every: str = "epoch", soft_from: float = 0) -> None:
        self.source, self.scores, self.every, self.soft_from = source, scores, every, soft_from
        self.flops_per_item: float = getattr(source, "flops_per_item", 0.0)

    @property
    def steps(self) -> int:
        return self.source.steps

    def without_single(self) -> Redrawn:
        """The same for a source whose last batch of one item is part of the batch before."""
        return Redrawn(without_single(self.source), self.scores, every=self.every, soft_from=self.soft_from)

    def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
        soft = epoch >= self.soft_from
        self.scores.redraw(rng("soft mask") if soft else None)
        for step, batch in enumerate(self.source.epoch(epoch, rng, start), start):
            if soft and self.every == "step":
                self.scores.redraw(rng("soft mask", step))
            yield batch
