"""Methods that adapt the backbone on the first task alone; afterwards it gives the same features for ever."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from torch import nn
from torch.nn import functional as F

from cl.parts.attached import Adapters, Attached, ScaleShift, VisualPrompts
from cl.parts.heads import CosineHead
from cl.parts.weights import TunedWeights
from cl.strategy import RECIPES, Cosine, Extractor, Strategy, StreamInfo, View, option, sgd

TUNING = ("adapter", "ssf", "vpt-deep", "vpt-shallow", "finetune", "none")


class FirstSession(Strategy):
    """Trains a parameter-efficient module with a cosine head on the first task; nothing of both changes later.

    The module is attached for a pass, so the same backbone gives the pretrained features (`self.backbone`) and the
    adapted ones (`self.adapted`). Subclasses call `adapt` at the start of `learn`.
    """

    @dataclass(frozen=True)
    class Options:
        tuning: str = option("adapter", "what the first task trains beside the head", choices=TUNING)
        rank: int = option(64, "width of an adapter's bottleneck", ge=1)
        adapter_scale: float = option(0.1, "factor of an adapter's output", gt=0)
        dropout: float = option(0.1, "dropout in an adapter's bottleneck", ge=0, lt=1)
        prompts: int = option(5, "prompt tokens: per block (vpt-deep), or in all (vpt-shallow)", ge=1)
        epochs: int = option(20, "epochs on the first task; 0 leaves the module as it was drawn", ge=0)
        batch_size: int = option(48, "images per step", ge=1)
        lr: float = option(0.01, "SGD rate, which falls to 0 by a cosine over the epochs", gt=0)
        momentum: float = option(0.9, "SGD momentum", ge=0, lt=1)
        weight_decay: float = option(5e-4, "weight decay of module and head", ge=0)
        augment: str = option("rrc05-flip", "augmentation of training images", choices=tuple(RECIPES))

    def setup(self, info: StreamInfo) -> None:
        self.module = self._draw()  # a few tensors beside the backbone's own
        head = CosineHead(self.backbone.dim, info.classes_per_task[0], self.init_rng("head"))
        self.head = head.to(self.device) if self.module is not None else None  # of use in the first task only

    def adapt(self, view: View) -> None:
        """In the first task, train module and head by cross-entropy; later, nothing."""
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
        """The adapted network, to be asked once the first task has trained it: its features are kept for the run."""
        if self.module is None:
            return self.backbone
        attached = functools.partial(self.module, self.backbone)
        return Attached(self.backbone, attached, self.module.parameters(), lasting=True)

    def _draw(self) -> nn.Module | None:
        o, backbone, rng = self.options, self.backbone, self.init_rng("module")
        if o.tuning == "adapter":
            return Adapters(backbone, o.rank, rng, o.adapter_scale, o.dropout)
        if o.tuning == "ssf":
            return ScaleShift(backbone, rng)
        if o.tuning.startswith("vpt"):
            return VisualPrompts(backbone, o.prompts, deep=o.tuning == "vpt-deep")
        return TunedWeights(backbone) if o.tuning == "finetune" else None
