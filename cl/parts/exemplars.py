"""Exemplars: a memory bounded as a whole or per class, updated by tasks or by steps, and batches that join it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.backbone.devices import to_device
from cl.errors import ContractError, UsageError
from cl.parts.memory import Memory, ReplayBatches
from cl.training.batches import Batch, Rng, without_single

if TYPE_CHECKING:
    from cl.stream import ImageSet

ABSENT = -5.0
"""Score of a class without an exemplar: below the least score of any other class, -4."""


class Exemplars(Memory):
    """A `Memory` that can hold `per_class` images of every class, and `width` numbers beside each image.

    With `per_class` above 0 the memory grows with the classes and `size` is not used. Otherwise `size` is divided among
    the classes seen, see `cl.parts.memory.quotas`. If `size` is smaller than the number of classes, the first classes
    hold one image each and later ones none. The numbers of an image, such as logits, are NaN where none were given.
    """

    def __init__(self, size: int, policy: str = "herding", *, per_class: int = 0, width: int = 0) -> None:
        if per_class and policy == "reservoir":
            raise ContractError("a reservoir has no bound per class; choose policy 'balanced' or 'herding'.")
        super().__init__(size, policy)
        self.per_class = per_class
        self.values = torch.empty(0, width)

    def add(
        self, images: ImageSet, generator: torch.Generator, features: Tensor | None = None, values: Tensor | None = None
    ) -> None:
        """As `Memory.add`; `values` [N, width or fewer] are the numbers of the new images.

        A reservoir is written in place, so the cost of a step does not depend on its size.
        """
        new = torch.full((len(images), self.values.shape[1]), torch.nan)
        if values is not None:
            new[:, : values.shape[1]] = values.detach().float().cpu()
        if self.policy == "reservoir":
            self._replace(images, new, generator)
            return
        place = self._herded(images.labels, features) if self.policy == "herding" else None
        if place is None:
            place = self._balanced(images.labels, generator)
        held, fresh = place[place < len(self)], place[place >= len(self)] - len(self)
        self._hold(images, new, held, fresh)
        self.seen += len(images)

    def _hold(self, images: ImageSet, values: Tensor, held: Tensor, fresh: Tensor) -> None:
        """Keep the images `held` and the new images `fresh`, with their numbers."""
        pixels = images.pixels(fresh)
        self.pixels = torch.cat([self.pixels[held], pixels]) if len(self) else pixels
        self.labels = torch.cat([self.labels[held], images.labels[fresh]])
        self.values = torch.cat([self.values[held], values[fresh]])

    def _replace(self, images: ImageSet, values: Tensor, generator: torch.Generator) -> None:
        """Algorithm R (see `Memory`), without a copy of the images that stay."""
        order = torch.arange(self.seen, self.seen + len(images))
        drawn = (torch.rand(len(images), generator=generator, dtype=torch.float64) * (order + 1)).long()
        slots = torch.where(order < self.size, order, drawn)
        self.seen += len(images)
        last = {slot: index for index, slot in enumerate(slots.tolist()) if slot < self.size}  # a later image wins
        if not last:
            return
        slot, index = torch.tensor(sorted(last.items())).T
        room = slot < len(self)
        if (~room).any():
            self._hold(images, values, torch.arange(len(self)), index[~room])
        slot, index = slot[room], index[room]
        if len(slot):
            self.pixels[slot], self.labels[slot] = images.pixels(index), images.labels[index]
            self.values[slot] = values[index]

    def _candidates(self, labels: Tensor) -> Iterator[tuple[Tensor, int]]:
        if not self.per_class:
            yield from super()._candidates(labels)
            return
        labels = torch.cat([self.labels, labels])
        for label in labels.unique():
            yield (labels == label).nonzero().flatten(), self.per_class

    def subset(self, index: Tensor | None = None) -> Held:
        """The images, or those at `index`, as a set for batches."""
        return Held(self, torch.arange(len(self)) if index is None else index)

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "values": self.values}

    def set_state(self, value: dict[str, Any]) -> None:
        super().set_state({**value, "pixels": value["pixels"].clone(), "labels": value["labels"].clone()})
        self.values = value["values"].cpu().clone()  # written in place


class Held:
    """Remembered images in the form of an image set: labels, and pixels by index. `index` are their places."""

    def __init__(self, memory: Exemplars, index: Tensor) -> None:
        self._memory, self.index = memory, index
        self.labels = memory.labels[index]

    def __len__(self) -> int:
        return len(self.labels)

    def pixels(self, index: Tensor) -> Tensor:
        """uint8 [B, C, h, w]."""
        return self._memory.pixels[self.index[index]]

    @property
    def values(self) -> Tensor:
        """The numbers beside the images, [N, width]."""
        return self._memory.values[self.index]


class Unpictured:
    """The labels of an image set, and pixels of no size: a memory that is offered it holds no image."""

    def __init__(self, images: ImageSet) -> None:
        self.labels = images.labels

    def __len__(self) -> int:
        return len(self.labels)

    def pixels(self, index: Tensor) -> Tensor:
        """uint8 [B, 0, 0, 0]."""
        return torch.empty(len(index), 0, 0, 0, dtype=torch.uint8)


def kept_as(memory_of: str, images: ImageSet) -> ImageSet:
    """What a memory of `images`, or of `features` alone, is offered."""
    return images if memory_of == "images" else cast("ImageSet", Unpictured(images))


def check_kept_as(memory_of: str, unchanging: bool) -> None:
    """Raises `UsageError` for features alone, `memory_of=features`, if training changes them."""
    if memory_of == "features" and not unchanging:
        raise UsageError(
            "memory_of=features needs features that never change; set trains=head and augment=none, or "
            "memory_of=images."
        )


class Draws(ReplayBatches):
    """As `ReplayBatches`, with `draws` independent samples of the memory after each batch; none while it is empty.

    The memory may change between steps: a batch is drawn when the step before it is done. If `source` gives features,
    those of remembered images are the first `width` numbers beside them.
    """

    memory: Exemplars

    def __init__(self, *arguments: Any, draws: int = 1, width: int = 0, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.draws, self.width = draws, width

    def without_single(self) -> Draws:
        """The same with a last batch of one new image joined to the batch before it."""
        joined = copy.copy(self)
        joined.source = without_single(self.source)
        return joined

    def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
        for step, batch in enumerate(self.source.epoch(epoch, rng, start), start):
            if not len(self.memory):
                yield batch
                continue
            size, drawn = self.size or len(batch), rng("replay", step)
            place = torch.cat([self.memory.sample(size, drawn) for _ in range(self.draws)])
            x = self._x(place, rng("replay augment", step))
            labels = torch.cat([batch.y, to_device(self.memory.labels[place], self.device)])
            assert batch.rows is not None
            rows = torch.cat([batch.rows, to_device(place - len(self.memory), batch.rows.device)])
            yield Batch(torch.cat([batch.x, x]), labels, rows)

    def _x(self, place: Tensor, generator: torch.Generator) -> Tensor:
        if self.width:
            return to_device(self.memory.values[place, : self.width], self.device)
        return super()._x(place, generator)


def hold_out(labels: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Places of the images to train on, and of `count` images of each class held out; one of a class always trains."""
    order = torch.randperm(len(labels), generator=generator)
    order = order[labels[order].argsort(stable=True)]
    _, sizes = labels.unique(return_counts=True)
    rank = torch.arange(len(labels)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    out = rank < (sizes - 1).clamp(max=count).repeat_interleave(sizes)
    return order[~out].sort().values, order[out].sort().values


def exemplar_means(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Means of normalised features per class, normalised, float32 [classes, d]; zero for a class without exemplars."""
    labels = labels.to(features.device)
    total = torch.zeros(classes, features.shape[1], dtype=torch.float64, device=features.device)
    total.index_add_(0, labels, F.normalize(features.double(), dim=1))
    return F.normalize(total, dim=1).float()


def nearest_mean(features: Tensor, means: Tensor) -> Tensor:
    """iCaRL's scores [B, C]: minus the squared distance of normalised features to the means of exemplars.

    They are in [-4, 0]; a class whose mean is zero, because it has no exemplar, gets `ABSENT`.
    """
    scores = 2 * (F.normalize(features) @ means.to(features.dtype).T) - 2
    return scores.masked_fill((means == 0).all(1), ABSENT)
