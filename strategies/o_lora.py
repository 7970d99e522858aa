"""O-LoRA: a low-rank addition per task, whose A is kept orthogonal to those of earlier tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.attached import LoRA
from cl.parts.heads import GrowingHead
from cl.strategy import RECIPES, Batch, Extractor, Inputs, Needs, Strategy, StreamInfo, View, option, scales
from cl.training.optim import adamw


class OLoRA(Strategy):
    """Orthogonal LoRA: one addition per task; a penalty keeps the rows of its A orthogonal to those of earlier tasks.

    Name: O-LoRA
    Paper: Wang, Chen, Ge, Xia, Bao, Zheng, Zhang, Gui, Huang. Orthogonal Subspace Learning for Language Model Continual
        Learning. Findings of EMNLP 2023, arXiv 2310.14152.
    Family: adapters
    Networks: vit
    Gradients: parts
    Trains: A and B of the task for the queries and the values of every block (ViT-B, rank 8: 294,912 parameters), and
        the new task's head.
    Stores: A and B of every task (ViT-B, rank 8: 1.2 MB); no images.
    Cost: one forward pass per test image, with two more products per block, 2 t r wide after t tasks.
    Differences from the paper: published for language models; images, heads per task and a softmax over the classes of
        the task are ours. The paper penalises the squares of A_i A_t^T, the authors' code their absolute values;
        `penalty=squared` is the paper's. The code can also penalise the norms of A and B (`l2`): its scripts of four
        tasks do not, its script of 15 tasks does in seven of them (0.1 or 0.3), and raises lambda_1 to 5 from the tenth
        on. Gradients are clipped at norm 1, the default of the code's trainer. The queries and the values of a block
        share a dropout mask; in the code each layer draws its own.
    """

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(1, "epochs per task", ge=1)
        batch_size: int = option(64, "images per step", ge=1)
        lr: float = option(
            1e-3, "learning rate of A, B and the head (AdamW), constant", gt=0, search=scales.log(1e-4, 3e-2)
        )
        weight_decay: float = option(0.0, "weight decay of A, B and the head", ge=0)
        augment: str = option("rrc-flip", "augmentation of training images", choices=tuple(RECIPES))
        rank: int = option(8, "rank of the additions", ge=1)
        alpha: float = option(32.0, "the product B A is multiplied by alpha / rank", gt=0)
        dropout: float = option(0.1, "dropout on the inputs of A", ge=0, lt=1)
        orthogonality: float = option(0.5, "weight of the penalty (lambda_1)", ge=0, search=scales.log(1e-2, 10.0))
        penalty: str = option(
            "absolute", "the penalty sums absolute values or squares of A_i A_t^T", choices=("absolute", "squared")
        )
        l2: float = option(0.0, "weight of the sum of the norms of the task's A and B (lambda_2)", ge=0)
        clip: float = option(1.0, "upper bound of the gradient norm; 0: none", ge=0)

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(compares="its softmax over the classes of a task")

    def setup(self, info: StreamInfo) -> None:
        o = self.options
        self.head = GrowingHead(self.backbone.dim, init="linear").to(self.device)
        self.lora = LoRA(
            self.backbone, o.rank, ("attn.qkv",), groups=("q", "v"), scale=o.alpha / o.rank, slots=0,
            dropout=o.dropout, generator=self.init_rng("lora"),
        )  # fmt: skip

    def learn(self, view: View) -> None:
        o = self.options
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        self.lora.grow(self.init_rng("lora"))
        head, first = self.head.blocks[-1], view.classes[0]

        def loss(batch: Batch) -> Tensor:
            found = F.cross_entropy(head(self.lora(self.backbone, batch.x)), batch.y - first)
            return found + o.orthogonality * self.overlap() + o.l2 * self.length()

        self.fit(
            "train",
            self.batches(view.train, o.batch_size, o.augment),
            loss,
            [*self.lora.a[-1], *self.lora.b[-1], *head.parameters()],
            epochs=o.epochs,
            optimizer=adamw(o.lr, weight_decay=o.weight_decay),
            clip=o.clip or None,
        )

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.head(inputs.encode(self.extractor()))

    def extractor(self) -> Extractor:
        return self.lora.extractor(self.backbone)

    def overlap(self) -> Tensor:
        """The sum over sites and earlier tasks i of |A_i A_t^T|, or of its squares; 0 in the first task."""
        *earlier, newest = (torch.stack(list(slot)) for slot in self.lora.a)  # [sites, rank, in]
        if not earlier:
            return newest.new_zeros(())
        products = torch.cat(earlier, 1) @ newest.mT
        return products.square().sum() if self.options.penalty == "squared" else products.abs().sum()

    def length(self) -> Tensor:
        """The sum of the norms of the newest A and B."""
        return torch.stack([factor.norm() for factor in (*self.lora.a[-1], *self.lora.b[-1])]).sum()
