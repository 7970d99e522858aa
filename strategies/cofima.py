"""CoFiMA: SLCA whose backbone is averaged, after each task, with the backbone before it, by Fisher information."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.merging import fisher_average
from cl.parts.statistics import Parameters, batch_norms, diagonal
from cl.parts.weights import under
from cl.strategies.slca import SLCA
from cl.strategy import StreamInfo, TaskSize, View, Work, option, scales
from cl.training import state
from cl.training.batches import without_single


class CoFiMA(SLCA):
    """Continual Fisher-weighted model averaging: slow learning, an average with the weights before, then alignment.

    Name: CoFiMA
    Paper: Marouf, Roy, Tartaglione, Lathuiliere. Weighted Ensemble Models Are Strong Continual Learners. ECCV 2024,
        arXiv 2312.08977; `weighting=plain` is its CoMA.
    Family: alignment
    Networks: vit, cnn, mlp, clip
    Gradients: whole
    Trains: as SLCA. After each task from the second on, each weight of the backbone becomes the average of its value
        before the task and its trained value, weighted by 1 - alpha and alpha times their Fisher information.
    Stores: as SLCA, and the Fisher information of the last task (one float per weight); within a task also the weights
        before it.
    Cost: one forward pass per test image; one more backward pass over the task's images.
    Differences from the paper: follows the authors' code: the Fisher information is the mean of squared gradients of
        batches, with augmentation, in training mode, of the cross-entropy over all classes seen, capped at 1e-4; it is
        measured at the trained weights, not at the averaged ones. Weights without Fisher information get the plain
        average, where the code divides 0 by 0. With `weighting=fisher` the code multiplies the new head by its Fisher
        information, which almost deletes it until the alignment; here the new head is left as trained. Old heads are
        averaged as the start of the alignment only, as in the code, but plainly: the code's Fisher information of old
        heads is left over from gradients of the last alignment. Running statistics of batch norms get the plain
        average. The code's option to average with the weights after the first task is not offered. See also `slca`.
    """

    @dataclass(frozen=True)
    class Options(SLCA.Options):
        weighting: str = option(
            "fisher", "weigh the average by Fisher information (CoFiMA), or not (CoMA)", choices=("fisher", "plain")
        )
        alpha: float = option(
            0.4, "share of the trained weights; the weights before the task get the rest", ge=0, le=1,
            search=scales.linear(0.1, 0.9),
        )  # fmt: skip
        fisher_clip: float = option(1e-4, "upper bound of the Fisher information; 0: none", ge=0)

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        return super().work(options, task) + Work(trained=task.images)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.fisher: dict[str, Tensor] = {}  # of the last task, by name in the model

    def learn(self, view: View) -> None:
        self._answering = state.clone(self.aligned.get_state())
        super().learn(view)

    def _slow_learning(self, view: View) -> None:
        before = state.clone(self._tensors())
        super()._slow_learning(view)
        self.compute("average", lambda: self._average(view, before))

    def _average(self, view: View, before: Mapping[str, Tensor]) -> None:
        o, here = self.options, self._tensors()
        found = self._information(view) if o.weighting == "fisher" else {}
        if view.task > 0:
            averaged = fisher_average(before, here, o.alpha, (self.fisher, found) if found else None)
            with torch.no_grad():
                for name, value in averaged.items():
                    here[name].copy_(value)
        self.fisher = found

    def _information(self, view: View) -> dict[str, Tensor]:
        """The Fisher information of each tensor of the backbone; 0 for buffers."""
        o = self.options

        def loss(parameters: Parameters, x: Tensor, y: Tensor) -> Tensor:
            return F.cross_entropy(self.heads(under(self.backbone, parameters, x)), y)

        images, order = self.batches(view.train, o.batch_size, o.augment), self.rng("Fisher information")
        if batch_norms(self.backbone):
            images = without_single(images)
        weights = dict(self.backbone.model.named_parameters())
        self.backbone.train()
        found = diagonal(
            loss, weights, images.epoch(0, lambda *key: order), "batches", clip=o.fisher_clip, run=self.alike
        )
        self.backbone.eval()
        return {name: found.get(name, torch.zeros_like(tensor)) for name, tensor in self._tensors().items()}

    def _align(self, view: View) -> None:
        """As SLCA, but old heads start at their average with the heads that answered before the task."""
        share = 1 - self.options.alpha
        with torch.no_grad():
            for block, weight, bias in zip(self.aligned.blocks, *self._answering.values(), strict=False):
                block.weight.lerp_(weight, share)
                block.bias.lerp_(bias, share)
        super()._align(view)

    def _tensors(self) -> dict[str, Tensor]:
        """Floating-point tensors of the backbone, by name in the model."""
        model = self.backbone.model
        named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        return {name: tensor for name, tensor in named.items() if tensor.is_floating_point()}
