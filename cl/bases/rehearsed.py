"""Replay from a reservoir that is filled while a task is learned: DER, ER-ACE, A-GEM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from cl.backbone.batch_norms import has_batch_norms
from cl.bases.fine_tuning import FineTuning
from cl.bases.replayed import Replayed
from cl.parts.exemplars import Draws, Exemplars, check_kept_as, kept_as
from cl.protocol import TaskSize, Work
from cl.strategy import SETTINGS, Batch, ImageSet, Needs, Source, Step, StreamInfo, View, option, schedule
from cl.training.optim import optimizer


class Rehearsed(Replayed):
    """Fine-tuning whose steps see new images and samples of a reservoir; subclasses set the objective.

    The reservoir is offered the batch of each step after it (`memory_update=step`), or each image once after the task.
    """

    settings: ClassVar[tuple[str, ...]] = SETTINGS
    keeps_logits: ClassVar[bool] = False
    """Whether the memory keeps the logits of an image beside it."""

    @dataclass(frozen=True)
    class Options(FineTuning.Options):
        loss: str = option("global", "softmax over all classes seen", choices=("global",))
        memory_size: int = option(500, "number of images of earlier tasks kept for replay", ge=1)
        memory_update: str = option(
            "step", "offer the memory each batch after its step, in every epoch; or each image once after the task",
            choices=("step", "task"),
        )  # fmt: skip
        replay_batch_size: int = option(0, "images in a sample of the memory; 0: as many as new ones", ge=0)
        memory_of: str = option(
            "images", "keep images, or only their features if these never change (trains=head, augment=none)",
            choices=("images", "features"),
        )  # fmt: skip

    @classmethod
    def needs(cls, options: Any) -> Needs:
        needs = super(Replayed, cls).needs(options)  # with batch norms each part of a batch needs two images
        return replace(needs, batch_size=min(needs.batch_size, options.replay_batch_size or needs.batch_size))

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found = super(Replayed, cls).work(options, task)
        added = options.replay_batch_size / options.batch_size if options.replay_batch_size else 1
        replays = task.earlier or options.memory_update == "step"
        kept = min(options.memory_size, task.earlier + task.images)
        return replace(found * (1 + added if replays else 1), kept_images=kept)

    def setup(self, info: StreamInfo) -> None:
        FineTuning.setup(self, info)
        check_kept_as(self.options.memory_of, self._memoised)
        self._width = self.backbone.dim if self._memoised else 0  # features beside each image, if they never change
        width = self._width + (info.n_classes if self.keeps_logits else 0)
        self.memory: Exemplars = Exemplars(self.options.memory_size, "reservoir", width=width)
        self._offered: tuple[Tensor, Tensor] | None = None
        self._replays = True

    @property
    def samples(self) -> int:
        """Independent samples of the memory per step."""
        return 1

    def replays(self, view: View) -> bool:
        """Whether the steps of a task get samples of the memory."""
        return True

    def learn(self, view: View) -> None:
        self._replays = self.replays(view)
        super().learn(view)
        self._offered = None

    def remember(self, view: View) -> None:
        if self.options.memory_update == "task":
            values = None
            if self.memory.values.shape[1]:
                features = self.encode(view.train)
                values = self._values(features, self.head(features))
            self.memory.add(kept_as(self.options.memory_of, view.train), self.rng("memory"), values=values)

    def _values(self, features: Tensor, logits: Tensor) -> Tensor:
        """What the memory keeps beside images."""
        return torch.cat([features[:, : self._width], logits if self.keeps_logits else logits[:, :0]], 1)

    def parts(self, batch: Batch) -> list[Batch]:
        """The new images of a batch, then the samples of the memory; the new images alone while it is empty."""
        if not self._replays or not len(self.memory):
            return [batch]
        size = self.options.replay_batch_size or len(batch) // (1 + self.samples)
        sizes = [len(batch) - self.samples * size, *[size] * self.samples]
        assert batch.rows is not None
        return [
            Batch(*part)
            for part in zip(batch.x.split(sizes), batch.y.split(sizes), batch.rows.split(sizes), strict=True)
        ]

    def outputs(self, parts: list[Batch]) -> list[Tensor]:
        """Logits of each part; in one pass, unless batch norms would mix the statistics of the parts."""
        if not self._memoised and has_batch_norms([self.backbone]):
            logits = [self.head(self._features(part)) for part in parts]
        else:
            joined = Batch(torch.cat([part.x for part in parts]), torch.cat([part.y for part in parts]))
            logits = list(self.head(self._features(joined)).split([len(part) for part in parts]))
        assert parts[0].rows is not None
        self._offered = parts[0].rows, self._values(parts[0].x.flatten(1), logits[0].detach())
        return logits

    def logits_kept(self, part: Batch) -> Tensor:
        """The logits beside the images of a sample, [B, classes seen]; NaN where a class had no column yet."""
        assert part.rows is not None
        kept = self.memory.values[part.rows.cpu()][:, self._width : self._width + self.head.classes]
        return kept.to(self.device)

    def before_step(self, step: Step) -> None:
        """Called between backward and the optimiser's step."""

    def _offer(self, images: ImageSet, step: Step) -> None:
        assert self._offered is not None
        rows, logits = self._offered
        offered = kept_as(self.options.memory_of, images.subset(rows.cpu()))
        self.memory.add(offered, self.rng("memory"), values=logits)

    def _train(self, images: list[ImageSet], classes: tuple[int, ...], seen: int) -> None:
        o = self.options
        self.head.grow_to(seen, self.init_rng("head"))
        self.fit(
            "train",
            self._data(images),
            lambda batch: self.objective(batch, classes),
            self._groups(),
            epochs=o.epochs,
            optimizer=optimizer(o.optimizer, o.lr, o.weight_decay, o.momentum),
            schedule=schedule(o.schedule, o.milestones, o.gamma),
            before_step=self.before_step,
            after_step=partial(self._offer, images[0]) if o.memory_update == "step" else None,
        )

    def _data(self, images: list[ImageSet]) -> Source:
        new = FineTuning._data(self, images)
        return new if not self._replays else Draws(
            new, self.memory, self.options.replay_batch_size, self.backbone.transform,
            augment=self.options.augment, device=self.device, draws=self.samples, width=self._width,
        )  # fmt: skip
