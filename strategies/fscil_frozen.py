"""Frozen class means: the network learns the first task, and every class is the mean of its features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.parts.heads import CosineHead, class_means, closeness
from cl.protocol import TaskSize, Work
from cl.strategy import (
    RECIPES,
    Batch,
    Inputs,
    MultiStep,
    Needs,
    Source,
    Strategy,
    StreamInfo,
    View,
    option,
    scales,
    sgd,
)


class FSCILFrozen(Strategy):
    """The first task trains the network with a cosine classifier; later tasks only add the means of their classes.

    Name: Frozen class means
    Paper: Roy, Park, Fahrezi, Etemad. A Bag of Tricks for Few-Shot Class-Incremental Learning. arXiv 2403.14392 (2024),
        whose baseline ("incremental-frozen") this is. The constants are those of Zhang, Song, Lin, Zheng, Pan, Xu.
        Few-Shot Incremental Learning with Continually Evolved Classifiers. CVPR 2021, arXiv 2104.03047 (CEC).
    Family: few-shot
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: in the first task the network and a cosine classifier, which is then dropped; later, nothing.
    Stores: the weights and one mean per class.
    Cost: one forward pass per image and task.
    Differences from the paper: we found no code of Roy et al. Defaults are those of the pre-training of CEC's code
        (modes `ft_cos` and `avg_cos`). CEC keeps the epoch that is best on the test images of the first task; here it
        is the last. Its classifier for the first task has columns for all classes and cuts them; here it has none for
        later ones. Crops are padded by reflection.
    """

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(100, "epochs on the first task", ge=1)
        batch_size: int = option(128, "images per step", ge=1)
        lr: float = option(0.1, "learning rate of network and classifier (SGD)", gt=0, search=scales.log(3e-4, 0.3))
        momentum: float = option(0.9, "SGD momentum", ge=0, lt=1)
        nesterov: bool = option(True, "Nesterov's momentum; it needs a momentum above 0")
        weight_decay: float = option(5e-4, "weight decay", ge=0)
        milestones: tuple[int, ...] = option((60, 70), "epochs at which the learning rate is multiplied by gamma", ge=0)
        gamma: float = option(0.1, "factor of the learning rate at a milestone", gt=0)
        augment: str = option("crop-flip", "augmentation of training images", choices=tuple(RECIPES))
        scale: float = option(16.0, "factor of the cosines in the cross-entropy", gt=0)
        distance: str = option("cosine", "distance to the class means", choices=("cosine", "euclidean"))

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(adapts="its network", batch_size=options.batch_size, batches="first")

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found, later = super().work(options, task), task.number > 0
        first = replace(found, trained=0 if later else found.trained, steps=0 if later else found.steps)
        return replace(first, encoded=task.images, lasting=True, known="declared")

    def setup(self, info: StreamInfo) -> None:
        head = CosineHead(self.backbone.dim, info.classes_per_task[0], self.init_rng("head"))
        self.head: CosineHead | None = head.to(self.device)
        self.prototypes = torch.empty(0, self.backbone.dim, device=self.device)

    def learn(self, view: View) -> None:
        if view.task == 0:
            self.train_network(view)
            self.head = None  # the class means take its place
        else:
            self.adapt(view)
        self.compute("prototypes", lambda: self._remember(view))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return closeness(inputs.encode(self.backbone), self.prototypes, self.options.distance)

    @property
    def ready(self) -> bool:
        return len(self.prototypes) > 0

    def train_network(self, view: View) -> None:
        """Train the network and what `trained` gives on the first task."""
        o = self.options
        self.fit(
            "network",
            self.data(view),
            self.objective,
            [*self.backbone.parameters(), *self.trained()],
            epochs=o.epochs,
            optimizer=sgd(o.lr, o.momentum, o.weight_decay, o.nesterov and o.momentum > 0),
            schedule=MultiStep(o.milestones, o.gamma),
        )

    def adapt(self, view: View) -> None:
        """What a later task changes before its means are taken: nothing."""

    # ----------------------------------------------------------------------------------------------- the first task

    def data(self, view: View) -> Source:
        """The batches of the first task."""
        return self.batches(view.train, self.options.batch_size, self.options.augment)

    def trained(self) -> Iterable[nn.Parameter]:
        """What is trained beside the network."""
        return [] if self.head is None else [self.head.weight]

    def objective(self, batch: Batch) -> Tensor:
        """Cross-entropy of scaled cosines."""
        assert self.head is not None
        return F.cross_entropy(self.options.scale * self.head(self.backbone(batch.x)), batch.y)

    # ---------------------------------------------------------------------------------------------------- class means

    def _remember(self, view: View) -> None:
        self.prototypes = torch.cat([self.prototypes, self._means(view)])

    def _means(self, view: View) -> Tensor:
        return class_means(self.encode(view.train), view.train.labels, view.classes)
