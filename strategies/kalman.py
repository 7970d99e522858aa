"""Kalman filter on a linear head over frozen features, whose weights drift from task to task."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.statistics import blocks, condition_, wide
from cl.strategy import SETTINGS, Inputs, Strategy, StreamInfo, View, option, scales


class Kalman(Strategy):
    """Kalman filter: the head is a hidden state that drifts between tasks, and labels are its noisy measurements.

    Name: Kalman filter
    Paper: Peng, Vidal. Mathematics of Continual Learning. 2025, arXiv 2504.17963; the smoother is that of Rauch, Tung
        and Striebel (1965).
    Family: frozen features
    Networks: vit, cnn, mlp, clip
    Gradients: none
    Trains: nothing. Before task t: theta <- a theta, P <- a^2 P + q I; its images y = X theta + v, with v ~ N(0, r),
        condition both by rank-k steps. With a = 1 and q = 0 this is `rls` with ridge = noise / prior.
    Stores: P (d x d, float64: 4.7 MB for ViT-B) and the weights (d per class); with `smooth`, both per task.
    Cost: one forward pass per image, once per run; d^2 per image, however many came before; with `smooth` also d^3 per
        earlier task after each task.
    Differences from the paper: there is no official code. Targets are one-hot labels, with one P for all classes, and a
        = `decay` and q = `drift` are numbers instead of matrices. All is float64. With `smooth`, a test image whose
        task is given is classified by the smoothed state of its task, to which later tasks contributed; other images by
        the filter's newest state.
    """

    settings = SETTINGS
    rules = ("cil_seen", "til_masked", "til_oracle")

    @dataclass(frozen=True)
    class Options:
        prior: float = option(1.0, "variance of a weight before the first task", gt=0)
        noise: float = option(1.0, "variance r of the noise of a label", gt=0, search=scales.log(0.1, 1e3))
        decay: float = option(1.0, "factor a of the weights between tasks", gt=0, le=1)
        drift: float = option(
            0.0, "variance q added to each weight between tasks", ge=0, search=scales.among(0.0, 1e-5, 1e-4, 1e-3)
        )
        smooth: bool = option(False, "keep the states of all tasks, and answer a given task by its smoothed state")

    def setup(self, info: StreamInfo) -> None:
        dim, where = self.backbone.dim, wide(self.device)
        self.covariance = self.options.prior * torch.eye(dim, dtype=torch.float64, device=where)
        self.weights = torch.zeros(dim, 0, dtype=torch.float64, device=where)
        self.states: list[dict[str, Tensor]] = []  # of all tasks, if they are smoothed

    def learn(self, view: View) -> None:
        self.compute("filter", lambda: self._filter(view))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        known = task is not None and task < len(self.states)
        weights = self.states[task or 0]["smoothed"] if known else self.weights
        return inputs.encode(self.backbone).to(weights) @ weights

    @property
    def ready(self) -> bool:
        return self.weights.shape[1] > 0

    def _filter(self, view: View) -> None:
        o, new = self.options, len(view.seen) - self.weights.shape[1]
        if self.ready:
            self.weights, self.covariance = o.decay * self.weights, self._predicted(self.covariance)
        self.weights = F.pad(self.weights, (0, new))
        x = self.encode(view.train).to(self.weights)
        y = F.one_hot(view.train.labels.to(x.device), len(view.seen)).to(x)
        for rows, targets in blocks(x, y):
            gain = condition_(self.covariance, rows, torch.full_like(rows[:, 0], o.noise))
            self.weights += gain.T @ (targets - rows @ self.weights)
        if o.smooth:
            self._smooth()

    def _predicted(self, covariance: Tensor) -> Tensor:
        drift = self.options.drift * torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
        return self.options.decay**2 * covariance + drift

    def _smooth(self) -> None:
        """The states of all tasks given all images: theta_t + G (theta_t+1 - a theta_t), G = a P_t P_t+1^-1."""
        own = {"weights": self.weights.clone(), "covariance": self.covariance.clone(), "smoothed": self.weights.clone()}
        self.states = [*self.states, own]
        later = self.weights
        for state in reversed(self.states[:-1]):
            held = F.pad(state["weights"], (0, later.shape[1] - state["weights"].shape[1]))
            difference = torch.linalg.solve(self._predicted(state["covariance"]), later - self.options.decay * held)
            later = held + self.options.decay * state["covariance"] @ difference
            state["smoothed"] = later.contiguous()
