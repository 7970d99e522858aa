"""Batches of meta-learning: images of few classes one after another, other images of them, images of all classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cl.backbone.devices import ahead
from cl.backbone.transform import Transform
from cl.stream import ImageSet
from cl.training.batches import Batch, Rng, TensorBatches


@dataclass(frozen=True)
class Layout:
    """The images of a meta step; a trajectory has `steps` images of each of its classes, class after class."""

    trajectories: int
    classes: int
    """Classes of a trajectory; all trajectories of a step have different classes."""
    steps: int
    others: int
    """Other images of each class of a trajectory."""
    random: int
    """Images of all classes; every trajectory of the step uses the same."""

    @property
    def drawn(self) -> int:
        """Classes that the trajectories of a step need."""
        return self.trajectories * self.classes

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features or labels of a batch: trajectories [T, classes * steps, ...], their other images, and the rest."""
        first, second = self.drawn * self.steps, self.drawn * (self.steps + self.others)
        parts = (x[:first], self.classes * self.steps), (x[first:second], self.classes * self.others)
        one, two = (part.reshape(self.trajectories, size, *part.shape[1:]) for part, size in parts)
        return one, two, x[second:]

    def classes_of(self, labels: Tensor) -> Tensor:
        """The classes of all trajectories, by the labels of a batch."""
        return self.split(labels)[1].reshape(self.drawn, self.others)[:, 0]


class Trajectories:
    """`count` meta steps of an epoch: classes, images of them and random images are drawn for each step.

    Classes with fewer images than a trajectory takes are in no trajectory. `halves`: trajectories are of the second
    half of the classes, random images of the first. `candidates` are the classes that can be in a trajectory.
    """

    def __init__(
        self, images: ImageSet, layout: Layout, count: int, transform: Transform, device: torch.device | str, *,
        halves: bool = False,
    ) -> None:  # fmt: skip
        self.images, self.layout, self.steps = images, layout, count
        self.transform, self.device = transform, torch.device(device)
        self.labels = images.labels
        classes = self.labels.unique().tolist()
        own = classes[len(classes) // 2 :] if halves else classes
        rows = {label: (self.labels == label).nonzero().squeeze(1) for label in classes}
        self.rows = {label: rows[label] for label in own if len(rows[label]) >= layout.steps + layout.others}
        self.candidates = list(self.rows)
        self.pool = torch.cat([rows[label] for label in classes if not halves or label not in own])

    def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
        indices = (self.draw(rng("step", step)) for step in range(start, self.steps))
        chosen = ((self.images.pixels(index), self.labels[index], index) for index in indices)
        for pixels, labels, rows in ahead(chosen, self.device):
            yield Batch(self.transform(pixels), labels, rows)

    def draw(self, rng: torch.Generator) -> Tensor:
        """Positions of the images of one step, in the order of `Layout.split`."""
        shape, trajectories, others = self.layout, [], []
        for place in torch.randperm(len(self.candidates), generator=rng)[: shape.drawn].tolist():
            rows = self.rows[self.candidates[place]]
            rows = rows[torch.randperm(len(rows), generator=rng)]
            trajectories.append(rows[: shape.steps])
            others.append(rows[shape.steps : shape.steps + shape.others])
        random = self.pool[torch.randperm(len(self.pool), generator=rng)[: shape.random]]
        return torch.cat([*trajectories, *others, random])


class InSequence(TensorBatches):
    """Features in a given order, one per batch."""

    def __init__(self, source: TensorBatches, order: Tensor) -> None:
        order = order.to(source.x.device)
        super().__init__(source.x[order], source.y[order], 1)
        self.flops_per_item = source.flops_per_item

    def _indices(self, rng: Rng, start: int) -> Iterator[tuple[int, Tensor]]:
        for step in range(start, self.steps):
            yield step, torch.tensor([step])
