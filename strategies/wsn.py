"""WSN: every task finds its own subnetwork in shared weights, and never changes weights of earlier subnetworks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.bases.told_task import ToldTask
from cl.parts.heads import TaskHeads
from cl.parts.statistics import TaskStatistics, batch_statistics
from cl.parts.weights import PAPER_RATE, Lent, Scores, TaskMasks, best, capacity, compression_rate, selected, under
from cl.strategy import (
    RECIPES,
    Batch,
    Inputs,
    Needs,
    Plateau,
    StreamInfo,
    View,
    When,
    adam,
    option,
    scales,
)
from cl.training.generators import generator


class WSN(ToldTask):
    """A subnetwork per task, chosen by trained scores; weights used by an earlier task are never changed.

    Name: WSN
    Paper: Kang, Mina, Madjid, Yoon, Hasegawa-Johnson, Hwang, Yoo. Forget-free Continual Learning with Winning
        SubNetworks. ICML 2022.
    Family: isolation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the weights that no earlier task uses, a score for each weight of convolutions and linear layers (in a
        Vision Transformer: of the linear layers of its blocks), and the head of the task.
    Stores: weights, scores, and per task a mask with one bit per weight, a head without bias, and the statistics of
        batch norms; no images.
    Cost: one forward pass per test image, each (image, task) once per run; a training step also sorts the scores.
    Differences from the paper: follows the authors' code where code and paper differ (weights are ranked by |score|,
        not by the score). Batch norms use statistics of the task's training images; in the code, those of the test
        batch (`legacy`). A head has only the classes of its task; in the code it has all classes, and classes of other
        tasks can win. Accuracies of earlier tasks are measured again after each task; the code's CIFAR-100 script
        copies them. Masks are stored as bits; the size of their Huffman code is only computed. With pretrained weights
        (a transplant, not in the paper) norms, biases and embeddings are frozen. The code keeps the weights and scores
        of the best epoch, but the mask of the last epoch's last batch; here all three are those of the best epoch. Its
        coder compares sizes of Python objects, not bits; here bits are counted. SoftNet of the extended paper (arXiv
        2303.14962) is `background` above 0 (preset `softnet`): in prediction, the weights around the exact subnetwork
        have small noise, for forward transfer to tasks not learned yet. Its code has no such path, and its details were
        not available to us: the size of the noise, one draw per task, and the latest subnetwork for later tasks (the
        initial one before the first) are ours. Weights around a subnetwork still change, so earlier tasks can be
        forgotten.
    """

    val_fraction = 0.05
    answers_early = True
    """Heads of tasks not learned yet can answer, on features of the latest subnetwork: forward transfer needs them."""

    @dataclass(frozen=True)
    class Options:
        share: float = option(0.5, "c: share of each layer's weights in the subnetwork of a task", gt=0, le=1)
        epochs: int = option(200, "maximum number of epochs per task", ge=1)
        batch_size: int = option(64, "images per step", ge=1)
        lr: float = option(
            1e-3, "learning rate of weights, scores and head (Adam)", gt=0, search=scales.log(1e-4, 1e-2)
        )
        patience: int = option(5, "halve the learning rate after more than this many epochs without improvement", ge=0)
        lr_min: float = option(1e-6, "end a task when the learning rate falls below this value", ge=0)
        augment: str = option("none", "augmentation of training images", choices=tuple(RECIPES))
        background: float = option(
            0.0,
            "SoftNet: in prediction, multiply weights outside the subnetwork by noise from U(0, background); 0: none",
            ge=0,
            le=1,
            unlisted=True,
        )
        legacy: bool = option(False, "test with batch norms that use statistics of the test batch, as the code does")

    @classmethod
    def marks(cls, options: Options) -> tuple[str, ...]:
        return ("legacy", "batch-dependent") if options.legacy else ()

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(compares="its softmax over the classes of a task")

    def setup(self, info: StreamInfo) -> None:
        self.scores = Scores(self.backbone, self.init_rng("scores"))  # drawn once, then carried from task to task
        self.masks = TaskMasks([weight.shape for weight in self._weights], self.device)
        self.statistics = TaskStatistics(self.backbone)
        self.head = TaskHeads(self.backbone.dim, bias=False).to(self.device)
        self._lent: tuple[object, Lent] | None = None
        self._capacities: tuple[object, list[dict[str, float]]] = self.masks.packed, []  # of each task, computed once

    def learn(self, view: View) -> None:
        self.head.add(view.classes, self.init_rng("head"))
        self._train(view)
        self.compute("subnetwork", lambda: self._keep(view))

    def predict_task(self, inputs: Inputs, task: int) -> Tensor:
        if not self.options.legacy:
            return super().predict_task(inputs, task)
        with batch_statistics(self.backbone):
            features = under(self.backbone, self.tensors(task), inputs.images(self.backbone.transform))
        return self.head.scores(task, features)

    def report(self) -> dict[str, float]:
        """CAP with the measured and with the paper's compression rate of masks, and its components.

        `taskT.NAME` are the numbers after task T, so a record shows how the capacity grows with the tasks.
        """
        if self._capacities[0] is not self.masks.packed:  # another state was loaded
            self._capacities = self.masks.packed, []
        found = self._capacities[1]
        found += [self._capacity(tasks) for tasks in range(len(found) + 1, len(self.masks) + 1)]
        after = {f"task{task}.{name}": value for task, each in enumerate(found) for name, value in each.items()}
        return {**(found[-1] if found else self._capacity(0)), **after}

    def _capacity(self, count: int) -> dict[str, float]:
        """The numbers of `report` after `count` tasks."""
        tasks = [[mask.cpu().numpy() for mask in self.masks[task]] for task in range(count)]
        rate, density = compression_rate(list(zip(*tasks, strict=True))), self.masks.density_of(count)
        return {
            "capacity": capacity(density, count, rate),
            "capacity_paper_rate": capacity(density, count, PAPER_RATE),
            "mask_compression": rate,
            "density": density,
        }

    # -------------------------------------------------------------------------------------------------- training

    def _train(self, view: View) -> None:
        """Steps 2 to 7: in each step the scores choose the weights; weights of earlier tasks get no gradient."""
        o, head, taken = self.options, self.head.blocks[-1], self.masks.union()
        column = self.head.targets(self.info.n_classes)

        def loss(batch: Batch) -> Tensor:
            features = self.scores(self.backbone, batch.x, self.scores.choose(o.share))
            return F.cross_entropy(head(features), column[batch.y])

        def protect(when: When) -> None:
            for weight, used in zip(self._weights, taken, strict=True):
                if weight.grad is not None:
                    weight.grad.masked_fill_(used, 0)

        def validate() -> float:
            """Minus the validation loss with the masks of the last training batch."""
            assert view.val is not None
            with torch.no_grad():
                total = sum(
                    F.cross_entropy(head(self.scores(self.backbone, x, self.scores.masks)), column[y], reduction="sum")
                    for x, y in self.chunks(view.val, order)
                )
            return -float(total) / len(order)

        order = torch.randperm(len(view.val) if view.val else 0, generator=self.rng("validation"))
        validated = len(order) > 0  # a stream with few images may have no validation images
        with batch_statistics(self.backbone):
            self.fit(
                "subnetwork",
                self.batches(view.train, o.batch_size, o.augment),
                loss,
                [*self._weights, *self.scores.parameters(), *head.parameters()],
                epochs=o.epochs,
                optimizer=adam(o.lr),
                before_step=protect if len(self.masks) else None,
                validate=validate if validated else None,
                select="best" if validated else "last",
                plateau=Plateau(0.5, o.patience, o.lr_min) if validated else None,
            )

    def _keep(self, view: View) -> None:
        """Step 8: store the masks of the best epoch's last batch, and the statistics of batch norms with them."""
        self.masks.add(self.scores.masks)
        order = torch.randperm(len(view.train), generator=self.rng("statistics"))
        images = (x for x, _ in self.chunks(view.train, order))
        task = selected(self.scores.names, self._weights, self.scores.masks)
        self.statistics.add(self.backbone, images, lambda x: under(self.backbone, task, x))

    # ------------------------------------------------------------------------------------------------ prediction

    def tensors(self, task: int) -> dict[str, Tensor]:
        """The weights of a task's subnetwork by name in the model; +0 for other weights, or their share of noise.

        A task not learned yet has the latest subnetwork, or that of the initial scores.
        """
        masks = self.masks[min(task, len(self.masks) - 1)] if len(self.masks) else self._initial()
        found = selected(self.scores.names, self._weights, masks)
        if not self.options.background:
            return found
        rng = generator(self.trainer.seeds.init, "init", task, "background")
        for name, weight, mask in zip(self.scores.names, self._weights, masks, strict=True):
            noise = self.options.background * torch.rand(weight.shape, generator=rng).to(weight)
            found[name] = torch.where(mask, weight.detach(), weight.detach() * noise)
        return found

    def _initial(self) -> list[Tensor]:
        return [best(scores, self.options.share) for scores in self.scores.values]

    def network(self, task: int) -> Lent:
        """The extractor of a task; the latest extractor is cached until a weight changes."""
        key = (task, [(id(weight), weight._version, weight.dtype) for weight in self._weights])
        if self._lent is None or self._lent[0] != key:
            statistics = self.statistics.of(min(task, len(self.masks) - 1)) if len(self.masks) else {}
            self._lent = key, Lent(self.backbone, {**self.tensors(task), **statistics})
        return self._lent[1]

    @property
    def _weights(self) -> list[torch.nn.Parameter]:
        return self.scores.weights(self.backbone)
