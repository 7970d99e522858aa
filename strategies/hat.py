"""HAT: hard attention to the task: gates of units that a task learns, and that protect the units of earlier tasks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.bases.told_task import ToldTask
from cl.parts.heads import TaskHeads
from cl.parts.weights.task_tensors import TaskTensors
from cl.parts.weights.unit_gates import GatedExtractor, UnitGates, behind_gate, compensated, gates_of
from cl.strategy import (
    RECIPES,
    Batch,
    Needs,
    Plateau,
    Step,
    StreamInfo,
    View,
    option,
    scales,
    sgd,
)


class HAT(ToldTask):
    """Gates per unit and task, trained by an embedding; weights between units of earlier tasks hardly change.

    Name: HAT
    Paper: Serra, Suris, Miron, Karatzoglou. Overcoming Catastrophic Forgetting with Hard Attention to the Task. ICML
        2018, arXiv 1801.01423.
    Family: isolation
    Networks: cnn, mlp, random
    Gradients: whole
    Trains: all weights and biases, an embedding e per unit of the task, and the head of the task. The gate of a unit is
        sigmoid(s e); s rises within an epoch from 1 / smax to smax. The gradient of a weight is multiplied by 1 -
        min(a, b), with the largest gates a, b of earlier tasks of the units that it joins. The loss adds lamb times the
        share of gates that are open, units of earlier tasks left out.
    Stores: the network, and per task a number per unit, and a head; the running averages of norms.
    Cost: one forward pass per test image.
    Differences from the paper: training is compared with joansj/hat @6fd0b9d. Gates stand in front of the next layer,
        after the activation and pooling of their own, which is the same, and in a network with batch norms keeps the
        gate behind the norm. The network must be a chain of layers: residual connections pass gates by, so they are
        refused. Gates are almost 0 or 1, not exactly, so earlier tasks change a little, as in the code. Norms of a
        network with batch norms use the statistics of each task.
    """

    val_fraction = 0.15

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(200, "maximum number of epochs per task", ge=1)
        batch_size: int = option(64, "images per step", ge=1)
        lr: float = option(0.05, "learning rate of everything (SGD)", gt=0, search=scales.log(5e-3, 0.5))
        lr_min: float = option(1e-4, "end a task when the learning rate falls below this value", ge=0)
        patience: int = option(5, "divide the rate by 3 after this many epochs without improvement", ge=1)
        lamb: float = option(0.75, "weight of the share of open gates", ge=0, search=scales.log(0.1, 3.0))
        smax: float = option(400.0, "largest scale of the embeddings, also the one of predictions", ge=1)
        clip: float = option(10_000.0, "bound of the gradient norm", gt=0)
        augment: str = option("none", "augmentation of training images", choices=tuple(RECIPES))

    @classmethod
    def needs(cls, options: Options) -> Needs:
        return Needs(compares="its softmax over the classes of a task", batch_size=options.batch_size)

    def setup(self, info: StreamInfo) -> None:
        self.gates = UnitGates(self.backbone)
        self.kept = TaskTensors(self.device)  # norms of each task, and what else no gate protects
        self.head = TaskHeads(self.backbone.dim, init="linear").to(self.device)
        self.scale = 1.0  # s of the next step
        self._gated: tuple[object, GatedExtractor] | None = None

    def learn(self, view: View) -> None:
        self.head.add(view.classes, self.init_rng("head"))
        self.gates.add(self.init_rng("gates"))
        self._train(view)
        self.gates.keep(self.options.smax)
        model = self.backbone.model
        small = {name: value for name, value in model.named_parameters() if self.gates.free(name) is None}
        self.kept.add({**small, **{n: value for n, value in model.named_buffers() if value.is_floating_point()}})

    def report(self) -> dict[str, float]:
        """The share of units that tasks use (gate above 1/2), after each task."""
        used = [self.gates.used(self.options.smax, task + 1) for task in range(len(self.gates))]
        return {"used": used[-1] if used else 0.0, **{f"task{task}.used": share for task, share in enumerate(used)}}

    def _train(self, view: View) -> None:
        o, gates, head = self.options, self.gates, self.head.blocks[-1]
        column, count, model = self.head.targets(self.info.n_classes), len(view.train), self.backbone.model
        factors = {name: gates.free(name) for name, _ in model.named_parameters()} if len(gates) else {}

        def logits(images: Tensor, scale: float) -> tuple[Tensor, list[Tensor]]:
            opened = gates_of(gates.current, scale)
            with gates.gated(opened):
                return head(behind_gate(self.backbone(images), opened[-1])), opened

        def loss(batch: Batch) -> Tensor:
            found, opened = logits(batch.x, self.scale)
            return F.cross_entropy(found, column[batch.y]) + o.lamb * gates.penalty(opened)

        def protect(step: Step) -> None:
            for name, factor in factors.items():
                if factor is not None and (gradient := model.get_parameter(name).grad) is not None:
                    gradient.mul_(factor)
            for embedding in gates.current:
                if embedding.grad is not None:
                    embedding.grad.mul_(compensated(embedding, self.scale, o.smax))

        @torch.no_grad()
        def rest(step: Step) -> None:
            for embedding in gates.current:
                embedding.clamp_(-6, 6)
            passed = (step.step + 1) % step.steps * o.batch_size / count
            self.scale = 1 / o.smax + (o.smax - 1 / o.smax) * passed

        def validate() -> float:
            """Minus the validation loss, with the penalty, at the largest scale."""
            assert view.val is not None
            with torch.no_grad():
                penalty = float(o.lamb * gates.penalty(gates_of(gates.current, o.smax)))
                losses = [
                    F.cross_entropy(logits(x, o.smax)[0], column[y], reduction="sum") for x, y in self.chunks(view.val)
                ]
            return -float(torch.stack(losses).sum()) / len(view.val) - penalty

        self.scale = 1 / o.smax
        validated = view.val is not None and len(view.val) > 0
        self.fit(
            "gates and weights", self.batches(view.train, o.batch_size, o.augment), loss,
            [*model.parameters(), *gates.current, *head.parameters()], epochs=o.epochs,
            optimizer=sgd(o.lr, momentum=0.0), before_step=protect, after_step=rest, clip=o.clip,
            validate=validate if validated else None, select="best" if validated else "last",
            plateau=Plateau(1 / 3, o.patience - 1, o.lr_min) if validated else None,
        )  # fmt: skip

    def network(self, task: int) -> GatedExtractor:
        """The extractor of a task; the latest is cached until a weight changes."""
        key = (task, [(id(value), value._version) for value in self.backbone.model.parameters()])
        if self._gated is None or self._gated[0] != key:
            gates = gates_of(self.gates.tasks[task], self.options.smax)
            self._gated = key, GatedExtractor(self.backbone, self.gates, gates, self.kept.tasks[task])
        return self._gated[1]
