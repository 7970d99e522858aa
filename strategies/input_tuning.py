"""Tuning in the input space: a frozen network, one learned change of the image, and a linear head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from cl.parts.attached import Attached, InputDelta
from cl.parts.heads import GrowingHead
from cl.parts.losses import local_cross_entropy
from cl.strategy import (
    RECIPES,
    SCHEDULES,
    SETTINGS,
    Batch,
    Inputs,
    Needs,
    Strategy,
    StreamInfo,
    View,
    option,
    scales,
    schedule,
)
from cl.training.optim import OPTIMIZERS, optimizer


class InputTuning(Strategy):
    """A pretrained network that never changes, and a change of its input that all images and tasks share.

    Name: Input tuning
    Paper: Marullo, Tiezzi, Gori, Melacci, Tuytelaars. Continual Learning with Pretrained Backbones by Tuning in the
        Input Space. IJCNN 2023, arXiv 2306.02947.
    Family: prompts
    Networks: vit, cnn, mlp, clip
    Gradients: parts
    Trains: delta [channels, side, side], added to the normalised image, and one linear head over the classes seen, with
        a softmax over the task's classes (`loss=local`) or over all of them. Both go on from task to task. With
        `stability` mu the loss has the term mu |delta - delta of the task before|^2.
    Stores: delta (150,528 numbers at 224 px) and the head.
    Cost: one forward pass per image, in training with gradients through the whole network to its input, but none for
        its weights.
    Differences from the paper: of its text we know the abstract, which says that a few parameters of a transformation
        of the input and the head are learned; there is no official code. The additive change, its clipping to the range
        of an image (`clip`), the frame of `border` pixels and the term of `stability` are our reading. Batch norms keep
        the statistics of the pretraining.
    """

    settings = SETTINGS

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(5, "epochs per task", ge=1)
        batch_size: int = option(128, "images per step", ge=1)
        loss: str = option(
            "local", "softmax over the task's classes (local), or over all classes seen", choices=("local", "global")
        )
        optimizer: str = option("sgd", "optimiser, fresh for every task", choices=OPTIMIZERS)
        lr: float = option(0.01, "learning rate of the head", gt=0, search=scales.log(1e-4, 0.3))
        delta_lr_scale: float = option(
            10.0, "learning rate of delta as a multiple of lr; 0: a linear probe", ge=0, search=scales.log(1.0, 100.0)
        )
        momentum: float = option(0.9, "SGD momentum", ge=0, lt=1)
        weight_decay: float = option(0.0, "weight decay of the head and of delta", ge=0)
        schedule: str = option("constant", "learning-rate schedule, restarted for every task", choices=SCHEDULES)
        milestones: tuple[int, ...] = option((), "epochs at which 'multistep' multiplies lr by gamma", ge=0)
        gamma: float = option(0.1, "factor of the learning rate at a milestone", gt=0)
        augment: str = option("rrc-flip", "augmentation of training images", choices=tuple(RECIPES))
        border: int = option(0, "pixels of a frame that alone is changed; 0: the whole image", ge=0)
        clip: bool = option(True, "keep changed images in the range of images")
        stability: float = option(0.0, "weight of the squared distance of delta to that of the task before", ge=0)
        head_init: str = option(
            "trunc_normal", "initialisation of new head rows", choices=("trunc_normal", "kaiming", "zero")
        )

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(compares="its softmax over the classes of a task (loss=local)" if options.loss == "local" else "")

    def setup(self, info: StreamInfo) -> None:
        self.delta = InputDelta(self.backbone, self.options.border, self.options.clip).to(self.device)
        self.before: Tensor | None = None
        self.head = GrowingHead(self.backbone.dim, init=self.options.head_init).to(self.device)

    def learn(self, view: View) -> None:
        o = self.options
        self.before = self.delta.delta.detach().clone() if o.stability else None
        self.head.grow_to(len(view.seen), self.init_rng("head"))

        def loss(batch: Batch) -> Tensor:
            logits = self.head(self.delta(self.backbone, batch.x))
            if o.loss == "global":
                found = F.cross_entropy(logits, batch.y)
            else:
                found = local_cross_entropy(logits, batch.y, view.classes)
            if self.before is None:
                return found
            return found + o.stability * (self.delta.delta - self.before).square().sum()

        head, delta = self.head.parameters(), self.delta.parameters()
        self.fit(
            "train", self.batches(view.train, o.batch_size, o.augment), loss,
            [{"params": delta, "lr": o.lr * o.delta_lr_scale}, {"params": head, "lr": o.lr}],
            epochs=o.epochs, optimizer=optimizer(o.optimizer, o.lr, o.weight_decay, o.momentum),
            schedule=schedule(o.schedule, o.milestones, o.gamma),
        )  # fmt: skip
        self.before = None

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.head(inputs.encode(self.extractor()))

    def extractor(self) -> Attached:
        return Attached(self.backbone, lambda images: self.delta(self.backbone, images), self.delta.parameters())
