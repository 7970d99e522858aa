"""RLS: ridge regression over all tasks on frozen features, by recursive least squares."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from cl.parts.heads import RecursiveRidge
from cl.strategy import SETTINGS, Inputs, Strategy, StreamInfo, View, option, scales


class RLS(Strategy):
    """Recursive least squares: the head after any task is the ridge regression on all images so far, exactly.

    Name: RLS
    Paper: Peng, Vidal. Mathematics of Continual Learning. 2025, arXiv 2504.17963, which relates recursive least squares
        to orthogonal projections and to EWC with a full covariance.
    Family: frozen features
    Networks: vit, cnn, mlp, clip
    Gradients: none
    Trains: nothing; per image K = Phi x / (f + x^T Phi x), theta += K (y - x^T theta), Phi <- (Phi - K x^T Phi) / f, in
        rank-k steps with the same result.
    Stores: Phi (d x d, symmetric, float64: 2.4 MB for ViT-B, twice that in memory) and the weights (d per class).
    Cost: one forward pass per image, once per run; d^2 per image, however many came before; nothing of cost d^3.
    Differences from the paper: there is no official code. Targets are one-hot labels, with one Phi for all classes; a
        new class has target 0 for all earlier images. All is float64. With forgetting below 1 the penalty is forgotten
        too, as in the recursion; a run stops with an error when float64 could not resolve what is left of it.
    """

    settings = SETTINGS

    @dataclass(frozen=True)
    class Options:
        ridge: float = option(1.0, "ridge penalty delta; Phi starts at I / delta", gt=0, search=scales.log(1e-2, 1e3))
        forgetting: float = option(1.0, "forgetting factor f: an image counts f^k after k further images", gt=0, le=1)

    def setup(self, info: StreamInfo) -> None:
        self.regression = RecursiveRidge(self.backbone.dim, self.options.ridge, self.options.forgetting, self.device)

    def learn(self, view: View) -> None:
        self.compute("regression", lambda: self._add(view))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.regression.scores(inputs.encode(self.backbone))

    def _add(self, view: View) -> None:
        self.regression.add(self.encode(view.train), view.train.labels, len(view.seen))

    @property
    def ready(self) -> bool:
        return self.regression.weights.shape[1] > 0
