"""RanPAC: adapt on the first task, expand features at random, and solve ridge regression in closed form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cl.bases.first_session import FirstSession
from cl.parts.heads import RandomProjection, RidgeRegression, choose_ridge, cosines
from cl.strategy import BLURRY, DISJOINT, DOMAIN, ImageSet, Inputs, Needs, StreamInfo, View, option


class RanPAC(FirstSession):
    """Ridge regression on random features h = ReLU(f W) of a backbone adapted to the first task.

    Name: RanPAC
    Paper: McDonnell, Gong, Parvaneh, Abbasnejad, van den Hengel. RanPAC: Random Projections and Pre-trained Models for
        Continual Learning. NeurIPS 2023, arXiv 2307.02251.
    Family: frozen features
    Networks: vit, cnn, mlp, clip
    Gradients: parts
    Trains: in the first task, a module and a cosine head (phase 1); the classifier has a closed-form solution.
    Stores: the module, the first task's head, W (d M floats: 30 MB), G (M x M, symmetric: 200 MB for M = 10,000, twice
        that in memory), Q and the weights (M floats per class each: 80 KB).
    Cost: one forward pass per image, once per run; per task N M^2 for G and M^3 / 3 for the solution.
    Differences from the paper: follows the authors' code, whose scores are h W_o without normalisation;
        `legacy_cosine` uses cosines instead, as PILOT's port. The 80/20 split is seeded. Penalties are compared in
        float64; if G plus the penalty has no Cholesky factor, the penalty is multiplied by ten until it has. Q grows
        with the classes instead of having all from the start. W is drawn from the initialisation seed and stored.
    """

    settings = (*DISJOINT, DOMAIN, BLURRY)

    @dataclass(frozen=True)
    class Options(FirstSession.Options):
        width: int = option(10_000, "number of random features M; 0: regression on the features themselves", ge=0)
        ridge: float | None = option(None, "ridge penalty lambda; none: chosen in every task from 1e-8 ... 1e8", gt=0)
        precision: str = option("float32", "precision of G, Q and the solution", choices=("float32", "float64"))
        legacy_cosine: bool = option(False, "use the cosine of h and each weight vector as scores, as PILOT does")

    @classmethod
    def marks(cls, options: Options) -> tuple[str, ...]:
        return ("legacy",) if options.legacy_cosine else ()

    @classmethod
    def needs(cls, options: Any) -> Needs:
        needs, chosen = super().needs(options), options.ridge is None
        return replace(needs, images_per_task=2, purpose="to choose a ridge penalty") if chosen else needs

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        o, dim = self.options, self.backbone.dim
        width, dtype = o.width or dim, torch.float64 if o.precision == "float64" else torch.float32
        rng = self.init_rng("projection")
        self.projection = RandomProjection(dim, o.width, rng).to(self.device) if o.width else None
        self.sums = RidgeRegression(width, dtype, self.device)
        self.weights = torch.empty(width, 0, dtype=dtype, device=self.device)
        self.ridges: list[float] = []  # the penalty used in each task

    def learn(self, view: View) -> None:
        self.adapt(view)
        self.compute("ridge regression", lambda: self._regress(view.train, len(view.seen)))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        h = self.expanded(inputs.encode(self.adapted))
        if self.options.legacy_cosine:
            return cosines(h, self.weights.T)
        return h @ self.weights

    @property
    def ready(self) -> bool:
        return len(self.ridges) > 0

    def expanded(self, features: Tensor) -> Tensor:
        """h [N, M] of features [N, d], in the higher precision of the sums and the features."""
        features = features.to(torch.promote_types(features.dtype, self.weights.dtype))
        return features if self.projection is None else self.projection(features)

    def _regress(self, images: ImageSet, seen: int) -> None:
        """G += H^T H, Q += H^T Y, W_o = (G + lambda I)^-1 Q, with lambda chosen on this task only."""
        h = self.expanded(self.encode(images, self.adapted))
        self.sums.add(h, images.labels, seen)
        chosen = self.options.ridge or choose_ridge(h, images.labels, self.rng("ridge"))
        self.weights, used = self.sums.solve(chosen)
        self.ridges = [*self.ridges, used]
