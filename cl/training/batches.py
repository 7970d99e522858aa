"""Data sources of a fit: each gives the batches of an epoch, reproducibly and from any step on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import torch
from torch import Tensor

from cl.backbone.devices import ahead, to_device
from cl.backbone.transform import Transform
from cl.errors import UsageError
from cl.training.policies import augmented, check_augmentation

if TYPE_CHECKING:
    from cl.stream import ImageSet

Rng = Callable[..., torch.Generator]
"""`rng(*key)` gives the generator of a named stream; the fit adds task, phase and epoch to the key."""


@dataclass(frozen=True)
class Batch:
    """One mini-batch on the device: `x` is images [B, 3, s, s] or features [B, d]; `y` positions [B].

    `rows` [B] are indices of the items in their source; remembered images have negative indices, from the end of the
    memory. `rows` is None if items are redrawn each time. `tags` is bool [B, classes of the task] where an image may
    have several classes (see `ImageSet.tags`), else None.
    """

    x: Tensor
    y: Tensor
    rows: Tensor | None = None
    tags: Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)


class Source(Protocol):
    """A data source of `fit`: images, encodings, samples of Gaussians, images mixed with a memory."""

    @property
    def steps(self) -> int:
        """Mini-batches per epoch."""
        ...

    def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
        """Batches `start`, `start + 1`, ... of an epoch; a batch does not depend on `start`."""
        ...


def tags_of(sets: Sequence[ImageSet]) -> Tensor | None:
    """The tags of sets of one task, bool [N, classes]; None if their images have one class each.

    Raises `UsageError` for sets of several tasks, whose classes differ: no batch can hold both.
    """
    found = [getattr(images, "tags", None) for images in sets]  # images in a memory have none
    tables = [tags for tags in found if tags is not None]
    if not tables:
        return None
    if len(tables) < len(found) or len({tags.shape[1] for tags in tables}) > 1:
        raise UsageError("Images that may have several classes share no batch with those of another task.")
    return torch.cat(tables)


def without_single(source: Source) -> Source:
    """The source with a last batch of one item merged into the batch before; a fit that trains batch norms uses it.

    A source with a method `without_single` returns such a source itself. Other sources are returned unchanged.
    """
    own = getattr(source, "without_single", None)
    merged: Source = source if own is None else own()
    return merged


Same = TypeVar("Same", bound="_Shuffled")


class _Shuffled:
    """Shuffled mini-batches over `count` items; the last batch may be smaller."""

    def __init__(self, count: int, size: int, *, drop_last: bool = False) -> None:
        self.count, self.size, self.drop_last = count, size, drop_last
        self.merges = False

    @property
    def steps(self) -> int:
        whole, rest = divmod(self.count, self.size)
        left_out = whole and (self.drop_last or (self.merges and rest == 1))
        return whole if left_out or not rest else whole + 1

    def without_single(self: Same) -> Same:
        """The same batches, but a last batch of one item is part of the batch before."""
        merged = copy.copy(self)
        merged.merges = True
        return merged

    def _indices(self, rng: Rng, start: int) -> Iterator[tuple[int, Tensor]]:
        order = torch.randperm(self.count, generator=rng("order"))
        steps, merges = self.steps, self.merges and not self.drop_last
        for step in range(start, steps):
            end = self.count if merges and step == steps - 1 else (step + 1) * self.size
            yield step, order[step * self.size : end]


class ImageBatches(_Shuffled):
    """Shuffled, augmented and normalised images of one or more image sets."""

    def __init__(
        self,
        sets: list[ImageSet],
        size: int,
        transform: Transform,
        *,
        augment: str = "none",
        device: torch.device | str = "cpu",
        drop_last: bool = False,
    ) -> None:
        super().__init__(sum(len(images) for images in sets), size, drop_last=drop_last)
        check_augmentation(augment)
        self.sets, self.transform, self.augment, self.device = sets, transform, augment, torch.device(device)
        self.labels = torch.cat([images.labels for images in sets])
        self.tags = tags_of(sets)
        ends = torch.tensor([len(images) for images in sets]).cumsum(0)
        self.starts = torch.cat([torch.zeros(1, dtype=torch.long), ends[:-1]])

    def _pixels(self, index: Tensor) -> Tensor:
        if len(self.sets) == 1:
            return self.sets[0].pixels(index)
        which = torch.searchsorted(self.starts, index, right=True) - 1
        parts = [self.sets[i].pixels(index[which == i] - self.starts[i]) for i in which.unique().tolist()]
        place = torch.argsort(which, stable=True)
        pixels = torch.cat(parts)
        return pixels[torch.argsort(place)]

    def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
        more = [] if self.tags is None else [self.tags]
        chosen = (
            (self._pixels(index), self.labels[index], index, *(table[index] for table in more))
            for _, index in self._indices(rng, start)
        )
        for step, (pixels, labels, rows, *tags) in enumerate(ahead(chosen, self.device), start):
            x = augmented(pixels, self.augment, self.transform, rng("augment", step))
            yield Batch(x, labels, rows, *tags)


class TensorBatches(_Shuffled):
    """Shuffled rows of features [N, d] with labels [N], already on the device (memoised encodings).

    `tags` are those of the images, see `Batch`.
    """

    def __init__(self, x: Tensor, y: Tensor, size: int, *, drop_last: bool = False, tags: Tensor | None = None) -> None:
        super().__init__(len(y), size, drop_last=drop_last)
        self.x, self.y = x, y.to(x.device)
        self.tags = None if tags is None else tags.to(x.device)
        self.flops_per_item = 0.0
        """FLOPs to compute one row if nothing were memoised."""

    def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
        for _, index in self._indices(rng, start):
            index = to_device(index, self.x.device)
            yield Batch(self.x[index], self.y[index], index, None if self.tags is None else self.tags[index])
