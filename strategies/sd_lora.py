"""SD-LoRA: a low-rank addition per task; earlier additions keep their directions, and all magnitudes are trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.parts.attached import LoRA
from cl.parts.heads import GrowingHead
from cl.strategy import (
    RECIPES,
    Batch,
    Extractor,
    Inputs,
    MultiStep,
    Needs,
    Strategy,
    StreamInfo,
    View,
    option,
    scales,
    sgd,
)


class SDLoRA(Strategy):
    """Scalable decoupled LoRA: W + sum_i a_i B_i A_i / norm_i + a_t B_t A_t; all a train, but only the newest A and B.

    Name: SD-LoRA
    Paper: Wu, Piao, Huang, Wang, Li, Pfister, Meng, Ma, Wei. SD-LoRA: Scalable Decoupled Low-Rank Adaptation for Class
        Incremental Learning. ICLR 2025, arXiv 2501.13198.
    Family: adapters
    Networks: vit
    Gradients: parts
    Trains: A and B of the task for the queries and the values of every block (ViT-B, rank 10: 368,640 parameters), one
        magnitude per task so far, shared by all blocks, and the new task's head.
    Stores: A and B of every task (ViT-B, rank 10: 1.5 MB), and the magnitudes; no images.
    Cost: one forward pass per test image, with two more products per block, 2 t r wide after t tasks.
    Differences from the paper: follows the authors' code. It divides an earlier product by the norms of its factors,
        the paper by the norm of the product; `direction=product` is the paper's. The magnitudes of all tasks start
        again at 0.8 in every task, and the newest product is not divided by a norm. The code computes a penalty of
        orthogonality but does not use it, so it is left out, as are the variants with falling ranks and with
        distillation. The factors of a task are divided once, when the next task begins, instead of in every pass.
    """

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(20, "epochs per task", ge=1)
        batch_size: int = option(128, "images per step", ge=1)
        lr: float = option(
            8e-3, "learning rate of A, B, the magnitudes and the head (SGD)", gt=0, search=scales.log(1e-3, 1e-1)
        )
        momentum: float = option(0.9, "SGD momentum", ge=0, lt=1)
        milestones: tuple[int, ...] = option((), "epochs at which the learning rate is multiplied by gamma", ge=0)
        gamma: float = option(0.1, "factor of the learning rate at a milestone", gt=0)
        augment: str = option("rrc05-flip", "augmentation of training images", choices=tuple(RECIPES))
        rank: int = option(10, "rank of the additions", ge=1)
        magnitude: float = option(0.8, "magnitude of every task at the start of a task", gt=0)
        direction: str = option(
            "factors", "the product of an earlier task is divided by the norms of its factors, or by its own norm",
            choices=("factors", "product"),
        )  # fmt: skip

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(compares="its softmax over the classes of a task")

    def setup(self, info: StreamInfo) -> None:
        self.head = GrowingHead(self.backbone.dim, init="kaiming").to(self.device)
        self.lora = LoRA(
            self.backbone, self.options.rank, ("attn.qkv",), groups=("q", "v"), slots=0, generator=self.init_rng("lora")
        )
        self.magnitudes = nn.Parameter(torch.zeros(info.n_tasks, device=self.device), requires_grad=False)

    def learn(self, view: View) -> None:
        o = self.options
        self._begin(view)
        head, first = self.head.blocks[-1], view.classes[0]

        def loss(batch: Batch) -> Tensor:
            features = self.lora(self.backbone, batch.x, self.magnitudes[: len(self.lora)])
            return F.cross_entropy(head(features), batch.y - first)

        self.fit(
            "train",
            self.batches(view.train, o.batch_size, o.augment),
            loss,
            [*self.lora.a[-1], *self.lora.b[-1], self.magnitudes, *head.parameters()],
            epochs=o.epochs,
            optimizer=sgd(o.lr, o.momentum),
            schedule=MultiStep(o.milestones, o.gamma),
        )

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.head(inputs.encode(self.extractor()))

    def extractor(self) -> Extractor:
        return self.lora.extractor(self.backbone, self.magnitudes[: len(self.lora)].detach())

    @torch.no_grad()
    def _begin(self, view: View) -> None:
        """Keep the direction of the last task, and add a slot and a head."""
        if len(self.lora):
            for a, b in zip(self.lora.a[-1], self.lora.b[-1], strict=True):
                self._normalise(a, b)
        self.lora.grow(self.init_rng("lora"))
        self.magnitudes.fill_(self.options.magnitude)
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        self.head.blocks[-1].weight.mul_(math.sqrt(3))  # the code's draw, uniform up to sqrt(3 / d)

    def _normalise(self, a: Tensor, b: Tensor) -> None:
        """Divide B A by a norm, in place; a product of 0 stays 0."""
        if self.options.direction == "factors":
            a.div_(a.norm())
            b.div_(b.norm().clamp(min=torch.finfo(b.dtype).tiny))
        else:
            b.div_((b @ a).norm().clamp(min=torch.finfo(b.dtype).tiny))
