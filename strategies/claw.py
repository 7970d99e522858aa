"""CLAW: variational continual learning whose units are adapted to each task by factors that it learns to switch on."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cl.parts.attached import Attached
from cl.parts.variational import Layers
from cl.parts.weights.unit_adaptation import UnitAdaptation
from cl.strategies.vcl import VCL
from cl.strategy import Inputs, StreamInfo, TaskSize, View, Work, option, scales


class CLAW(VCL):
    """VCL with a factor per hidden unit and task: whether a unit is adapted, how far, and how far at most is learned.

    Name: CLAW
    Paper: Adel, Zhao, Turner. Continual Learning with Adaptive Weights (CLAW). ICLR 2020, arXiv 1911.09514.
    Family: regularisation
    Networks: cnn, mlp, random
    Gradients: whole
    Trains: each task in two steps, `rounds` times. First, with the shared Gaussians as they are, its adaptation and its
        head: the output of a unit is multiplied by 1 + b (m sigmoid(a) - 1), where b is 1 with probability p, relaxed
        to a Concrete variable; p, a and the maximum m are of the unit and the task. Then, with the adaptation as it is,
        the Gaussians of the network and the head, as `vcl`. Both steps maximise the bound with KL(p || adapt_prior).
    Stores: what `vcl` does, and three numbers per unit and task, which never change after their task.
    Cost: that of `vcl`, with `adapt_epochs` more epochs. Where the task is not told, a pass for every task.
    Differences from the paper: no code of the paper was found, and its equations are known to us by a summary, so this
        is our reading. Factors start at 1 and stay between 0 and m where a unit is adapted: the sigmoid times its
        maximum takes the place of 1. a and m are numbers without a distribution. The first task is adapted too, after
        the training of its means. With one round, units of permuted digits were mostly shut before their weights could
        follow; five rounds forgot less. `adapt_epochs=0` is `vcl`. Where the tasks share their classes and the task of
        an image is not told, it takes the adaptation whose prediction has the least entropy, which is ours.
    """

    @dataclass(frozen=True)
    class Options(VCL.Options):
        adapt_epochs: int = option(50, "epochs of a task's adaptation, before those of the posterior", ge=0)
        adapt_lr: float = option(0.05, "learning rate of the adaptation (Adam)", gt=0, search=scales.log(5e-3, 0.5))
        adapt_prior: float = option(0.5, "prior probability that a unit is adapted", gt=0, lt=1)
        rounds: int = option(5, "how often the two steps follow one another within a task; epochs are totals", ge=1)
        temperature: float = option(0.5, "temperature of the relaxed switches", gt=0)

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        more = options.samples * options.adapt_epochs * task.images
        return super().work(options, task) + Work(trained=more)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        widths = [len(layer.weight) for layer in self._layers.values()]  # type: ignore[arg-type]
        self.adaptation = UnitAdaptation(widths, self.device)

    def infer(self, view: View) -> None:
        o = self.options
        if not o.adapt_epochs:
            super().infer(view)
            return
        self.adaptation.add()
        layers = self._with_head(-1)
        head = {name: layer for name, layer in layers.items() if name not in self._layers}
        own = {"params": self.adaptation.current, "lr": o.adapt_lr}
        for first, second in zip(parts(o.adapt_epochs, o.rounds), parts(o.epochs, o.rounds), strict=True):
            if first:
                self.maximise("adaptation", view, head, first, own)
            if second:
                self.maximise("posterior", view, layers, second)
        self.adaptation.keep()

    def distance(self, layers: Layers) -> Tensor:
        found = super().distance(layers)
        return found + self.adaptation.kl(self.options.adapt_prior) if self.adaptation.current else found

    def factors(self, copies: int) -> list[Tensor]:
        return self.adaptation.drawn(copies, self.options.temperature)

    def factors_of(self, task: int, copies: int, rng: torch.Generator | None) -> list[Tensor]:
        if not len(self.adaptation):
            return []
        return self.adaptation.expected(task) if rng is None else self.adaptation.sampled(task, copies, rng)

    def held(self, task: int) -> list[Tensor]:
        own = self.adaptation.tasks[task] if len(self.adaptation) else []
        return [*super().held(task), *own]

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        if not self._shared or len(self.adaptation) < 2:
            return super().predict(inputs, task)
        if task is not None:
            return self.predict_task(inputs, min(task, len(self.adaptation) - 1))
        return inputs.encode(self._surest())

    def _surest(self) -> Attached:
        """An extractor of the scores of each image by the adaptation whose prediction has the least entropy."""
        tasks = range(len(self.adaptation))
        each = [self.network(task) for task in tasks]

        def call(images: Tensor) -> Tensor:
            scores = torch.stack([network(images) for network in each])
            found = (scores.exp() * scores).sum(-1).argmax(0)
            return scores[found, torch.arange(len(images), device=scores.device)]

        held = [tensor for task in tasks for tensor in self.held(task)]
        return Attached(self.backbone, call, held, dim=self.info.n_classes)

    def report(self) -> dict[str, float]:
        """The share of units that each task adapts."""
        return {f"task{task}.adapted": self.adaptation.adapted(task) for task in range(len(self.adaptation))}


def parts(epochs: int, rounds: int) -> list[int]:
    """Epochs of each round, as equal as whole numbers can be."""
    ends = [epochs * number // rounds for number in range(rounds + 1)]
    return [end - start for start, end in itertools.pairwise(ends)]
