"""SI: fine-tuning with a penalty by how much each parameter lowered the loss of earlier tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cl.bases.importance import Importance
from cl.parts.statistics import Tensors
from cl.strategy import Step, StreamInfo, View, option


class SI(Importance):
    """Synaptic intelligence: a parameter's importance is the path integral of its gradient over training.

    Name: SI
    Paper: Zenke, Poole, Ganguli. Continual Learning Through Synaptic Intelligence. ICML 2017, arXiv 1703.04200.
    Family: regularisation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the backbone, or its query, key and value projections (`trains=qkv`), and one linear head. Over the steps of
        a task omega += -g (theta_after - theta_before), with the gradient g of the loss without the penalty; then Omega
        += omega / ((theta - theta_start)^2 + xi). From task 2 on, reg * sum_j Omega_j (theta_j - anchor_j)^2 is added.
    Stores: Omega and anchor, each as large as the penalised parameters (ViT-B: 686 MB; projections 170 MB).
    Cost: one forward pass per test image; two copies of the parameters during training.
    Differences from the paper: one head covers all classes seen; the paper's split streams have a head per task. Omega
        is clipped at 0 after each task, as in the authors' code (ganguli-lab/pathint @86c5e07); `clamp=false` is
        mammoth's (@e75a491), which also clips every gradient at 1; here none is clipped. The authors' code needs
        TensorFlow 1 and could not be run, so training is compared with mammoth's. Momentum and weight decay move
        parameters too, and omega counts all of the move. The optimiser is fresh for every task, as in the authors'
        code.
    """

    @dataclass(frozen=True)
    class Options(Importance.Options):
        xi: float = option(0.1, "damping xi, added to squared changes", gt=0)
        clamp: bool = option(True, "clip Omega at 0 from below after each task")

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.start: dict[str, Tensor] = {}  # parameters at the start of the task
        self.path: dict[str, Tensor] = {}  # omega
        self._step: dict[str, tuple[Tensor, Tensor]] = {}

    def fit(self, *arguments: Any, **more: Any) -> dict[str, Any]:
        self.start = {name: value.detach().clone() for name, value in self.held().items()}
        self.path = {name: torch.zeros_like(value) for name, value in self.start.items()}
        return super().fit(*arguments, before_step=self._before_step, after_step=self._after_step, **more)

    def importance(self, view: View, old: Tensors) -> dict[str, Tensor]:
        found = {}
        for name, value in self.held().items():
            change = (value.detach() - self.start[name]).square() + self.options.xi
            omega = self.path[name] / change + old.get(name, 0.0)
            found[name] = omega.clamp(min=0) if self.options.clamp else omega
        self.start, self.path = {}, {}
        return found

    @torch.no_grad()
    def _before_step(self, step: Step) -> None:
        """Note the parameters and the gradient of the loss without the penalty."""
        term = self.anchors.terms[0] if len(self.anchors) else {"centres": {}, "weights": {}}
        for name, value in self.held().items():
            gradient = torch.zeros_like(value) if value.grad is None else value.grad.clone()
            if name in term["centres"]:
                gradient -= 2 * self.options.reg * term["weights"][name] * (value - term["centres"][name])
            self._step[name] = value.clone(), gradient

    @torch.no_grad()
    def _after_step(self, step: Step) -> None:
        held = self.held()
        for name, (before, gradient) in self._step.items():
            self.path[name] -= gradient * (held[name] - before)
        self._step = {}
