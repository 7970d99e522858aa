"""ACIL: random features of a frozen network, and ridge regression over all tasks by recursive least squares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cl.bases.first_session import TUNING, FirstSession
from cl.parts.heads import RandomProjection, RecursiveRidge
from cl.strategy import DISJOINT, DOMAIN, SETTINGS, Inputs, StreamInfo, View, option, scales

CHUNK = 1024
"""Images whose random features, which are float64, are in memory at a time."""


class ACIL(FirstSession):
    """Analytic class-incremental learning: recursive ridge regression on random features h = ReLU(f W).

    Name: ACIL
    Paper: Zhuang, Weng, Wei, Xie, Toh, Lin. ACIL: Analytic Class-Incremental Learning with Absolute Memorization and
        Privacy Protection. NeurIPS 2022, arXiv 2205.14922. Classes may return, as in G-ACIL (arXiv 2403.15706).
    Family: frozen features
    Networks: vit, cnn, mlp, clip
    Gradients: none
    Trains: nothing; with `tuning`, a module or the network and a cosine head on the first task.
    Stores: W (d M floats), R (M x M, symmetric, float64: 268 MB for M = 8,192, twice that in memory), the weights (M
        per class).
    Cost: one forward pass per image, once per run; M^2 per image, however many came before.
    Differences from the paper: the network is a pretrained one, by default not trained further. The paper trains it
        from scratch on the first half of the classes, which `tuning=finetune` resembles, with a cosine head. As in the
        authors' code (@0afd6bf), W is uniform in +-1 / sqrt(d), there is no bias, and the recursion is that of G-ACIL:
        W_o += R H^T (Y - H W_o) with R updated before, which is the gain used here. With tuning, the network needs all
        images of its first classes at once, so streams that are online or blurry need tuning=none.
    """

    settings = SETTINGS

    @dataclass(frozen=True)
    class Options(FirstSession.Options):
        tuning: str = option("none", "module that the first task trains together with a head", choices=TUNING)
        width: int = option(8192, "number of random features M ('buffer size')", ge=1)
        ridge: float = option(0.1, "ridge penalty gamma", gt=0, search=scales.log(1e-2, 1e3))

    @classmethod
    def supports(cls, setting: str, options: Any) -> bool:
        return options.tuning == "none" or setting in (*DISJOINT, DOMAIN)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        rng, bound = self.init_rng("projection"), 1 / math.sqrt(self.backbone.dim)
        self.projection = RandomProjection(self.backbone.dim, self.options.width, rng)
        self.projection.matrix.uniform_(-bound, bound, generator=rng)
        self.regression = RecursiveRidge(self.options.width, self.options.ridge, device=self.device)
        self.projection.to(self.regression.weights.device)

    def learn(self, view: View) -> None:
        self.adapt(view)
        self.compute("regression", lambda: self._add(view))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.regression.scores(self.expanded(inputs.encode(self.adapted)))

    @property
    def ready(self) -> bool:
        return self.regression.weights.shape[1] > 0

    def expanded(self, features: Tensor) -> Tensor:
        """h [N, M] of features [N, d], in float64."""
        expanded: Tensor = self.projection(features.to(self.regression.weights))
        return expanded

    def _add(self, view: View) -> None:
        features, labels = self.encode(view.train, self.adapted), view.train.labels
        for rows in torch.arange(len(features)).split(CHUNK):
            self.regression.add(self.expanded(features[rows.to(features.device)]), labels[rows], len(view.seen))
