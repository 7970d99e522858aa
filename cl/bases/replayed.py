"""Fine-tuning on new and remembered images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cl.bases.fine_tuning import FineTuning
from cl.parts.memory import POLICIES, Memory, ReplayBatches
from cl.strategy import ImageSet, Needs, Source, StreamInfo, TaskSize, UsageError, View, Work, option
from cl.training.encodings import BLOCK


class Replayed(FineTuning):
    """Fine-tuning whose batches also contain images of earlier tasks, if `memory_size` is above 0."""

    @dataclass(frozen=True)
    class Options(FineTuning.Options):
        memory_size: int = option(0, "number of images of earlier tasks kept for replay; 0: none", ge=0)
        memory_policy: str = option("reservoir", "how the kept images are chosen", choices=POLICIES)
        replay_batch_size: int = option(0, "replayed images added to each batch; 0: as many as new ones", ge=0)

    @classmethod
    def needs(cls, options: Any) -> Needs:
        needs = super().needs(options)
        return replace(needs, batches="unreplayed") if options.memory_size else needs

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found = super().work(options, task)
        if not options.memory_size:
            return found
        added = options.replay_batch_size / options.batch_size if options.replay_batch_size else 1
        kept = min(options.memory_size, task.earlier + task.images)
        return replace(found * (1 + added if task.earlier else 1), kept_images=kept)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        o = self.options
        if o.memory_size and o.loss.endswith("local"):
            raise UsageError(
                f"loss={o.loss} cannot use remembered images: their classes are not the task's; choose loss=global or "
                "loss=bce, or memory_size=0."
            )
        self.memory = Memory(o.memory_size, o.memory_policy) if o.memory_size else None

    def learn(self, view: View) -> None:
        super().learn(view)
        self.compute("after the task", lambda: self.remember(view))

    def remember(self, view: View) -> None:
        """Keep what the next task needs; subclasses add their statistics."""
        if self.memory is not None:
            self.memory.add(view.train, self.rng("memory"), self._herding(self.memory, view))

    def _herding(self, memory: Memory, view: View) -> Tensor | None:
        """Features for herding, None for other policies. If a class returns, the held images' features come first."""
        if memory.policy != "herding":
            return None
        new = self.encode(view.train)
        returns = bool(torch.isin(memory.labels, view.train.labels).any())
        return torch.cat([self._encoded(memory).to(new.device), new]) if returns else new

    def _data(self, images: list[ImageSet]) -> Source:
        source, memory = super()._data(images), self.memory
        if memory is None or not len(memory):
            return source
        features = None
        if self._memoised:
            features = self.compute("encode the memory", lambda: self._encoded(memory)).to(self.device)
        return ReplayBatches(
            source, memory, self.options.replay_batch_size, self.backbone.transform,
            augment=self.options.augment, device=self.device, features=features,
        )  # fmt: skip

    @torch.no_grad()
    def _encoded(self, memory: Memory) -> Tensor:
        """Features of remembered images. Their pixels are copies, so the cache of encodings does not have them."""
        self.backbone.eval()
        transform = self.backbone.transform
        return torch.cat([self.backbone(transform(part.to(self.device))) for part in memory.pixels.split(BLOCK)])
