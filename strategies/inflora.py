"""InfLoRA: low-rank additions that act only on directions in which no earlier task has its inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.attached import LoRA
from cl.parts.attached.attach import blocks_of
from cl.parts.heads import GrowingHead
from cl.parts.statistics import DualGPM, InputMoments
from cl.strategy import (
    RECIPES,
    Batch,
    Extractor,
    Inputs,
    Needs,
    Strategy,
    StreamInfo,
    View,
    When,
    adam,
    option,
    scales,
)
from cl.training.optim import QuarterCosine


class InfLoRA(Strategy):
    """Interference-free LoRA: A is the leading free directions of the task's inputs, and only B is trained.

    Name: InfLoRA
    Paper: Liang, Li. InfLoRA: Interference-Free Low-Rank Adaptation for Continual Learning. CVPR 2024,
        arXiv 2404.00228.
    Family: adapters
    Networks: vit
    Gradients: parts
    Trains: the B of the task for the keys and the values of every block (ViT-B, rank 10: 184,320 parameters), and the
        new task's head.
    Stores: A and B of every task (ViT-B, rank 10: 1.5 MB), and per block an orthonormal basis of at most d / 2
        directions (at most 14.2 MB for ViT-B); no images.
    Cost: one forward pass per test image, with two more products per block, 2 t r wide after t tasks; two more passes
        over the training images of a task, and 2 to 4 SVDs of a d x d matrix per block.
    Differences from the paper: follows the authors' code, which takes singular values and vectors of the second moment
        x^T x / n of the inputs where the paper takes those of the inputs; `directions=inputs` is the paper's. The code
        divides A by sqrt 3, which the paper does not; `length=1` is the paper's. If the first task occupies half of the
        directions, the code's memory takes them for the free ones, and it stops if there are more; ours keeps the free
        ones. We project the rows of A once more, so that they stay free if fewer than `rank` directions are left.
        Moments are summed in float64.
    """

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(20, "epochs per task", ge=1)
        batch_size: int = option(128, "images per step", ge=1)
        lr: float = option(5e-4, "learning rate of B and of the head (Adam)", gt=0, search=scales.log(1e-4, 3e-2))
        augment: str = option("rrc-flip", "augmentation of training images", choices=tuple(RECIPES))
        rank: int = option(10, "rank of the additions", ge=1)
        length: float = option(1 / math.sqrt(3), "length of the rows of A", gt=0)
        directions: str = option(
            "moments", "the matrix for SVDs: the moments x^T x / n, or the inputs", choices=("moments", "inputs")
        )
        threshold: float = option(0.95, "share of the squared singular values to occupy in the first task", gt=0, lt=1)
        threshold_end: float = option(
            1.0, "the share rises linearly with the tasks, to this value after one task more", gt=0, le=1
        )

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(compares="its softmax over the classes of a task")

    def setup(self, info: StreamInfo) -> None:
        self.head = GrowingHead(self.backbone.dim, init="linear").to(self.device)
        self.lora = LoRA(
            self.backbone, self.options.rank, ("attn.qkv",), groups=("k", "v"), slots=0, generator=self.init_rng("lora")
        )
        self.memory = DualGPM()

    def learn(self, view: View) -> None:
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        self.lora.grow(self.init_rng("lora"))
        self.compute("directions", lambda: self._set_directions(view))
        self._train(view)
        self.compute("memory", lambda: self.memory.update(self._moments(view), self.share(view.task)))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.head(inputs.encode(self.extractor()))

    def extractor(self) -> Extractor:
        return self.lora.extractor(self.backbone)

    def share(self, task: int) -> float:
        """The share of the squared singular values that the memory holds after a task."""
        o = self.options
        return o.threshold + (o.threshold_end - o.threshold) * task / self.info.n_tasks

    def _set_directions(self, view: View) -> None:
        """A of keys and values: the leading left singular vectors of the moments within the free directions."""
        a = self.lora.a[-1]
        for block, moment in enumerate(self._moments(view)):
            leading = torch.linalg.svd(self.memory.project(block, moment))[0][:, : self.options.rank]
            rows = self.options.length * self.memory.project(block, leading).mT
            with torch.no_grad():
                a[2 * block].copy_(rows)
                a[2 * block + 1].copy_(rows)

    @torch.no_grad()
    def _moments(self, view: View) -> list[Tensor]:
        """The moments [d, d] of the inputs of attention in every block, over one epoch of augmented images."""
        o = self.options
        moments = InputMoments([cast(Any, block).attn for block in blocks_of(self.backbone, "attn")])
        with moments.measuring():
            for batch in self.batches(view.train, o.batch_size, o.augment).epoch(0, self._draws):
                self.lora(self.backbone, batch.x)
        return [_root(moment) if o.directions == "inputs" else moment for moment in moments.values()]

    def _draws(self, *key: str | int) -> torch.Generator:
        return self.rng(" ".join(map(str, ("moments", *key))))

    def _train(self, view: View) -> None:
        o, head, first = self.options, self.head.blocks[-1], view.classes[0]

        def loss(batch: Batch) -> Tensor:
            return F.cross_entropy(head(self.lora(self.backbone, batch.x)), batch.y - first)

        self.fit(
            "train",
            self.batches(view.train, o.batch_size, o.augment),
            loss,
            [*self.lora.b[-1], *head.parameters()],
            epochs=o.epochs,
            optimizer=adam(o.lr),
            schedule=late,
        )


def late(when: When) -> float:
    """The schedule of the code: the second epoch has the rate of the first, and the others follow a quarter cosine."""
    return QuarterCosine()(replace(when, epoch=max(when.epoch - 1, 0)))


def _root(moment: Tensor) -> Tensor:
    """R with R R^T = moment: its left singular vectors and its singular values are those of the inputs / sqrt n."""
    values, vectors = torch.linalg.eigh(moment)
    return vectors * values.clamp(min=0).sqrt()
