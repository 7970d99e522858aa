"""OWM: steps of a linear head are projected away from the inputs of earlier tasks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cl.bases.projected import Projected
from cl.parts.statistics import blocks, condition_, wide
from cl.strategy import Batch, Step, StreamInfo, View, option


class OWM(Projected):
    """Orthogonal weights modification on the head of a frozen network: gradients are multiplied by a projector P.

    Name: OWM
    Paper: Zeng, Chen, Cui, Yu. Continual Learning of Context-Dependent Processing in Neural Networks. Nature Machine
        Intelligence 2019, arXiv 1810.01256.
    Family: frozen features
    Networks: vit, cnn, mlp, clip
    Gradients: none
    Trains: a linear head without bias, by SGD; gradient <- gradient P. P = I - A (A^T A + alpha I)^-1 A^T, of the
        inputs A of earlier tasks, is updated by rank-k steps: P <- P - P x x^T P / (alpha + x^T P x).
    Stores: P (d x d, float64: 4.7 MB for ViT-B) and the head (d per class).
    Cost: one forward pass per image, once per run; d^2 per step of training and per input of P.
    Differences from the paper: only the head is trained; the paper trains all layers. `update=task` is the paper's
        algorithm: P changes after a task. In the authors' code (beijixiong3510/OWM @a5c59d7) P changes before every
        step of training, by the inputs of that step (`update=step`), all gradients are clipped and momentum is 0.9, see
        preset `code`. In both, inputs are means of batches; `inputs=images` takes each image, which holds earlier
        answers better. New classes are new rows; the paper's head has all rows from the start.
    """

    @dataclass(frozen=True)
    class Options(Projected.Options):
        alpha: float = option(1.0, "constant alpha at the start of a task", gt=0)
        alpha_decay: float = option(0.1, "factor of alpha over a task; 1: constant", gt=0, le=1)
        update: str = option("task", "when P is updated: after a task, or before each step", choices=("task", "step"))
        inputs: str = option(
            "batches", "inputs of P: mean features of batches, or images", choices=("batches", "images")
        )
        clip: float = option(0.0, "upper bound of the norm of the projected gradient; 0: none", ge=0)

    _inputs: Tensor | None = None  # of the step

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.projector = torch.eye(self.backbone.dim, dtype=torch.float64, device=wide(self.device))

    def learn(self, view: View) -> None:
        super().learn(view)
        if self.options.update == "task":
            self.compute("projector", lambda: self._protect(view))

    def _features(self, batch: Batch) -> Tensor:
        self._inputs = super()._features(batch)
        return self._inputs

    def project(self, gradient: Tensor) -> Tensor:
        found = (gradient.to(self.projector) @ self.projector).to(gradient)
        bound = self.options.clip
        return found * (bound / found.norm().clamp(min=bound)) if bound else found

    def _before_step(self, step: Step) -> None:
        if self.options.update == "step" and self._inputs is not None:
            self._add(self._inputs, (step.epoch + step.step / step.steps) / step.epochs)
        self._inputs = None
        super()._before_step(step)

    def _protect(self, view: View) -> None:
        order = torch.randperm(len(view.train), generator=self.rng("inputs"))
        batches = self.encode(view.train)[order].split(self.options.batch_size)
        for number, x in enumerate(batches):
            self._add(x, number / len(batches))

    @torch.no_grad()
    def _add(self, x: Tensor, done: float) -> None:
        """Protect the answers to a batch [B, d]; `done` is the share of the task that is over."""
        o, x = self.options, x.to(self.projector)
        alpha = x.new_full((), o.alpha * o.alpha_decay**done)
        for (rows,) in blocks(x.mean(0, keepdim=True) if o.inputs == "batches" else x):
            condition_(self.projector, rows, alpha.expand(len(rows)))
