"""TAG: fine-tuning with an optimiser that keeps the second moments of every task and weighs them by similarity."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from cl.bases.fine_tuning import FineTuning
from cl.parts.task_moments import KINDS, MomentStep, TaskMoments
from cl.strategy import RECIPES, ImageSet, StreamInfo, View, option, scales, schedule


class TAG(FineTuning):
    """Task-based accumulated gradients: steps are short where they would undo an earlier task, and long elsewhere.

    Name: TAG
    Paper: Malviya, Ravindran, Chandar. TAG: Task-based Accumulated Gradients for Lifelong Learning. CoLLAs 2022, arXiv
        2105.05155.
    Family: regularisation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the backbone and the newest rows of one linear head. In each tensor a step divides the gradient (Adam: its
        first moment) by sqrt(sum_tau alpha_tau V_tau): V_tau is the second moment of a task, alpha_tau = exp(-b cos) by
        the angle between the first moments of the current and of an earlier task, exp(-b) for the current one.
    Stores: two numbers per parameter and task: the final direction of the first moment and the second moment.
    Cost: one forward pass per test image; a step also reads the moments of all tasks.
    Differences from the paper: steps are compared with pranshu28/TAG @187d4df. With several epochs per task, that code
        starts the bias correction of Adam again in each epoch; here its steps are those of the task. A first moment of
        zeros counts as orthogonal; there it is divided by its length of 0. The code drops a last incomplete batch; here
        it trains. `per_task=false` is the baseline of the paper: the plain optimiser, whose moments are never reset.
        Plain SGD is `finetune`. The hybrids with replay and EWC are left out.
    """

    @dataclass(frozen=True)
    class Options(FineTuning.Options):
        epochs: int = option(1, "epochs per task", ge=1)
        batch_size: int = option(10, "images per step", ge=1)
        optimizer: str = option("rmsprop", "optimiser whose moments are kept per task", choices=KINDS)
        lr: float = option(2.5e-4, "learning rate of the head", gt=0, search=scales.log(3e-5, 3e-2))
        b: float = option(
            5.0, "how much the similarity of tasks counts; 0: all second moments are added", ge=0, le=40,
            search=scales.among(1.0, 3.0, 5.0, 7.0),
        )  # fmt: skip
        momentum: float = option(0.9, "beta1: decay of the first moment", ge=0, lt=1)
        beta2: float = option(0.99, "decay of the second moment (rmsprop and adam)", ge=0, lt=1)
        per_task: bool = option(True, "moments per task; false: the plain optimiser, never reset (the baseline)")
        augment: str = option("none", "augmentation of training images", choices=tuple(RECIPES))

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.moments = TaskMoments()

    def learn(self, view: View) -> None:
        super().learn(view)
        if self.options.per_task:
            self.moments.end_task()

    def _train(self, images: list[ImageSet], classes: tuple[int, ...], seen: int) -> None:
        o = self.options
        self.head.grow_to(seen, self.init_rng("head"))
        self.fit(
            "train",
            self._data(images),
            lambda batch: self.objective(batch, classes),
            self._groups(),
            epochs=o.epochs,
            optimizer=functools.partial(
                MomentStep, moments=self.moments, kind=o.optimizer, lr=o.lr, b=o.b, beta1=o.momentum, beta2=o.beta2,
                weight_decay=o.weight_decay,
            ),
            schedule=schedule(o.schedule, o.milestones, o.gamma),
        )  # fmt: skip

    def _groups(self) -> list[dict[str, Any]]:
        """The tensors of backbone and head by name; older rows of the head have no gradient under the local loss."""
        o, tuned = self.options, {f"backbone.{name}": value for name, value in self.tuned().items()}
        blocks = list(enumerate(self.head.blocks))
        used = blocks[-1:] if o.loss == "local" and o.per_task else blocks
        head: dict[str, nn.Parameter] = {
            f"head.{number}.{name}": value for number, block in used for name, value in block.named_parameters()
        }
        rates = (o.lr * o.backbone_lr_scale, o.lr)
        groups = zip((tuned, head), rates, strict=True)
        return [{"params": list(g.values()), "tensors": list(g), "lr": lr} for g, lr in groups if g]

    def report(self) -> dict[str, float]:
        """How alike the last task is to the earlier ones: the mean cosine of first moments, over tensors and tasks."""
        found = [rows[:-1] @ rows[-1] for rows in self.moments.directions.values() if len(rows) > 1]
        return {"similarity": float(torch.cat(found).mean())} if found else {}
