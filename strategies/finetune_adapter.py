"""Finetune Adapter: one adapter and a linear head, fine-tuned task by task on a frozen backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from cl.parts.attached import Adapters, Attached
from cl.parts.heads import GrowingHead
from cl.strategy import RECIPES, Cosine, Inputs, Needs, Strategy, StreamInfo, View, option, scales, sgd


class FinetuneAdapter(Strategy):
    """Sequential fine-tuning of one shared set of adapters and of the new task's head; a baseline without a memory.

    Name: Fine-tuned adapters
    Paper: none; a baseline in the tables of APER, EASE and MOS.
    Family: adapters
    Networks: vit
    Gradients: parts
    Trains: one set of adapters, which every task continues to train (rank 64 in ViT-B: 1.19 million parameters), and
        the task's rows of a linear head.
    Stores: the adapters and the head.
    Cost: one forward pass per test image.
    Differences from the paper: the recipe of the tables was not published, so its values are UNVERIFIED; the defaults
        are those of APER's adapter. Rows of old classes are not trained and do not decay.
    """

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(20, "epochs per task", ge=1)
        batch_size: int = option(48, "images per step", ge=1)
        lr: float = option(
            0.01, "learning rate of adapters and head, with cosine decay to 0", gt=0, search=scales.log(1e-3, 0.3)
        )
        momentum: float = option(0.9, "SGD momentum", ge=0, lt=1)
        weight_decay: float = option(5e-4, "weight decay of all trained parameters", ge=0)
        augment: str = option("rrc05-flip", "augmentation of training images", choices=tuple(RECIPES))
        rank: int = option(64, "width of the adapters' bottlenecks", ge=1)

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(compares="its softmax over the classes of a task")

    def setup(self, info: StreamInfo) -> None:
        self.adapters = Adapters(self.backbone, self.options.rank, self.init_rng("adapters"))
        self.head = GrowingHead(self.backbone.dim, init="kaiming").to(self.device)

    def learn(self, view: View) -> None:
        o, first = self.options, view.classes[0]
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        newest = self.head.blocks[-1]
        self.fit(
            "adapters",
            self.batches(view.train, o.batch_size, o.augment),
            lambda batch: F.cross_entropy(newest(self.adapters(self.backbone, batch.x)), batch.y - first),
            [*self.adapters.parameters(), *newest.parameters()],
            epochs=o.epochs,
            optimizer=sgd(o.lr, o.momentum, o.weight_decay),
            schedule=Cosine(),
        )

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.head(inputs.encode(self.extractor()))

    def extractor(self) -> Attached:
        return self.adapters.extractor(self.backbone)
