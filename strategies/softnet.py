"""SoftNet: major weights are kept for the base classes, minor weights learn later classes from a few images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.parts.attached import Attached
from cl.parts.heads import class_means, closeness, cosines
from cl.parts.memory import Memory, ReplayBatches
from cl.parts.weights import FixedMasks, Redrawn, SoftScores, last_block, maskable, masked_pass
from cl.strategy import (
    RECIPES,
    Batch,
    ImageSet,
    Inputs,
    MultiStep,
    Needs,
    Source,
    Strategy,
    StreamInfo,
    UsageError,
    View,
    When,
    option,
    scales,
    sgd,
)


class SoftNet(Strategy):
    """A soft subnetwork, found on many base classes, whose minor weights learn later classes from a few images.

    Name: SoftNet
    Paper: Kang, Yoon, Madjid, Hwang, Yoo. On the Soft-Subnetwork for Few-Shot Class Incremental Learning. ICLR 2023,
        arXiv 2209.07529.
    Family: few-shot
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Images: kept
    Trains: in the first task, the network, a score per masked weight and a linear head; later, the minor weights of one
        block. Masked layers are all convolutions, or in a Vision Transformer the linear layers of the last block.
    Stores: the weights, a soft mask (one float per masked weight), one mean per class, and `exemplars` images of each
        class of earlier few-shot tasks.
    Cost: one forward pass per image and task.
    Differences from the paper: the authors' configurations disagree with it (6 epochs at 0.02, or 15 at 0.001); the
        defaults are the paper's values. The gradient of a mask goes to the score itself, as in the paper and in the
        authors' code; `mask_gradient=size` sends it to the absolute value, as WSN does. In later tasks, the authors'
        code for topics multiplies gradients by two masks without a common weight; by reading, their code for class
        splits takes no step, while statistics of batch norms drift. Here minor weights are trained and batch norms are
        frozen. With `soft_from=never` (HardNet) later tasks move nothing that the features depend on. The epoch of the
        first task is chosen on held-out images. In the loss, earlier classes use their stored prototypes, even if
        exemplars are replayed. Preset `authors` has the loss of their code: temperature 0.1, the mean over images, and
        prototypes of unit features. Crops are padded by reflection. `trains` is for pretrained weights.
    """

    version = "2"

    @dataclass(frozen=True)
    class Options:
        share: float = option(0.97, "c: share of each masked layer's weights that are major", gt=0, le=1)
        redraw: str = option("epoch", "redraw minor values before each epoch, or each step", choices=("epoch", "step"))
        soft_from: int | Literal["never"] = option(
            0, "first epoch with minor values; before it, or always (never), they are 0 (a hard subnetwork)", ge=0
        )
        mask_gradient: str = option(
            "score", "the gradient of a mask goes to the score, or to its absolute value (size), as in WSN",
            choices=("score", "size"),
        )  # fmt: skip
        trains: str = option(
            "all", "in the first task, train the whole network, or the masked weights only", choices=("all", "masked")
        )
        epochs: int = option(240, "epochs on the first task", ge=1)
        batch_size: int = option(256, "images per step", ge=1)
        lr: float = option(0.1, "learning rate of weights, scores and head (SGD)", gt=0, search=scales.log(3e-4, 0.3))
        momentum: float = option(0.9, "SGD momentum", ge=0, lt=1)
        weight_decay: float = option(5e-4, "weight decay", ge=0)
        milestones: tuple[int, ...] = option((120,), "epochs at which the learning rate is multiplied by gamma", ge=0)
        gamma: float = option(0.01, "factor of the learning rate at a milestone", gt=0)
        holdout: float = option(0.1, "share of the first task held out to choose the best epoch; 0: none", ge=0, lt=1)
        augment: str = option("crop-flip", "augmentation of training images", choices=tuple(RECIPES))
        block: str = option("", "module with the weights that later tasks train, such as layer3; empty: the last block")
        session_epochs: int = option(6, "epochs on a later task; 0: prototypes only", ge=0)
        session_lr: float = option(0.02, "learning rate on a later task (SGD)", gt=0, search=scales.log(1e-4, 1e-1))
        session_batch: int = option(256, "maximum number of images per step on a later task", ge=1)
        temperature: float = option(1.0, "temperature of the cosine distances in the loss of later tasks", gt=0)
        exemplars: int = option(5, "images per class of earlier few-shot tasks kept for replay", ge=0)
        session_loss: str = option("sum", "loss of later tasks: sum or mean over images", choices=("sum", "mean"))
        new_prototypes: str = option(
            "raw", "in the loss of later tasks, new prototypes are means of features, or of unit features (unit)",
            choices=("raw", "unit"),
        )  # fmt: skip
        distance: str = option("euclidean", "distance to the prototypes", choices=("euclidean", "cosine"))

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(adapts="its subnetwork", batch_size=options.batch_size, batches="first")

    def setup(self, info: StreamInfo) -> None:
        o, dim, rng = self.options, self.backbone.dim, self.init_rng("head")
        names = maskable(self.backbone)
        blocks = getattr(self.backbone.model, "blocks", None)
        if blocks is not None:
            names = tuple(name for name in names if name.startswith(f"blocks.{len(blocks) - 1}."))
        block = o.block or last_block(names)
        self._names, self._late = names, [i for i, name in enumerate(names) if name.startswith(f"{block}.")]
        if not self._late:
            raise UsageError(f"block={block} holds no masked weights; {names[-1]} is one, in {last_block(names)}.")
        self.scores: SoftScores | None = SoftScores(
            self.backbone, self.init_rng("scores"), names, gradient=o.mask_gradient
        )
        self.head: nn.Linear | None = nn.Linear(dim, info.classes_per_task[0]).requires_grad_(False).to(self.device)
        with torch.no_grad():
            self.head.weight.copy_(1e-3 * torch.randn(self.head.weight.shape, generator=rng))
            self.head.bias.zero_()
        self.masks = FixedMasks()
        self.prototypes = torch.empty(0, dim, device=self.device)
        self.memory = Memory(0, "balanced")

    def learn(self, view: View) -> None:
        if view.task == 0:
            self._find_subnetwork(view)
        elif self.options.session_epochs:
            self._learn_few(view)
        self.compute("prototypes", lambda: self._remember(view))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return closeness(inputs.encode(self.masked), self.prototypes, self.options.distance)

    @property
    def ready(self) -> bool:
        return len(self.prototypes) > 0

    @property
    def masked(self) -> Attached:
        """The network with its soft mask."""
        return Attached(self.backbone, self._features, self.masks.values)

    def extractor(self) -> Attached:
        return self.masked

    # ------------------------------------------------------------------------------------------------- first task

    def _find_subnetwork(self, view: View) -> None:
        """Steps 1 to 4: train weights and scores by cross-entropy, and fix the masks of the best epoch."""
        o, scores, head = self.options, self.scores, self.head
        assert scores is not None and head is not None
        train, held_out = self._split(view)
        soft_from = math.inf if o.soft_from == "never" else o.soft_from
        tuned = self._weights if o.trains == "masked" else list(self.backbone.parameters())

        def loss(batch: Batch) -> Tensor:
            return F.cross_entropy(head(scores(self.backbone, batch.x, scores.choose(o.share))), batch.y)

        def accuracy() -> float:
            assert held_out is not None
            with torch.no_grad():
                masks = scores.choose(o.share)
                right = sum(
                    (head(scores(self.backbone, x, masks)).argmax(1) == y).sum() for x, y in self.chunks(held_out)
                )
            return float(right) / len(held_out)

        self.fit(
            "soft subnetwork",
            Redrawn(self.batches(train, o.batch_size, o.augment), scores, every=o.redraw, soft_from=soft_from),
            loss,
            [*tuned, *scores.parameters(), *head.parameters()],
            epochs=o.epochs,
            optimizer=sgd(o.lr, o.momentum, o.weight_decay),
            schedule=MultiStep(o.milestones, o.gamma),
            validate=accuracy if held_out else None,
            select="best" if held_out else "last",
        )
        with torch.no_grad():
            scores.choose(o.share)
            self.masks.values = scores.soft()
        self.scores = self.head = None  # no longer needed

    def _split(self, view: View) -> tuple[ImageSet, ImageSet | None]:
        """Training images, and validation images: the stream's, or a random share of the first task's images."""
        size = round(self.options.holdout * len(view.train))
        if view.val is not None or not size:
            return view.train, view.val
        order = torch.randperm(len(view.train), generator=self.rng("holdout"))
        return view.train.subset(order[size:]), view.train.subset(order[:size])

    # ------------------------------------------------------------------------------------------------ later tasks

    def _learn_few(self, view: View) -> None:
        """Steps 6 to 8: train the minor weights of one block to pull images to the prototypes of their classes."""
        o, count = self.options, min(len(view.train), self.options.session_batch)
        before = None if count == len(view.train) else self._means(view, self._averaged)  # for classes not in a batch
        weights = [self._weights[i] for i in self._late]
        major = [self.masks.values[i] == 1 for i in self._late]
        kept = [weight.detach().clone() for weight in weights]

        def loss(batch: Batch) -> Tensor:
            self.backbone.eval()  # batch norms keep the statistics of the first task
            return self.pull(self._features(batch.x), batch.y, view.classes, before)

        def protect(when: When) -> None:
            with torch.no_grad():  # neither momentum nor weight decay moves a major weight
                for weight, mask, value in zip(weights, major, kept, strict=True):
                    weight.copy_(torch.where(mask, value, weight))

        source: Source = self.batches(view.train, count, o.augment)
        if len(self.memory):
            source = ReplayBatches(
                source, self.memory, len(self.memory), self.backbone.transform, augment=o.augment, device=self.device
            )
        self.fit(
            "few shots", source, loss, weights, epochs=o.session_epochs, after_step=protect,
            optimizer=sgd(o.session_lr, o.momentum, o.weight_decay),
        )  # fmt: skip

    def pull(self, features: Tensor, labels: Tensor, classes: Sequence[int], before: Tensor | None = None) -> Tensor:
        """Step 7: cross-entropy of the cosine distances of features [B, dim] to the prototypes of all classes seen.

        Prototypes of the new `classes` are means over the batch and have a gradient; those of a class without an image
        in the batch are rows of `before`.
        """
        averaged, prototypes = self._averaged(features), [self.prototypes]
        for i, position in enumerate(classes):
            mine = averaged[labels == position]
            prototypes.append(mine.mean(0, keepdim=True) if len(mine) or before is None else before[i : i + 1])
        distances = 1 - cosines(features, torch.cat(prototypes))
        return F.cross_entropy(-distances / self.options.temperature, labels, reduction=self.options.session_loss)

    def _remember(self, view: View) -> None:
        """Steps 5 and 9: store the means of the new classes, and images of them unless they are base classes."""
        self.prototypes = torch.cat([self.prototypes, self._means(view)])
        if view.task > 0 and self.options.exemplars:
            self.memory.resize(self.options.exemplars * (len(view.seen) - self.info.classes_per_task[0]))
            self.memory.add(view.train, self.rng("exemplars"))

    def _means(self, view: View, of: Callable[[Tensor], Tensor] = lambda features: features) -> Tensor:
        return class_means(of(self.encode(view.train, self.masked)), view.train.labels, view.classes)

    def _averaged(self, features: Tensor) -> Tensor:
        """The vectors whose means are the prototypes in the loss."""
        return F.normalize(features) if self.options.new_prototypes == "unit" else features

    def _features(self, images: Tensor) -> Tensor:
        """Features [B, dim] of normalised images with the soft mask."""
        return masked_pass(self.backbone, self._names, self.masks.values, images)

    @property
    def _weights(self) -> list[nn.Parameter]:
        return [self.backbone.model.get_parameter(name) for name in self._names]
