"""Images kept from earlier tasks, and batches that mix them with new images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.backbone.devices import to_device
from cl.backbone.transform import Transform
from cl.errors import ContractError
from cl.training.augment import augment as augmented
from cl.training.augment import recipe
from cl.training.batches import Batch, Rng, Source

if TYPE_CHECKING:
    from cl.stream import ImageSet

POLICIES = ("reservoir", "balanced", "herding")
"""A uniform sample of all images seen; equally many images per class at random; equally many chosen as in iCaRL."""


class Memory:
    """Up to `size` images: `pixels` uint8 [N, C, H, W] and position `labels` int64 [N], copies in main memory.

    "reservoir" is algorithm R (Vitter 1985): after `seen` images, each is held with probability size / seen. "balanced"
    gives every class the same quota (see `quotas`) and draws which of its images stay; dropped images never come back.
    "herding" has the same quotas, keeps the images that `herded` ranks first and drops the last ones (iCaRL, Rebuffi et
    al. 2017).
    """

    stores = "samples"

    def __init__(self, size: int, policy: str = "reservoir") -> None:
        self.size, self.policy, self.seen = size, policy, 0
        self.pixels = torch.empty(0, 0, 0, 0, dtype=torch.uint8)
        self.labels = torch.empty(0, dtype=torch.long)

    def __len__(self) -> int:
        return len(self.labels)

    def resize(self, size: int) -> None:
        """Set the size, effective at the next `add`; for a memory that grows with the classes."""
        self.size = size

    def add(self, images: ImageSet, generator: torch.Generator, features: Tensor | None = None) -> None:
        """Offer new images, each once; `generator` draws which new and which held images stay.

        "herding" chooses by `features` instead: of the new images [N, d], or, if the memory already holds some of their
        classes, of the held images followed by the new ones [held + N, d]. Raises `ContractError` without them.
        """
        if self.policy == "herding":
            place = self._herded(images.labels, features)
        else:
            choose = self._reservoir if self.policy == "reservoir" else self._balanced
            place = choose(images.labels, generator)
        held, new = place[place < len(self)], place[place >= len(self)] - len(self)
        pixels = images.pixels(new)
        self.pixels = torch.cat([self.pixels[held], pixels]) if len(self) else pixels
        self.labels = torch.cat([self.labels[held], images.labels[new]])
        self.seen += len(images)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Indices [count] of remembered images; repeats only if the memory holds fewer than `count`."""
        if count > len(self):
            return torch.randint(len(self), (count,), generator=generator)
        return torch.randperm(len(self), generator=generator)[:count]

    def _reservoir(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Indices of the images to keep, among the held images followed by the new ones."""
        order = torch.arange(self.seen, self.seen + len(labels))
        drawn = (torch.rand(len(labels), generator=generator, dtype=torch.float64) * (order + 1)).long()
        slots = torch.where(order < self.size, order, drawn)
        kept = dict(enumerate(range(len(self))))
        for index in (slots < self.size).nonzero().flatten().tolist():
            kept[int(slots[index])] = len(self) + index
        return torch.tensor(list(kept.values()), dtype=torch.long)

    def _balanced(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """As `_reservoir`."""
        kept = [torch.empty(0, dtype=torch.long)]
        for place, quota in self._candidates(labels):
            kept.append(place[torch.randperm(len(place), generator=generator)[:quota]])
        return torch.cat(kept)

    def _herded(self, labels: Tensor, features: Tensor | None) -> Tensor:
        """As `_reservoir`. A class without new images keeps its first held images, which are sorted by their rank."""
        held, all_of = len(self), len(self) + len(labels)
        given = 0 if features is None else len(features)
        if features is None or given not in (len(labels), all_of):
            raise ContractError(f"herding takes a feature per image, {len(labels)} or {all_of} with those held.")
        kept = [torch.empty(0, dtype=torch.long)]
        for place, quota in self._candidates(labels):
            if bool((place >= held).any()):
                rows = place - (all_of - given)  # rows of `features`; negative if those of held images are missing
                if int(rows.min()) < 0:
                    raise ContractError("a class that returns needs the features of the images held, before the new.")
                place = place[herded(features[rows.to(features.device)], quota).cpu()]
            kept.append(place[:quota])
        return torch.cat(kept)

    def _candidates(self, labels: Tensor) -> Iterator[tuple[Tensor, int]]:
        """For each class the indices of its images, as in `_reservoir`, and its quota."""
        labels = torch.cat([self.labels, labels])
        classes, counts = labels.unique(return_counts=True)
        for label, quota in zip(classes, quotas(counts.tolist(), self.size), strict=True):
            yield (labels == label).nonzero().flatten(), quota

    def get_state(self) -> dict[str, Any]:
        return {"pixels": self.pixels, "labels": self.labels, "seen": self.seen}

    def set_state(self, value: dict[str, Any]) -> None:
        self.pixels, self.labels, self.seen = value["pixels"].cpu(), value["labels"].cpu(), value["seen"]


def quotas(available: list[int], size: int) -> list[int]:
    """Images per class in a memory of `size`: equal up to the number available, the remainder to the first classes."""
    level = 0
    while level < max(available) and sum(min(most, level + 1) for most in available) <= size:
        level += 1
    given = [min(most, level) for most in available]
    rest = size - sum(given)
    for i, most in enumerate(available):
        if most > level and rest:
            given[i], rest = level + 1, rest - 1
    return given


@torch.no_grad()
def herded(features: Tensor, count: int) -> Tensor:
    """Rows [count] of features [N, d], chosen one by one to bring their mean nearest to the mean of all rows.

    Means are of normalised features; the lower row wins a tie. The first k rows are thus the choice for count = k.
    """
    each = F.normalize(features.double(), dim=1)
    mean, total = each.mean(0), each.new_zeros(each.shape[1])
    free = torch.ones(len(each), dtype=torch.bool, device=each.device)
    chosen: list[int] = []
    for number in range(1, min(count, len(each)) + 1):
        distance = (mean - (total + each) / number).square().sum(1)
        chosen.append(int(torch.where(free, distance, torch.inf).argmin()))
        free[chosen[-1]] = False
        total = total + each[chosen[-1]]
    return torch.tensor(chosen, dtype=torch.long, device=each.device)


class ReplayBatches:
    """The batches of `source`, each followed by `size` remembered images (0: as many as the batch has).

    Remembered images are augmented like new ones, with separate draws, so a memory does not change the images of
    `source`. `features` [N, d] are used in place of the remembered images if `source` gives features.
    """

    def __init__(
        self,
        source: Source,
        memory: Memory,
        size: int,
        transform: Transform,
        *,
        augment: str = "none",
        device: torch.device | str = "cpu",
        features: Tensor | None = None,
    ) -> None:
        recipe(augment)
        self.source, self.memory, self.size, self.transform = source, memory, size, transform
        self.augment, self.device, self.features = augment, torch.device(device), features
        self.flops_per_item: float = getattr(source, "flops_per_item", 0.0)

    @property
    def steps(self) -> int:
        return self.source.steps

    def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
        for step, batch in enumerate(self.source.epoch(epoch, rng, start), start):
            place = self.memory.sample(self.size or len(batch), rng("replay", step))
            x = self._x(place, rng("replay augment", step))
            labels = torch.cat([batch.y, to_device(self.memory.labels[place], self.device)])
            rows = None
            if batch.rows is not None:
                rows = torch.cat([batch.rows, to_device(place - len(self.memory), self.device)])
            yield Batch(torch.cat([batch.x, x]), labels, rows)

    def _x(self, place: Tensor, generator: torch.Generator) -> Tensor:
        if self.features is not None:
            return self.features[to_device(place, self.features.device)]
        return augmented(to_device(self.memory.pixels[place], self.device), self.augment, self.transform, generator)
