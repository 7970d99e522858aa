"""Methods that adapt the backbone on the first task only; its features never change afterwards."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

from torch import nn
from torch.nn import functional as F

from cl.parts.attached import Adapters, Attached, ScaleShift, VisualPrompts
from cl.parts.heads import CosineHead
from cl.parts.weights import TunedWeights
from cl.protocol import TaskSize, Work
from cl.strategy import RECIPES, Cosine, Extractor, Needs, Strategy, StreamInfo, UsageError, View, option, scales, sgd

TUNING = ("adapter", "ssf", "vpt-deep", "vpt-shallow", "finetune", "none")


class FirstSession(Strategy):
    """Trains a parameter-efficient module with a cosine head on the first task; neither changes afterwards.

    The module is attached only during a pass, so the same backbone gives the pretrained features (`self.backbone`) and
    the adapted features (`self.adapted`). Subclasses call `adapt` at the start of `learn`.
    """

    @dataclass(frozen=True)
    class Options:
        tuning: str = option("adapter", "module that the first task trains together with the head", choices=TUNING)
        rank: int = option(64, "width of an adapter's bottleneck", ge=1)
        adapter_scale: float = option(0.1, "factor of an adapter's output", gt=0)
        dropout: float = option(0.1, "dropout in an adapter's bottleneck", ge=0, lt=1)
        prompts: int = option(5, "number of prompt tokens: per block (vpt-deep), or in total (vpt-shallow)", ge=1)
        epochs: int = option(20, "epochs on the first task; 0 leaves the module untrained", ge=0)
        batch_size: int = option(48, "images per step", ge=1)
        lr: float = option(0.01, "learning rate of SGD, with cosine decay to 0", gt=0, search=scales.log(1e-3, 1.0))
        momentum: float = option(0.9, "SGD momentum", ge=0, lt=1)
        weight_decay: float = option(5e-4, "weight decay of the module and the head", ge=0)
        augment: str = option("rrc05-flip", "augmentation of training images", choices=tuple(RECIPES))

    @classmethod
    def needs(cls, options: Any) -> Needs:
        trained = options.tuning != "none" and options.epochs
        return Needs(adapts=f"its module (tuning={options.tuning})" if trained else "")

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found = super().work(options, task)
        if options.tuning == "none" or not options.epochs:
            return Work(looked_up=task.images, test_passes=0, test_lookups=1)
        passes = 0.0 if task.number else found.trained
        adapted = Work(encoded=task.images, steps=0 if task.number else found.steps, lasting=True)
        return replace(adapted, trained=passes) if options.tuning == "finetune" else replace(adapted, tuned=passes)

    def setup(self, info: StreamInfo) -> None:
        try:
            self.module = self._draw()  # a few tensors in addition to the backbone's own
        except UsageError as error:  # most modules need a Vision Transformer
            reason = str(error).removesuffix(".")
            raise UsageError(
                f"{reason}, or --set tuning=none (no adaptation) or --set tuning=finetune, which fit any network."
            ) from error
        head = CosineHead(self.backbone.dim, info.classes_per_task[0], self.init_rng("head"))
        self.head = head.to(self.device) if self.module is not None else None  # used in the first task only

    def adapt(self, view: View) -> None:
        """In the first task, train module and head by cross-entropy; in later tasks, do nothing."""
        o, module, head = self.options, self.module, self.head
        if view.task > 0 or module is None or head is None:
            return
        self.fit(
            "adaptation",
            self.batches(view.train, o.batch_size, o.augment),
            lambda batch: F.cross_entropy(head(module(self.backbone, batch.x)), batch.y),
            [*module.parameters(), *head.parameters()],
            epochs=o.epochs,
            optimizer=sgd(o.lr, o.momentum, o.weight_decay),
            schedule=Cosine(),
        )

    @property
    def adapted(self) -> Extractor:
        """The adapted network; use it only after the first task, since its features are cached for the whole run."""
        if self.module is None:
            return self.backbone
        attached = functools.partial(self.module, self.backbone)
        return Attached(self.backbone, attached, self.module.parameters(), lasting=True)

    def extractor(self) -> Extractor:
        return self.adapted

    def _draw(self) -> nn.Module | None:
        o, backbone, rng = self.options, self.backbone, self.init_rng("module")
        if o.tuning == "adapter":
            return Adapters(backbone, o.rank, rng, o.adapter_scale, o.dropout)
        if o.tuning == "ssf":
            return ScaleShift(backbone, rng)
        if o.tuning.startswith("vpt"):
            return VisualPrompts(backbone, o.prompts, deep=o.tuning == "vpt-deep")
        return TunedWeights(backbone) if o.tuning == "finetune" else None
