"""Training on images of a memory like on new ones: iCaRL, BiC and WA, beside the model before the task; GDumb."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.bases.fine_tuning import FineTuning
from cl.bases.replayed import Replayed
from cl.parts.exemplars import Exemplars, Held, check_kept_as, kept_as
from cl.parts.losses import softened_cross_entropy
from cl.parts.weights import Teacher
from cl.protocol import TaskSize, Work
from cl.strategy import DISJOINT, Batch, ImageBatches, ImageSet, Needs, Source, StreamInfo, TensorBatches, View, option
from cl.training.encodings import BLOCK


class Joined(Replayed):
    """Fine-tuning on shuffled batches of new images and exemplars: every image once per epoch."""

    settings: ClassVar[tuple[str, ...]] = DISJOINT
    interpolates = False

    @dataclass(frozen=True)
    class Options(FineTuning.Options):
        loss: str = option("global", "softmax over all classes seen", choices=("global",))
        memory_size: int = option(
            2000, "exemplars in total, divided among the classes seen; fewer than classes: one for each of the first",
            ge=1,
        )  # fmt: skip
        memory_per_class: int = option(0, "exemplars of each class in place of memory_size; 0: use memory_size", ge=0)
        memory_policy: str = option(
            "herding", "which images become exemplars: by herding, or at random", choices=("herding", "balanced")
        )
        memory_of: str = option(
            "images", "keep images, or only their features if these never change (trains=head, augment=none)",
            choices=("images", "features"),
        )  # fmt: skip

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return super(Replayed, cls).needs(options)  # exemplars are shuffled in, so a last batch may hold one image

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        kept = options.memory_per_class * task.earlier_classes or options.memory_size
        old, now = min(kept, task.earlier), min(max(kept, 1), task.earlier + task.images)
        found = super(Replayed, cls).work(options, replace(task, images=task.images + old))
        herds = options.memory_policy == "herding" and options.trains != "head"
        return replace(found, kept_images=now, encoded=found.encoded + (task.images if herds else 0))

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        o = self.options
        check_kept_as(o.memory_of, self._memoised)
        width = self.backbone.dim if o.memory_of == "features" else 0
        self.memory: Exemplars = Exemplars(o.memory_size, o.memory_policy, per_class=o.memory_per_class, width=width)

    def remember(self, view: View) -> None:
        chosen_by, values = self._herding(self.memory, view), None
        if self.options.memory_of == "features":
            values = self.encode(view.train) if chosen_by is None else chosen_by
        self.memory.add(kept_as(self.options.memory_of, view.train), self.rng("memory"), chosen_by, values)

    def exemplars(self) -> Held:
        """The exemplars to train on."""
        return self.memory.subset()

    @torch.no_grad()
    def features_of(self, images: Held) -> Tensor:
        """Features [N, dim] of exemplars without augmentation; not memoised, because their pixels are copies."""
        if self.options.memory_of == "features":
            return images.values.to(self.device)
        self.backbone.eval()
        blocks = torch.arange(len(images)).split(BLOCK)
        return torch.cat([self.backbone(self.backbone.transform(images.pixels(i).to(self.device))) for i in blocks])

    def _data(self, images: list[ImageSet]) -> Source:
        """Batches of new images and exemplars; `images` may be empty."""
        old, size = self.exemplars(), self.options.batch_size
        if not len(old):
            return FineTuning._data(self, images)
        if not self._memoised:
            sets: list[Any] = [*images, old]
            return ImageBatches(sets, size, self.backbone.transform, augment=self.options.augment, device=self.device)
        features = self.compute("encode the memory", lambda: self.features_of(old)).to(self.device)
        labels = torch.cat([*(each.labels for each in images), old.labels])
        joined = TensorBatches(
            torch.cat([*(self.encode(each, charge=False) for each in images), features]), labels, size
        )
        joined.flops_per_item = self.flops_per_image(images[0]) if images else 0.0
        return joined


class Taught(Joined):
    """With a copy of the model, which teaches the next task the classes before it."""

    @dataclass(frozen=True)
    class Options(Joined.Options):
        temperature: float = option(2.0, "temperature of the distillation", gt=0)

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found = super().work(options, task)
        return found + Work(encoded=found.trained) if task.number else found

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.teacher = Teacher(self.backbone.dim).to(self.device)

    def remember(self, view: View) -> None:
        super().remember(view)
        self.teacher.copy_from(self.backbone, self.head, self.tuned())

    def taught(self, batch: Batch, features: Tensor) -> Tensor | None:
        """Logits [B, old] of the model before the task on the same images; None in the first task."""
        if not self.teacher.classes:
            return None
        if not self.tuned():  # a frozen backbone gives the teacher's features as well
            return self.teacher.head(features)
        return self.teacher(self.backbone, batch.x)[1]

    def shared_out(self, logits: Tensor, labels: Tensor, taught: Tensor | None) -> Tensor:
        """(1 - r) cross-entropy + r distillation, where r is the share of old classes, as in BiC and WA."""
        loss = F.cross_entropy(logits, labels)
        if taught is None:
            return loss
        share = taught.shape[1] / logits.shape[1]
        return (1 - share) * loss + share * softened_cross_entropy(logits, taught, self.options.temperature)
