"""EASE: an expandable ensemble of subspaces, one per task, classified by prototypes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.attached import Adapters, AdapterSets
from cl.parts.heads import CosineHead, SubspacePrototypes, class_means, cosines
from cl.strategy import (
    RECIPES,
    Batch,
    Cosine,
    Inputs,
    Needs,
    Strategy,
    StreamInfo,
    TaskSize,
    View,
    Work,
    option,
    scales,
)
from cl.training.optim import OPTIMIZERS, optimizer


class EASE(Strategy):
    """Each task trains a new set of adapters, which defines a subspace; each class has a prototype in every subspace.

    Name: EASE
    Paper: Zhou, Sun, Ye, Zhan. Expandable Subspace Ensemble for Pre-Trained Model-Based Class-Incremental Learning.
        CVPR 2024, arXiv 2403.12030.
    Family: adapters
    Networks: vit
    Gradients: parts
    Trains: the task's adapters (rank 64 in ViT-B: 1.19 million parameters) and a cosine head over its classes, which is
        dropped afterwards; the backbone and earlier adapters are frozen.
    Stores: the adapters of every task, and a prototype per class and task (3 KB for ViT-B); no images.
    Cost: T forward passes per test image, each computed once per run; training images pass through all sets once.
    Differences from the paper: none known in the method. The task of each class is stored, so tasks may have unequal
        sizes; the code computes the task from the first two sizes. The code's separate learning rate and epochs after a
        large first task (`later_*`) are not options, nor is its mode for OmniBenchmark, which is APER with an adapter.
        The presets of CUB-200 and ObjectNet have other values for weights fine-tuned on ImageNet-1k, as the code.
    """

    one_network = False

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(20, "epochs per task", ge=1)
        batch_size: int = option(48, "images per step", ge=1)
        lr: float = option(0.025, "learning rate of adapters and temporary head", gt=0, search=scales.log(1e-3, 1.0))
        optimizer: str = option("sgd", "optimiser, fresh for every task", choices=OPTIMIZERS, unlisted=True)
        momentum: float = option(0.9, "SGD momentum", ge=0, lt=1)
        weight_decay: float = option(5e-4, "weight decay of all trained parameters", ge=0)
        augment: str = option("rrc05-flip", "augmentation of training images", choices=tuple(RECIPES))
        rank: int = option(64, "width of the adapters' bottlenecks", ge=1)
        alpha: float = option(
            0.1, "total weight of all subspaces other than a class's own", ge=0, search=scales.log(1e-3, 1.0)
        )
        beta: float = option(0.0, "weight of the backbone's features without adapters; 0: not used", ge=0)
        recalculate: bool = option(True, "after every task, estimate old classes in all later subspaces again")

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(compares="its softmax over the classes of a task")

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found, sets = super().work(options, task), task.number + 1
        plain = int(options.beta > 0)
        return replace(
            found, trained=0, tuned=found.trained, encoded=sets * task.images, looked_up=plain * task.images,
            test_passes=sets, lasting=True, test_lookups=plain, known="declared",
        )  # fmt: skip

    def setup(self, info: StreamInfo) -> None:
        self.sets = AdapterSets(self._fresh())
        self.prototypes = SubspacePrototypes(self.backbone.dim, self.device)
        self.plain = torch.empty(0, self.backbone.dim, device=self.device)  # prototypes without adapters
        self.head: CosineHead | None = None  # exists only while a task is trained

    def learn(self, view: View) -> None:
        self.sets.store(self._fresh())
        self.head = CosineHead(self.backbone.dim, len(view.classes), self.init_rng("head")).to(self.device)
        self._adapt(view, self.sets[-1], self.head)
        self.head = None
        self.compute("prototypes", lambda: self._add_prototypes(view))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        o = self.options
        features = [inputs.encode(adapters.extractor(self.backbone, lasting=True)) for adapters in self.sets.sets]
        scores = self.prototypes.scores(torch.stack(features, 1), o.alpha)
        return scores + o.beta * cosines(inputs.encode(self.backbone), self.plain) if o.beta else scores

    @property
    def ready(self) -> bool:
        return len(self.prototypes) > 0

    def _fresh(self) -> Adapters:
        return Adapters(self.backbone, self.options.rank, self.init_rng("adapters"))

    def _adapt(self, view: View, adapters: Adapters, head: CosineHead) -> None:
        """Step 1: cross-entropy over the new classes."""
        o, first = self.options, view.classes[0]

        def loss(batch: Batch) -> Tensor:
            return F.cross_entropy(head(adapters(self.backbone, batch.x)), batch.y - first)

        self.fit(
            "adapters",
            self.batches(view.train, o.batch_size, o.augment),
            loss,
            [*adapters.parameters(), *head.parameters()],
            epochs=o.epochs,
            optimizer=optimizer(o.optimizer, o.lr, o.weight_decay, o.momentum),
            schedule=Cosine(),
        )

    def _add_prototypes(self, view: View) -> None:
        """Steps 3 and 4: means of the new classes in every subspace; estimates of old classes in the new subspace."""
        labels, classes = view.train.labels, view.classes
        extractors = [adapters.extractor(self.backbone) for adapters in self.sets.sets]  # not used again later
        means = [class_means(self.encode(view.train, extractor), labels, classes) for extractor in extractors]
        self.prototypes.add(torch.stack(means, 1), recalculate=self.options.recalculate)
        if self.options.beta:
            self.plain = torch.cat([self.plain, class_means(self.encode(view.train), labels, classes)])
