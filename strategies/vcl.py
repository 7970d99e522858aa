"""VCL: variational continual learning, in which the posterior over the weights is the prior of the next task."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.bases.told_task import ToldTask
from cl.parts.attached import Attached
from cl.parts.heads import TaskHeads
from cl.parts.variational import Layers, MeanField, adapted, gaussian_layers
from cl.strategy import (
    DISJOINT,
    DOMAIN,
    RECIPES,
    Batch,
    Inputs,
    Needs,
    StreamInfo,
    TaskSize,
    View,
    Work,
    adam,
    option,
    scales,
)


class VCL(ToldTask):
    """A Gaussian per weight, trained on each task to explain its images and to stay near the Gaussians before it.

    Name: VCL
    Paper: Nguyen, Li, Bui, Turner. Variational Continual Learning. ICLR 2018, arXiv 1710.10628.
    Family: regularisation
    Networks: cnn, mlp, random
    Gradients: whole
    Trains: means and variances of all weights and biases, by Adam on the mean cross-entropy of `samples` draws +
        KL(q_t || q_t-1) / images; before task 1 the prior is N(0, 1) and means are trained without variances
        (`start_epochs`). Each task has a head of its own; if the tasks share their classes, all have the same one.
    Stores: a mean and a log variance per weight, and per task a head of both; during a task also the prior.
    Cost: `samples` forward passes per training image and `test_samples` per test image, in one batch, of which the
        first layer is computed once. A step takes the products of means and of variances.
    Differences from the paper: trainings are compared with nvcuong/variational-continual-learning @b0827e5: `ddm`
        without noise, and the local reparameterisation of `improved_ddm`, both with the epsilon of TensorFlow's Adam,
        which is larger in early steps than PyTorch's. `ddm` draws whole weights for each sample. `improved_ddm` shares
        the draws of a unit among the images of a batch, starts each task from random means, has a rate of 0.005, and by
        the place of its ReLU no activation behind the last hidden layer. Here each training image has draws of its own;
        at test time all images share them, so that predictions are pure. Weights and heads begin as PyTorch draws them,
        not truncated normal. `ddm` predicts with 100 draws, `improved_ddm` with 20. Convolutions are ours. Coresets are
        left out: they take another training at each evaluation, and with a head per task a network for each.
    """

    settings = (*DISJOINT, DOMAIN)

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(100, "epochs per task", ge=1)
        start_epochs: int = option(100, "epochs of the means alone before the first task", ge=0)
        batch_size: int = option(256, "images per step", ge=1)
        lr: float = option(1e-3, "learning rate (Adam, fresh for every fit)", gt=0, search=scales.log(1e-4, 1e-2))
        samples: int = option(10, "draws per training image", ge=1)
        log_variance: float = option(-6.0, "initial log variance of a weight", le=0)
        kl: float = option(1.0, "factor of the KL divergence; 1: the bound of the paper", ge=0)
        predict: str = option(
            "samples", "average the softmax of draws, or use the means of the weights", choices=("samples", "mean")
        )
        test_samples: int = option(20, "draws of the weights for predictions", ge=1)
        augment: str = option("none", "augmentation of training images", choices=tuple(RECIPES))

    @classmethod
    def needs(cls, options: Options) -> Needs:
        return Needs(compares="its softmax over the classes of a task", batch_size=options.batch_size)

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found, started = super().work(options, task), 0 if task.number else options.start_epochs
        passes = options.samples * found.trained + started * task.images
        return replace(found, trained=passes, test_passes=options.test_samples, known="upper bound")

    def setup(self, info: StreamInfo) -> None:
        self._layers = gaussian_layers(self.backbone, "backbone.")
        self._shared = info.n_tasks == 1 or sum(info.classes_per_task) > info.n_classes  # one head for all tasks
        self.posterior = MeanField(self.options.log_variance, self.device)
        self.head = TaskHeads(self.backbone.dim, init="linear").to(self.device)

    def learn(self, view: View) -> None:
        o, first = self.options, not self.posterior.log_variances
        if first or not self._shared:
            self.head.add(range(self.info.n_classes) if self._shared else view.classes, self.init_rng("head"))
        self.posterior.begin(self._with_head(-1))
        if first and o.start_epochs:
            self._start(view)
        self.infer(view)
        self.posterior.end()

    def _start(self, view: View) -> None:
        """Train the means as an ordinary network."""
        head, column = self.head.blocks[-1], self.head.targets(self.info.n_classes)
        self._fit(
            "means", view, lambda batch: F.cross_entropy(head(self.backbone(batch.x)), column[batch.y]),
            [*self.backbone.model.parameters(), *head.parameters()], self.options.start_epochs,
        )  # fmt: skip

    def infer(self, view: View) -> None:
        """Train the distributions of a task: those of the network and of the head."""
        self.maximise("posterior", view, self._with_head(-1), self.options.epochs)

    def maximise(self, phase: str, view: View, layers: Layers, epochs: int, *groups: dict[str, Any]) -> None:
        """Maximise the bound of the evidence over the distributions of some layers, and over other parameters."""
        column = self.head.targets(self.info.n_classes)

        def loss(batch: Batch) -> Tensor:
            copies = self.options.samples
            logits = self._logits(batch.x, -1, self.factors(copies), copies)
            errors = F.cross_entropy(logits, column[batch.y].repeat(copies))
            return errors + self.options.kl * self.distance(layers) / len(view.train)

        self._fit(phase, view, loss, [{"params": self.posterior.parameters(layers)}, *groups], epochs)

    def distance(self, layers: Layers) -> Tensor:
        """The KL divergence of what is trained from its prior."""
        return self.posterior.kl(layers)

    def factors(self, copies: int) -> list[Tensor]:
        """Factors [copies, units] of the units of each layer, for a step on the current task; none here."""
        return []

    def _fit(self, phase: str, view: View, loss: Callable[[Batch], Tensor], trained: Any, epochs: int) -> None:
        o = self.options
        batches = self.batches(view.train, o.batch_size, o.augment)
        self.fit(phase, batches, loss, trained, epochs=epochs, optimizer=adam(o.lr))

    def _with_head(self, number: int) -> dict[str, nn.Module]:
        number %= len(self.head)
        return {**self._layers, f"head.{number}": self.head.blocks[number]}

    def _logits(
        self, images: Tensor, number: int, factors: list[Tensor], copies: int, rng: torch.Generator | None = None
    ) -> Tensor:
        """Logits [copies B, classes of a head] of draws of the weights."""
        with self.posterior.sampling(self._with_head(number), copies, factors=factors, generator=rng):
            found: Tensor = self.head.blocks[number](self.backbone(images))
        return found

    # ------------------------------------------------------------------------------------------------ prediction

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.predict_task(inputs, 0) if self._shared else super().predict(inputs, task)

    def predict_task(self, inputs: Inputs, task: int) -> Tensor:
        found = inputs.encode(self.network(task))
        scores = found.new_full((len(found), self.head.seen), -math.inf)
        scores[:, self.head.tasks[self._number(task)]] = found
        return scores

    def network(self, task: int) -> Attached:
        """An extractor of the log probabilities of a task's classes: of the means, or of the average softmax of draws
        that all images share."""
        number, copies = self._number(task), self.options.test_samples

        def of_means(images: Tensor) -> Tensor:
            with adapted(self._with_head(number), self.factors_of(task, 1, None)):
                return self.head.blocks[number](self.backbone(images)).log_softmax(-1)

        def averaged(images: Tensor) -> Tensor:
            rng = self.draws("posterior")
            logits = self._logits(images, number, self.factors_of(task, copies, rng), copies, rng)
            return logits.unflatten(0, (copies, -1)).log_softmax(-1).logsumexp(0) - math.log(copies)

        call = of_means if self.options.predict == "mean" else averaged
        return Attached(self.backbone, call, self.held(task), dim=len(self.head.tasks[number]))

    def factors_of(self, task: int, copies: int, rng: torch.Generator | None) -> list[Tensor]:
        """Factors of units for predictions of a task: draws, or their means without a generator; none here."""
        return []

    def held(self, task: int) -> list[Tensor]:
        """The tensors that predictions of a task depend on, besides the backbone's."""
        return self.posterior.parameters(self._with_head(self._number(task)))

    def _number(self, task: int) -> int:
        """The head of a task."""
        return 0 if self._shared else task
