"""Hard ASH: sparse activations and Adagrad that is never reset, without tasks and in one pass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from cl.bases.accumulating import Accumulating
from cl.parts.activations import GATES, HardASH, altered, replace_activations
from cl.strategy import Extractor, StreamInfo, option


class HardAsh(Accumulating):
    """A network whose activations leave few units active, and an optimiser whose steps only get shorter.

    Name: Hard ASH
    Paper: Keskinen. Hard ASH: Sparsity and the right optimizer make a continual learner. 2024, arXiv 2404.17651.
    Family: regularisation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the whole network and a linear head without bias over all classes, by cross-entropy over all of them. Every
        activation of the network becomes clip(x, 0, 2) * sigmoid(3 (x - mean - zk std)), with mean and deviation of the
        units of one image; about the share of units above mean + zk std is active. A step is lr g / sqrt(Omega + 1e-6),
        with Omega the sum of 0.8 g^2 over all steps of the run.
    Stores: Omega, a number per parameter.
    Cost: one forward pass per test image.
    Differences from the paper: no repository of the paper was found; trainings are compared with the author's later
        skeskinen/pairwise_online_learning @b582770. Our reading: `gate=sigmoid` is what that code has, `gate=hard` the
        piecewise linear form that the name suggests (a line commented out there). The network is the backbone: the
        paper's is an MLP of 1000 units without biases. The rate is one of five that the later code tries.
    """

    @dataclass(frozen=True)
    class Options(Accumulating.Options):
        zk: float = option(2.0, "how many deviations above the mean a unit is half open", ge=0)
        alpha: float = option(3.0, "steepness of the gate", gt=0)
        gate: str = option("sigmoid", "the gate, or its piecewise linear form", choices=GATES)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        o = self.options
        replace_activations(self.backbone, lambda: HardASH(o.zk, o.alpha, o.gate))
        self.head = nn.Linear(self.backbone.dim, info.n_classes, bias=False).to(self.device)
        drawn = torch.randn(self.head.weight.shape, generator=self.init_rng("head"))
        with torch.no_grad():
            self.head.weight.copy_(drawn * math.sqrt(2 / self.backbone.dim))

    def extractor(self) -> Extractor:
        o = self.options
        return altered(self.backbone, f"hard-ash {o.zk} {o.alpha} {o.gate}")
