"""aTLAS: a combination of all task vectors, with coefficients that are learned on a few images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.backbone.devices import positions
from cl.bases.merged import MergingAll
from cl.parts.memory import Memory
from cl.parts.merging import Coefficients, Weights, added
from cl.parts.weights import under
from cl.strategy import Batch, Source, StreamInfo, TaskSize, View, Work, option, scales
from cl.training.optim import adamw


class ATLAS(MergingAll):
    """Task vectors with learned anisotropic scaling: a coefficient per vector and tensor, learned after each task.

    Name: aTLAS
    Paper: Zhang, Albert, Rodriguez-Opazo, van den Hengel, Abbasnejad. Knowledge Composition using Task Vectors with
        Learned Anisotropic Scaling. NeurIPS 2024, arXiv 2407.02880.
    Family: merging
    Networks: vit, cnn, mlp, clip
    Gradients: whole
    Images: kept
    Trains: the whole network, from the pretrained weights, for every task; then the coefficients, from 0.
    Stores: the merged task vector and those of all tasks (each the size of the network, or less: `form`); with
        `data=memory` `memory_size` images as bytes, with their labels.
    Cost: training steps of the combined network for the coefficients; one forward pass per test image.
    Differences from the paper: heads as in `cl.bases.merged`, because there is no text encoder. The published method
        composes all models at once, with validation images of every task, and keeps the best epoch on them; here the
        coefficients are learned again after every task, on a memory of training images or on the images of the task
        (`data=own`), and those of the last epoch are kept. The loss is the mean over images, not the sum of a mean per
        task; if tasks have equally many images, the gradient is as many times smaller as there are tasks, which matters
        to the bound of its norm (`clip`) but not to AdamW. The rate is constant, as in the code of task addition.
        Partitions scale tensors of all ranks; the authors' code leaves all but matrices out of them, and tensors of
        equal shape share a partition. Running statistics of batch norms stay those of the pretrained network, as in the
        code, or have the coefficient of their vector (`anisotropic=false`). Losses on unlabelled images and negation
        are not built, nor is a fine-tuning that starts from a combination of earlier vectors.
    """

    @dataclass(frozen=True)
    class Options(MergingAll.Options):
        data: str = option(
            "memory",
            "images that the coefficients are learned on: a memory of all tasks, or those of the task",
            choices=("memory", "own"),
        )
        memory_size: int = option(500, "data=memory: number of images kept, equally many per class", ge=1)
        anisotropic: bool = option(True, "one coefficient per vector and tensor; otherwise one per vector")
        partitions: int = option(1, "K: random parts of each tensor with coefficients of their own", ge=1)
        coefficient_epochs: int = option(20, "passes over the images for the coefficients", ge=1)
        coefficient_lr: float = option(
            1e-3, "learning rate of the coefficients (AdamW)", gt=0, search=scales.log(1e-4, 0.3)
        )
        coefficient_decay: float = option(0.1, "weight decay of the coefficients", ge=0)

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found = super().work(options, task)
        kept = min(options.memory_size, task.earlier + task.images) if options.data == "memory" else 0
        images = options.coefficient_epochs * (kept or task.images)
        return replace(found + Work(trained=images), kept_images=kept)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        o = self.options
        self.memory = Memory(o.memory_size, "balanced") if o.data == "memory" else None
        self.mixing: Coefficients | None = None  # while it is learned
        self.coefficients: list[float] = []  # the mean coefficient of each task vector

    def merge_task(self, view: View) -> None:
        o = self.options
        self.compute("keep", lambda: self._keep(view))
        self.mixing = Coefficients(
            self.vectors,
            anisotropic=o.anisotropic,
            partitions=o.partitions,
            generator=self.init_rng("partitions"),
        )
        widths = enumerate(self.head.widths)
        tasks = positions([task for task, width in widths for _ in range(width)], self.device)
        self.fit(
            "coefficients",
            self._images(view),
            lambda batch: self._loss(batch, tasks),
            self.mixing.parameters(),
            epochs=o.coefficient_epochs,
            optimizer=adamw(o.coefficient_lr, weight_decay=o.coefficient_decay),
            clip=o.clip,
        )
        super().merge_task(view)
        self.mixing = None

    def merge(self, vector: Weights) -> Mapping[str, Tensor]:
        assert self.mixing is not None
        self.coefficients = self.mixing.values.mean((1, 2)).tolist()
        return self.mixing(self.vectors)

    def report(self) -> dict[str, float]:
        """The mean coefficient of each task vector."""
        return {f"task{task}.coefficient": value for task, value in enumerate(self.coefficients)}

    def _keep(self, view: View) -> None:
        self.vectors.add(self.fresh[0])
        if self.memory is not None:
            self.memory.add(view.train, self.rng("memory"))

    def _images(self, view: View) -> Source:
        held: Any = view.train if self.memory is None else [Remembered(self.memory)]
        return self.batches(held, self.options.batch_size, self.options.augment)

    def _loss(self, batch: Batch, tasks: Tensor) -> Tensor:
        """Cross-entropy over the classes of each image's own task, with the combined network; `tasks` [C] are those of
        the classes."""
        assert self.mixing is not None
        weights = added(self.backbone.pretrained(), self.mixing(self.vectors))
        logits = self.head(self.scaled(under(self.backbone, weights, batch.x)))
        other = tasks[batch.y][:, None] != tasks
        return F.cross_entropy(logits.masked_fill(other, -torch.inf), batch.y)


class Remembered:
    """The images of a memory as a set for batches."""

    def __init__(self, memory: Memory) -> None:
        self.labels, self._pixels = memory.labels, memory.pixels

    def __len__(self) -> int:
        return len(self.labels)

    def pixels(self, index: Tensor) -> Tensor:
        """Pixels [B, C, H, W] of the images at `index`."""
        return self._pixels[index]
