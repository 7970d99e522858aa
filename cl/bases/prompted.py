"""Prompting a frozen backbone, task by task: the common part of L2P, DualPrompt and CODA-Prompt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from cl.parts.heads import GrowingHead
from cl.parts.losses import local_cross_entropy
from cl.protocol import TaskSize, Work
from cl.strategy import RECIPES, SCHEDULES, Batch, Inputs, Needs, Strategy, StreamInfo, View, option, scales, schedule
from cl.training.optim import OPTIMIZERS, optimizer

HEAD_INIT = "initialisation of new head rows; linear: weights and bias as in nn.Linear, kaiming: bias 0"
HEAD_INITS = ("trunc_normal", "linear", "kaiming", "zero")


class Prompted(Strategy):
    """A frozen backbone, prompts and one growing linear head.

    The query of an image is its feature in the backbone without prompts. Subclasses choose an image's prompts by its
    query, and may add terms to the loss.
    """

    one_network = False

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(5, "epochs per task", ge=1)
        batch_size: int = option(16, "images per step", ge=1)
        optimizer: str = option("adam", "optimiser, fresh for every task", choices=OPTIMIZERS)
        lr: float = option(0.001875, "learning rate of prompts, keys and head", gt=0, search=scales.log(1e-4, 1e-1))
        weight_decay: float = option(0.0, "weight decay of all trained parameters", ge=0)
        schedule: str = option("constant", "learning-rate schedule, restarted for every task", choices=SCHEDULES)
        clip: float = option(1.0, "upper bound of the gradient norm; 0: none", ge=0)
        augment: str = option("rrc05-flip", "augmentation of training images", choices=tuple(RECIPES))
        head_init: str = option("trunc_normal", HEAD_INIT, choices=HEAD_INITS)

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(compares="its softmax over the classes of a task")

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found = super().work(options, task)
        passes = found.trained
        return replace(found, trained=0, tuned=passes, encoded=passes, test_lookups=1, known="declared")

    def setup(self, info: StreamInfo) -> None:
        self.head = GrowingHead(self.backbone.dim, init=self.options.head_init).to(self.device)

    def learn(self, view: View) -> None:
        o = self.options
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        self.begin(view.task)
        self.fit(
            "train",
            self.batches(view.train, o.batch_size, o.augment),
            lambda batch: self.objective(batch, view.task, view.classes),
            [*self.prompts(view.task), *self.head.parameters()],
            epochs=o.epochs,
            optimizer=optimizer(o.optimizer, o.lr, o.weight_decay),
            schedule=schedule(o.schedule),
            clip=o.clip or None,
        )

    def objective(self, batch: Batch, task: int, classes: tuple[int, ...]) -> Tensor:
        """The loss of a batch: cross-entropy over the classes of the task, plus the method's own terms."""
        with torch.no_grad():
            queries = self.backbone(batch.x)
        logits = self.head(self.instructed(batch.x, queries, task))
        return local_cross_entropy(logits, batch.y, classes) + self.extra(queries, task)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        queries = inputs.encode(self.backbone)  # memoised: the backbone itself never changes
        return self.head(self.instructed(inputs.images(self.backbone.transform), queries, task))

    @property
    def ready(self) -> bool:
        return self.head.classes > 0

    # --------------------------------------------------------------------------------- what a method implements

    def begin(self, task: int) -> None:
        """Create what a task needs, before its training."""

    def prompts(self, task: int) -> Iterable[nn.Parameter]:
        """The parameters that a task trains, except the head's."""
        raise NotImplementedError

    def instructed(self, images: Tensor, queries: Tensor, task: int | None = None) -> Tensor:
        """Features [B, dim] with prompts; `task` is the task in training, or the given task at test time."""
        raise NotImplementedError

    def extra(self, queries: Tensor, task: int) -> Tensor | float:
        """Loss terms added to the cross-entropy."""
        return 0.0
