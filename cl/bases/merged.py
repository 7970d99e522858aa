"""Fine-tuning from the pretrained weights for every task, and one network into which the changes are merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.heads import GrowingHead
from cl.parts.merging import (
    FORMS,
    MergedVector,
    TaskVectors,
    Weights,
    added,
    check_moved,
    depths,
    lines_factors,
    multi_task_alpha,
    scaled,
    task_vector,
)
from cl.parts.statistics import ClassGaussians
from cl.parts.weights import Lent
from cl.protocol import TaskSize, Work
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
from cl.training.optim import WarmupCosine, adamw

HEADS = ("prototype", "linear")


class Merging(Strategy):
    """Trains every task from the pretrained weights; predicts with the pretrained weights plus one merged task vector.

    Subclasses give `merge`. The methods were published for CLIP, whose text encoder gives a head for any task, frozen
    and in the space of the pretrained features. The nearest to it without a text encoder is `head=prototype`: the class
    means of the pretrained features, frozen, compared by cosine. `head=linear` is a linear layer per task, trained with
    the network of its task. The logits of all tasks are compared in class-incremental prediction, though each head was
    trained against the classes of its own task alone; `align_epochs` trains all heads together on features drawn from
    Gaussians of the classes. The Gaussians of a class are those of the network after its task, so they age as later
    tasks are merged. Running statistics of batch norms belong to the task vector and are merged like weights.

    `lines` is LiNeS for merged vectors (Wang et al. 2025, arXiv 2410.17146): block l of L gets alpha + beta l / (L - 1)
    of the merged vector, with alpha = |sum of the task vectors| / |merged vector| / tasks. It keeps one vector more.
    The paper scales vectors without another factor: set scale=1 where a method has one.
    """

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(10, "epochs per task", ge=1)
        batch_size: int = option(128, "images per step", ge=1)
        lr: float = option(
            1e-5, "highest learning rate of the network (AdamW), after the warm-up", gt=0, search=scales.log(3e-6, 3e-3)
        )
        weight_decay: float = option(0.1, "weight decay of the network", ge=0)
        warmup: float = option(
            0.125, "share of the steps in which the rate grows from 0; then half a cosine", ge=0, le=1
        )
        clip: float = option(1.0, "bound of the gradient norm", gt=0)
        augment: str = option("rrc-flip", "augmentation of training images", choices=tuple(RECIPES))
        head: str = option(
            "prototype",
            "head of a task: frozen means of the pretrained features of its classes, or a linear layer that is trained",
            choices=HEADS,
        )
        temperature: float = option(0.05, "head=prototype: cosines are divided by it", gt=0)
        head_lr: float = option(1e-3, "head=linear: highest learning rate of the head", gt=0)
        align_epochs: int = option(0, "epochs of the alignment of all heads on Gaussians of the classes", ge=0)
        align_samples: int = option(256, "alignment: features drawn per class and epoch; also its batch size", ge=1)
        align_lr: float = option(0.01, "learning rate of the alignment (SGD, momentum 0.9, cosine)", gt=0)
        lines: float | None = option(
            None,
            "LiNeS: how much more of the merged vector the last block gets than the first, whose factor follows from "
            "the norms (beta); none: no scaling by depth",
            ge=0,
        )

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(
            images_per_class=2 if options.align_epochs else 1,
            purpose="for its covariance" if options.align_epochs else "",
            compares="its softmax over the classes of a task",
            batch_size=options.batch_size,
        )

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found = replace(super().work(options, task), known="declared", networks=2)
        aligned, prototypes = options.align_epochs > 0, options.head == "prototype"
        return replace(found, encoded=aligned * task.images, looked_up=prototypes * task.images)

    def setup(self, info: StreamInfo) -> None:
        self.backbone.keep_pretrained()
        self.head = GrowingHead(self.backbone.dim, bias=self.options.head == "linear").to(self.device)
        self.merged = MergedVector(self.device)
        self.total = MergedVector(self.device)  # the sum of all task vectors, for lines
        if self.options.lines is not None:
            depths(list(self.backbone.pretrained()))  # raises for a network without blocks
        self.fresh = TaskVectors(device=self.device)  # of the current task, until they are merged
        self.gaussians = ClassGaussians(self.backbone.dim, device=self.device)
        self._network: tuple[object, Lent] | None = None

    def merge(self, vector: Weights) -> Mapping[str, Tensor]:
        """The merged task vector, from the one so far (`self.merged`) and that of the task."""
        raise NotImplementedError

    @property
    def trainings(self) -> int:
        """Fine-tunings per task. A linear head is trained in the first, and fixed in the others."""
        return 1

    def combined(self, vectors: Sequence[Weights]) -> Weights:
        """The task vector of a task, from those of its `trainings` fine-tunings."""
        return vectors[0]

    def learn(self, view: View) -> None:
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        if self.options.head == "prototype":
            self.compute("prototypes", lambda: self._set_prototypes(view))
        for number in range(self.trainings):
            self.begin()
            self._fine_tune(view, number)
            self.compute(f"task vector {number}", self._keep_vector)
        self.backbone.reset()  # outside of a journaled call: a state restored later would not undo the fine-tuning
        self.merge_task(view)
        if self.options.align_epochs:
            self.compute("class statistics", lambda: self._add_statistics(view))
            if view.task > 0:
                self._align()

    def merge_task(self, view: View) -> None:
        """Replace the merged task vector after the fine-tunings of a task; subclasses may use the task's images."""
        self.compute("merge", self._merge)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.head(self.scaled(inputs.encode(self.extractor())))

    # --------------------------------------------------------------------------------------------------- networks

    def origin(self) -> Mapping[str, Tensor]:
        """The weights that a task starts from, which its vector is relative to."""
        return self.backbone.pretrained()

    def begin(self) -> None:
        """Load the weights that a fine-tuning starts from."""
        self.backbone.reset()

    def extractor(self) -> Extractor:
        """The network with the merged task vector; one object until the vector changes, so each image is encoded once
        per version."""
        values = self.merged.values
        if not values:
            return self.backbone  # before the first task
        if self._network is None or self._network[0] is not values:
            lent = Lent(self.backbone, added(self.backbone.pretrained(), self.applied()))
            lent.lasting = False  # earlier versions are not needed again
            self._network = values, lent
        return self._network[1]

    def applied(self) -> Weights:
        """The task vector that the network predicts with: the merged one, with `lines` scaled by depth."""
        values, beta = self.merged.values, self.options.lines
        if beta is None:
            return values
        alpha = multi_task_alpha(self.total.values, values, self.head_count)
        return scaled(values, lines_factors(list(values), alpha, beta))

    def _keep_vector(self) -> None:
        model = self.backbone.model
        vector = task_vector({**dict(model.named_parameters()), **dict(model.named_buffers())}, self.origin())
        check_moved(vector, f"the vector of task {self.head_count - 1}")
        self.fresh.add(vector)

    @torch.no_grad()
    def _merge(self) -> None:
        vector, before = self.combined(self.fresh), self.total.values
        if self.options.lines is not None:
            self.total.values = {name: change + (before[name] if before else 0) for name, change in vector.items()}
        self.merged.values = dict(self.merge(vector))
        self.fresh.clear()

    @property
    def head_count(self) -> int:
        """Number of tasks so far, the current one included."""
        return len(self.head.blocks)

    # --------------------------------------------------------------------------------------------------- training

    @torch.no_grad()
    def _set_prototypes(self, view: View) -> None:
        """Weights of the newest head: means of the normalised pretrained features, of length 1 / temperature."""
        features = F.normalize(self.encode(view.train), dim=1)
        labels = view.train.labels.to(features.device)
        means = torch.stack([features[labels == position].mean(0) for position in view.classes])
        self.head.blocks[-1].weight.copy_(F.normalize(means, dim=1) / self.options.temperature)

    def scaled(self, features: Tensor) -> Tensor:
        """Features as the head gets them: of length 1 for a head of prototypes."""
        return F.normalize(features, dim=1) if self.options.head == "prototype" else features

    def _fine_tune(self, view: View, number: int) -> None:
        o, head, first = self.options, self.head.blocks[-1], view.classes[0]
        groups: list[dict[str, Any]] = [{"params": self.backbone.parameters(), "lr": o.lr}]
        if o.head == "linear" and number == 0:
            groups.append({"params": head.parameters(), "lr": o.head_lr})

        def loss(batch: Batch) -> Tensor:
            return F.cross_entropy(head(self.scaled(self.backbone(batch.x))), batch.y - first)

        self.fit(
            f"fine-tuning {number}",
            self.batches(view.train, o.batch_size, o.augment),
            loss,
            groups,
            epochs=o.epochs,
            optimizer=adamw(o.lr, weight_decay=o.weight_decay),
            schedule=self.rate,
            clip=o.clip,
        )

    def rate(self, when: When) -> float:
        """Warm-up over a share of all steps, then half a cosine to 0."""
        total = when.epochs * when.steps
        return WarmupCosine(round(self.options.warmup * total), total)(when)

    def _add_statistics(self, view: View) -> None:
        features = self.scaled(self.encode(view.train, self.extractor()))
        self.gaussians.add(features, view.train.labels, view.classes, self.info.class_names)

    def _align(self) -> None:
        """Train all heads on features drawn from the Gaussians of all classes."""
        o = self.options
        self.fit(
            "alignment",
            self.gaussians.sampler(o.align_samples),
            lambda batch: F.cross_entropy(self.head(batch.x), batch.y),
            self.head.parameters(),
            epochs=o.align_epochs,
            optimizer=sgd(o.align_lr),
            schedule=Cosine(),
        )


class MergingAll(Merging):
    """Merging that keeps the task vectors of all tasks so far, in one of several forms."""

    @dataclass(frozen=True)
    class Options(Merging.Options):
        form: str = option("dense", "form in which task vectors are kept", choices=FORMS)
        rank: int = option(8, "form=low-rank: singular directions kept per matrix", ge=1)
        signs: float = option(0.2, "form=ternary: share of the values whose signs are kept, the largest", gt=0, le=1)

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        return replace(super().work(options, task), networks=task.number + 2)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        o = self.options
        self.vectors = TaskVectors(o.form, rank=o.rank, keep=o.signs, device=self.device)
