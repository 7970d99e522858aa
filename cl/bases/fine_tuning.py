"""Fine-tuning task by task: the common part of sequential fine-tuning, regularisation, distillation and replay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from cl.parts.heads import GrowingHead
from cl.parts.losses import local_cross_entropy
from cl.strategy import (
    RECIPES,
    SCHEDULES,
    Batch,
    ImageSet,
    Inputs,
    Needs,
    Source,
    Strategy,
    StreamInfo,
    TaskSize,
    View,
    Work,
    option,
    scales,
    schedule,
)
from cl.training.optim import OPTIMIZERS, optimizer


class FineTuning(Strategy):
    """Backbone and one growing linear head, trained on the images of each task; subclasses change the objective."""

    interpolates = True

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(5, "epochs per task", ge=1)
        batch_size: int = option(128, "images per step", ge=1)
        trains: str = option("all", "train backbone and head, or the head only", choices=("all", "head"))
        loss: str = option(
            "local", "softmax over the task's classes (local), or over all classes seen", choices=("local", "global")
        )
        optimizer: str = option("sgd", "optimiser, fresh for every task", choices=OPTIMIZERS)
        lr: float = option(0.01, "learning rate of the head", gt=0, search=scales.log(1e-4, 1e-1))
        backbone_lr_scale: float = option(1.0, "learning rate of the backbone as a multiple of lr", ge=0)
        momentum: float = option(0.9, "SGD momentum", ge=0, lt=1)
        weight_decay: float = option(0.0, "weight decay of all trained parameters", ge=0)
        schedule: str = option("constant", "learning-rate schedule, restarted for every task", choices=SCHEDULES)
        milestones: tuple[int, ...] = option((), "epochs at which 'multistep' multiplies lr by gamma", ge=0)
        gamma: float = option(0.1, "factor of the learning rate at a milestone", gt=0)
        augment: str = option("rrc-flip", "augmentation of training images", choices=tuple(RECIPES))
        head_init: str = option(
            "trunc_normal", "initialisation of new head rows", choices=("trunc_normal", "kaiming", "zero")
        )
        fresh_norm: bool = option(False, "replace the final LayerNorm by a new one, as SLCA's code does")

    @classmethod
    def needs(cls, options: Any) -> Needs:
        compares = "its softmax over the classes of a task (loss=local)" if options.loss == "local" else ""
        return Needs(compares=compares, batch_size=0 if options.trains == "head" else options.batch_size)

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found = replace(super().work(options, task), known="declared")
        if options.trains != "head":
            return found
        passes, frozen = found.trained, replace(found, trained=0, test_passes=0, test_lookups=1)
        return replace(frozen, looked_up=passes) if options.augment == "none" else replace(frozen, encoded=passes)

    def setup(self, info: StreamInfo) -> None:
        if self.options.fresh_norm:
            self.backbone.replace_final_norm()
        self.head = GrowingHead(self.backbone.dim, init=self.options.head_init).to(self.device)

    def learn(self, view: View) -> None:
        self._train([view.train], view.classes, len(view.seen))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.head(inputs.encode(self.backbone))

    def objective(self, batch: Batch, classes: tuple[int, ...]) -> Tensor:
        """The loss of a batch, for a task with these classes."""
        logits = self.head(self._features(batch))
        if self.options.loss == "global":
            return F.cross_entropy(logits, batch.y)
        return local_cross_entropy(logits, batch.y, classes)

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
        )

    @property
    def _memoised(self) -> bool:
        """Whether features are computed once: the backbone is frozen and the transform deterministic."""
        return self.options.trains == "head" and self.options.augment == "none"

    def _data(self, images: list[ImageSet]) -> Source:
        if self._memoised:
            return self.encoded_batches(images, self.options.batch_size)
        return self.batches(images, self.options.batch_size, self.options.augment)

    def _features(self, batch: Batch) -> Tensor:
        return batch.x if self._memoised else self.backbone(batch.x)

    def tuned(self) -> dict[str, nn.Parameter]:
        """The trained parameters of the backbone, by name."""
        return {} if self.options.trains == "head" else dict(self.backbone.model.named_parameters())

    def _groups(self) -> list[dict[str, Any]]:
        o, tuned = self.options, list(self.tuned().values())
        head = {"params": self.head.parameters(), "lr": o.lr}
        return [{"params": tuned, "lr": o.lr * o.backbone_lr_scale}, head] if tuned else [head]
