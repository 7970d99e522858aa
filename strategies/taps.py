"""TAPS: per task, a learned choice of the layers of one pretrained network that change."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.bases.told_task import ToldTask
from cl.parts.heads import TaskHeads
from cl.parts.merging import TaskVectors
from cl.parts.statistics import TaskStatistics, batch_norms, batch_statistics
from cl.parts.weights import GatedChanges, Lent, maskable, under
from cl.strategy import (
    RECIPES,
    Batch,
    Cosine,
    Needs,
    Step,
    StreamInfo,
    View,
    option,
    scales,
    sgd,
)


class TAPS(ToldTask):
    """Task adaptive parameter sharing: every task changes the layers of the pretrained network that it must.

    Name: TAPS
    Paper: Wallingford, Li, Achille, Ravichandran, Fowlkes, Bhotika, Soatto. Task Adaptive Parameter Sharing for
        Multi-Task Learning. CVPR 2022, arXiv 2203.16708; the sequential variant.
    Family: isolation
    Networks: vit, cnn, mlp, clip
    Gradients: whole
    Trains: per task a change of the weight of each convolution and linear layer (in a Vision Transformer: of the linear
        layers of its blocks), a score per layer that says whether the change is used, norms and biases, and a head.
    Stores: per task the changes of the layers it uses, of norms and biases, and the statistics of batch norms.
    Cost: one forward pass per test image, each (image, task) once per run; in training one more set of weights.
    Differences from the paper: follows the code of the first author, which calls itself unofficial. The penalty is
        divided by the number of layers; in the code by 52 for every network. It starts after `warmup` epochs, where the
        code has one more (epoch > 2, from 0), and enters as its gradient, so losses in records are without it. The best
        epoch is chosen on validation images, the first of equally good ones; in the code on test images, the last.
        Without validation images (a stream with few) the last epoch is kept. The code sums the gradients of 8 batches
        of 32 images and begins each epoch with a step of one batch; here a batch has 256 images, and `lr` is 8 times as
        large. Norms and biases are trained per task, as in the code, where they have no gate; `norms=false` leaves them
        pretrained, so a task without an open gate has exactly the pretrained network. Batch norms use statistics of the
        task's training images, measured afterwards; in the code running averages. The joint training of many tasks is
        not offered. The code has no gates for Vision Transformers.
    """

    val_fraction = 0.05

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(30, "epochs per task", ge=1)
        batch_size: int = option(256, "images per step", ge=1)
        lr: float = option(0.08, "learning rate (SGD, half a cosine over epochs)", gt=0, search=scales.log(3e-4, 0.3))
        momentum: float = option(0.9, "SGD momentum", ge=0, lt=1)
        sparsity: float = option(
            1.0, "weight of the mean size of the scores (lambda); larger: fewer layers", ge=0,
            search=scales.log(1e-2, 10.0),
        )  # fmt: skip
        warmup: int = option(2, "epochs before the scores are penalised", ge=0)
        threshold: float = option(0.1, "a layer changes if its score is at least this")
        start: float = option(0.15, "initial score of every layer")
        norms: bool = option(True, "also train norms and biases, without a gate")
        augment: str = option("rrc-flip", "augmentation of training images", choices=tuple(RECIPES))

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(compares="its softmax over the classes of a task")

    def setup(self, info: StreamInfo) -> None:
        self.changes = TaskVectors(device=self.device)  # of each task
        self.statistics = TaskStatistics(self.backbone)
        self.head = TaskHeads(self.backbone.dim, init="linear").to(self.device)
        self.gates: GatedChanges | None = None  # of the task in training
        self._layers = len(maskable(self.backbone))
        self._lent: tuple[object, Lent] | None = None

    def learn(self, view: View) -> None:
        o = self.options
        self.head.add(view.classes, self.init_rng("head"))
        self.gates = GatedChanges(self.backbone, free=self._free(), threshold=o.threshold, start=o.start)
        self._train(view, self.gates)
        self.compute("layers of the task", lambda: self._keep(view))

    def report(self) -> dict[str, float]:
        """The share of the layers that each task changes."""
        gated = set(maskable(self.backbone))
        return {f"task{n}.layers": len(gated & set(kept)) / self._layers for n, kept in enumerate(self.changes)}

    def network(self, task: int) -> Lent:
        """The extractor of a task."""
        kept = self.changes.kept[task]
        if self._lent is None or self._lent[0] is not kept:
            self._lent = kept, Lent(self.backbone, {**self._weights(task), **self._norms(task)})
        return self._lent[1]

    def _weights(self, task: int) -> dict[str, Tensor]:
        return {name: self.backbone.model.get_parameter(name) + d for name, d in self.changes[task].items()}

    def _norms(self, task: int) -> dict[str, Tensor]:
        return self.statistics.of(task) if self.options.norms else {}

    def _free(self) -> Sequence[str]:
        """Norms and biases: parameters with one dimension."""
        named = self.backbone.model.named_parameters() if self.options.norms else ()
        return [name for name, parameter in named if parameter.ndim == 1]

    def _train(self, view: View, gates: GatedChanges) -> None:
        o, head, column = self.options, self.head.blocks[-1], self.head.targets(self.info.n_classes)

        def loss(batch: Batch) -> Tensor:
            return F.cross_entropy(head(gates(self.backbone, batch.x)), column[batch.y])

        def penalise(step: Step) -> None:
            for score in gates.scores if step.epoch >= o.warmup else ():
                assert score.grad is not None
                score.grad += o.sparsity * score.sign() / len(gates.scores)

        validated = view.val is not None  # a stream with few images may have no validation images
        # Images are stored class by class, but the statistics of a batch must be those of all classes
        mixes = view.val is not None and o.norms and batch_norms(self.backbone)
        order = torch.randperm(len(view.val or ()), generator=self.rng("validation")) if mixes else None

        def validate() -> float:
            assert view.val is not None
            chunks = self.chunks(view.val, order)
            with torch.no_grad():
                right = [(head(gates(self.backbone, x)).argmax(1) == column[y]).sum() for x, y in chunks]
            return float(sum(right)) / len(view.val)

        with batch_statistics(self.backbone) if o.norms else contextlib.nullcontext():
            self.fit(
                "changes and scores",
                self.batches(view.train, o.batch_size, o.augment),
                loss,
                [*gates.parameters(), *head.parameters()],
                epochs=o.epochs,
                optimizer=sgd(o.lr, o.momentum),
                schedule=Cosine(),
                before_step=penalise,
                validate=validate if validated else None,
                select="best" if validated else "last",
            )

    def _keep(self, view: View) -> None:
        """Keep the changes that the task uses, and the statistics of batch norms with them."""
        assert self.gates is not None
        self.changes.add(self.gates.kept())
        self.gates = None
        if not self.options.norms:
            return
        order = torch.randperm(len(view.train), generator=self.rng("statistics"))
        weights, images = self._weights(view.task), (x for x, _ in self.chunks(view.train, order))
        self.statistics.add(self.backbone, images, lambda x: under(self.backbone, weights, x))
