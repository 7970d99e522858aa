"""MOS: adapters merged during training, a refined choice among them, and an aligned head."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.attached import Adapters, AdapterSets
from cl.parts.heads import GrowingHead, class_means, cosines
from cl.parts.losses import contrastive, local_cross_entropy
from cl.parts.statistics import ClassGaussians
from cl.strategy import (
    RECIPES,
    Batch,
    Cosine,
    Extractor,
    Inputs,
    Needs,
    Strategy,
    StreamInfo,
    View,
    When,
    option,
    scales,
    sgd,
)


class MOS(Strategy):
    """Adapters per task, merged towards earlier adapters during training; the head refines the choice among them.

    Name: MOS
    Paper: Sun, Zhou, Zhao, Gan, Zhan, Ye. MOS: Model Surgery for Pre-Trained Model-Based Class-Incremental Learning.
        AAAI 2025, arXiv 2412.09441.
    Family: adapters
    Networks: vit
    Gradients: parts
    Trains: one set of adapters, which every task continues to train (rank 16 in ViT-B: 304,320 parameters), and the
        task's rows of a linear head; during alignment, the whole head.
    Stores: a copy of the adapters per task and the mean of the copies; per class a Gaussian (2.36 MB for ViT-B with
        the full covariance) and a prototype with the first task's adapters; no images.
    Cost: 1 to T forward passes per test image, each (image, set of adapters) once per run; alignment draws 5 batches of
        features per class and epoch, with one Cholesky factor per class.
    Differences from the paper: the contrastive term and the alignment are in the authors' code, not in the paper (the
        authors say so); `reg=0` and `ca_epochs=0` turn them off. Our head has a column per class seen, drawn from a
        truncated normal distribution (std 0.02) with bias 0. Theirs has one for every class of the stream, with the
        draw of `nn.Linear` (uniform, random bias): equal in scale for ViT-B, twice as large for 192 dimensions. In
        their code, weight decay shrinks the rows of old classes and of classes still to come, and prototypes of later
        tasks are computed with dropout; here neither happens. Their code also merges in place within every
        forward pass, 13 times per step in ViT-B, and in evaluation. So a stored set soon becomes the mean of the
        trained sets before it, and the next task starts from there. `legacy` reproduces this limit at the end of
        `learn`, together with the merges of a step and the weight decay, so prediction stays pure. The second set of
        adapters then equals the first.
    """

    one_network = False

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(20, "epochs per task", ge=1)
        batch_size: int = option(48, "images per step", ge=1)
        lr: float = option(0.03, "learning rate of the adapters", gt=0, search=scales.log(3e-3, 0.3))
        head_lr_scale: float = option(
            0.1, "learning rate of the head as a multiple of lr", ge=0, search=scales.log(1e-2, 10.0)
        )
        momentum: float = option(0.9, "SGD momentum", ge=0, lt=1)
        weight_decay: float = option(5e-4, "weight decay of adapters and head", ge=0)
        augment: str = option("rrc05-flip", "augmentation of training images", choices=tuple(RECIPES))
        rank: int = option(16, "width of the adapters' bottlenecks", ge=1)
        merge: float = option(
            0.1, "m: share by which a step moves the adapters to the mean of stored ones", ge=0, le=1,
            search=scales.log(1e-3, 0.3),
        )  # fmt: skip
        reg: float = option(0.1, "weight of the contrastive term", ge=0, search=scales.log(1e-3, 1.0))
        statistics: str = option("full", "covariance of the class Gaussians", choices=("full", "diagonal"))
        ca_epochs: int = option(30, "epochs of classifier alignment; 0: none", ge=0)
        ca_lr: float = option(0.005, "learning rate of the alignment", gt=0, search=scales.log(5e-4, 5e-2))
        ca_batches: int = option(
            5, "alignment: features drawn per class and epoch, and batch size, as multiples of batch_size", ge=1
        )
        refine: int = option(4, "maximum number of adapter sets tried per image; 1: no refinement", ge=1)
        ensemble: bool = option(True, "add the probabilities of the prototypes to those of the head")
        legacy: bool = option(False, "as in the authors' code, where stored adapters collapse to means of earlier ones")

    @classmethod
    def marks(cls, options: Options) -> tuple[str, ...]:
        return ("legacy",) if options.legacy else ()

    @classmethod
    def needs(cls, options: Any) -> Needs:
        compares = "its softmax over the classes of a task"
        return Needs(images_per_class=2, purpose="for its covariance", compares=compares)

    def setup(self, info: StreamInfo) -> None:
        self.adapters = Adapters(self.backbone, self.options.rank, self.init_rng("adapters"))  # the current set
        self.sets = AdapterSets(self.adapters)
        self.mean = copy.deepcopy(self.adapters)  # of the current set at the end of each task
        self.head = GrowingHead(self.backbone.dim).to(self.device)
        self.gaussians = ClassGaussians(self.backbone.dim, kind=self.options.statistics, device=self.device)
        self.prototypes = torch.empty(0, self.backbone.dim, device=self.device)
        self.task_of: list[int] = []  # of each class

    def learn(self, view: View) -> None:
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        self.task_of = [*self.task_of, *[len(self.sets)] * len(view.classes)]
        self._adapt(view)
        self._store()
        self.compute("class statistics", lambda: self._add_statistics(view))
        if view.task > 0 and self.options.ca_epochs:
            self._align()
        self.compute("prototypes", lambda: self._add_prototypes(view))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        cosine = cosines(inputs.encode(self._under(0)), self.prototypes)
        logits = self.refined(inputs, self._tasks(cosine))
        return logits.softmax(1) + (len(self.sets) * cosine).softmax(1) if self.options.ensemble else logits

    @property
    def ready(self) -> bool:
        return len(self.prototypes) > 0

    # -------------------------------------------------------------------------------------------------- training

    def _adapt(self, view: View) -> None:
        """Steps 1 and 2: local cross-entropy and the contrastive term; after each step the adapters are merged."""
        o, old = self.options, len(self.sets)
        head = self.head if o.legacy else self.head.blocks[-1]
        times = len(self.adapters.up) + 1 if o.legacy else 1  # once per block in the forward, once after the step
        share = 1 - (1 - o.merge) ** times

        def loss(batch: Batch) -> Tensor:
            features = self.adapters(self.backbone, batch.x)
            local = local_cross_entropy(self.head(features), batch.y, view.classes)
            return local + o.reg * contrastive(features, self.gaussians.mean) if o.reg else local

        def merge(when: When) -> None:
            self.adapters.blend(self.mean, share)

        self.fit(
            "adapters",
            self.batches(view.train, o.batch_size, o.augment),
            loss,
            [
                {"params": self.adapters.parameters(), "lr": o.lr},
                {"params": head.parameters(), "lr": o.lr * o.head_lr_scale},
            ],
            epochs=o.epochs,
            optimizer=sgd(o.lr, o.momentum, o.weight_decay),
            schedule=Cosine(),
            after_step=merge if old and o.merge else None,
        )

    def _store(self) -> None:
        """Step 3: store a copy of the current set; with `legacy`, the limit of repeated merging."""
        trained = copy.deepcopy(self.adapters)
        if self.options.legacy and self.options.merge and len(self.sets):
            self.adapters.blend(self.mean, 1.0)
        self.sets.store(self.adapters)
        self.mean.blend(trained, 1 / len(self.sets))

    def _add_statistics(self, view: View) -> None:
        """Step 4: Gaussians of the new classes with the set just stored."""
        features = self.encode(view.train, self.sets[-1].extractor(self.backbone))  # not used again later
        self.gaussians.add(features, view.train.labels, view.classes, self.info.class_names)

    def _align(self) -> None:
        """Step 5: train only the head on features drawn from the Gaussians."""
        o = self.options
        self.fit(
            "classifier alignment",
            self.gaussians.sampler(o.ca_batches * o.batch_size),
            lambda batch: F.cross_entropy(self.head(batch.x), batch.y),
            self.head.parameters(),
            epochs=o.ca_epochs,
            optimizer=sgd(o.ca_lr, o.momentum, o.weight_decay),
            schedule=Cosine(),
        )

    def _add_prototypes(self, view: View) -> None:
        """Step 6: means of the new classes with the first task's adapters."""
        features = self.encode(view.train, self.sets[0].extractor(self.backbone))
        self.prototypes = torch.cat([self.prototypes, class_means(features, view.train.labels, view.classes)])

    # ------------------------------------------------------------------------------------------------ prediction

    def refined(self, inputs: Inputs, chosen: Tensor) -> Tensor:
        """Step 7: logits [B, C] by self-refinement from the tasks `chosen` [B].

        The head classifies each image with the adapters of its task. If the predicted class belongs to another task,
        the image is classified again with that task's adapters, up to `refine` times. The last logits count.
        """
        chosen, logits = chosen.clone(), self.prototypes.new_empty(len(inputs), self.head.classes)
        moving = torch.arange(len(inputs), device=chosen.device)
        for _ in range(self.options.refine):
            for task in chosen[moving].unique().tolist():
                group = moving[chosen[moving] == task]
                logits[group] = self.head(inputs.rows(group).encode(self._under(task)))
            found = self._tasks(logits[moving])
            moving, found = moving[found != chosen[moving]], found[found != chosen[moving]]
            chosen[moving] = found
        return logits

    def _tasks(self, scores: Tensor) -> Tensor:
        """The task of the best class, [B] of scores [B, C]."""
        return torch.tensor(self.task_of, device=scores.device)[scores.argmax(1)]

    def _under(self, task: int) -> Extractor:
        return self.sets[task].extractor(self.backbone, lasting=True)
