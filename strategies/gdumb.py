"""GDumb: keep a balanced memory, and train a new network on it alone after every task."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.bases.joined import Joined
from cl.bases.replayed import Replayed
from cl.parts.mixing import drawn_cutmix
from cl.strategy import (
    SCHEDULES,
    SETTINGS,
    Batch,
    StreamInfo,
    TaskSize,
    UsageError,
    View,
    Work,
    option,
    scales,
    schedule,
)
from cl.training.optim import WarmRestarts, optimizer


class GDumb(Joined):
    """Greedy sampler and dumb learner: after each task a new network is trained on a balanced memory alone.

    Name: GDumb
    Paper: Prabhu, Torr, Dokania. GDumb: A Simple Approach that Questions Our Progress in Continual Learning. ECCV 2020.
        Published: 45.4 % on CIFAR-10 with 500 images and a ResNet-18 from scratch (README of its authors).
    Family: replay
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Images: kept
    Trains: after each task the backbone, from its pretrained (or random) weights, and a new linear head, on remembered
        images only, by the cross-entropy over all classes seen. The rate is a tenth of `lr` in the first epoch, then
        falls by half cosines to `min_lr` over 1, 2, 4, ... epochs (SGDR). In half of the steps a box of each image is
        replaced by that of another, and the loss mixes both labels by area (CutMix). Gradients are clipped to norm 10.
    Stores: `memory_size` images as bytes, equally many of each class seen; the model.
    Cost: `epochs` passes over the memory after each task; one forward pass per test image.
    Differences from the paper: its sampler keeps the first images of a class, and drops random ones of the largest
        class for a new class; here random ones are kept, which is the same in a shuffled stream. The paper trains when
        an answer is wanted; here after each task. Rates, loss and CutMix were compared with aimagelab/mammoth@e75a491,
        which trains once, after the last task, and does not clip; drimpossible/GDumb@4f412d7 clips.
    """

    settings = SETTINGS

    @dataclass(frozen=True)
    class Options(Joined.Options):
        epochs: int = option(256, "epochs on the memory after each task", ge=1)
        batch_size: int = option(16, "images per step", ge=1)
        lr: float = option(0.05, "highest learning rate", gt=0, search=scales.log(3e-4, 0.3))
        min_lr: float = option(5e-4, "lowest learning rate of schedule=restarts", ge=0)
        weight_decay: float = option(1e-6, "weight decay of all trained parameters", ge=0)
        schedule: str = option("restarts", "learning-rate schedule", choices=("restarts", *SCHEDULES))
        memory_policy: str = option("balanced", "random images of each class", choices=("balanced",))
        cutmix: float = option(1.0, "CutMix, whose areas are drawn from Beta(cutmix, cutmix); 0: none", ge=0)
        cutmix_share: float = option(0.5, "share of the steps with CutMix", ge=0, le=1)
        clip: float = option(10.0, "upper bound of the gradient norm; 0: none", ge=0)

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        classes = task.earlier_classes + task.classes
        kept = min(options.memory_per_class * classes or options.memory_size, task.earlier + task.images)
        return replace(super(Replayed, cls).work(options, replace(task, images=kept)), kept_images=kept)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        if self.options.cutmix and self._memoised:
            raise UsageError("gdumb cannot mix images whose features are memoised; set cutmix=0, or another augment.")
        if self.tuned():
            self.backbone.keep_pretrained()

    def learn(self, view: View) -> None:
        o = self.options
        self.compute("sample", lambda: self.remember(view))
        self.backbone.reset()
        del self.head.blocks[:]
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        restarts = WarmRestarts(min(o.min_lr / o.lr, 1.0))
        self.fit(
            "train",
            self._data([]),
            lambda batch: self.objective(batch, view.classes),
            self._groups(),
            epochs=o.epochs,
            optimizer=optimizer(o.optimizer, o.lr, o.weight_decay, o.momentum),
            schedule=restarts if o.schedule == "restarts" else schedule(o.schedule, o.milestones, o.gamma),
            clip=o.clip or None,
        )

    def objective(self, batch: Batch, classes: tuple[int, ...]) -> Tensor:
        o, drawn = self.options, self.rng("cutmix")
        if not o.cutmix or float(torch.rand(1, generator=drawn)) >= o.cutmix_share:
            return F.cross_entropy(self.head(self._features(batch)), batch.y)
        x, order, share = drawn_cutmix(batch.x, o.cutmix, drawn)
        logits = self.head(self._features(Batch(x, batch.y)))
        return share * F.cross_entropy(logits, batch.y) + (1 - share) * F.cross_entropy(logits, batch.y[order])
