"""SLDA: streaming linear discriminant analysis on frozen features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cl.parts.statistics import ClassMoments, blocks, discriminants, mirror_, oas
from cl.strategy import SETTINGS, Inputs, Strategy, StreamInfo, View, option, scales


class SLDA(Strategy):
    """Deep streaming linear discriminant analysis: running class means and one running covariance of frozen features.

    Name: SLDA
    Paper: Hayes, Kanan. Lifelong Machine Learning with Deep Streaming Linear Discriminant Analysis. CVPR Workshops
        2020, arXiv 1909.01520.
    Family: frozen features
    Networks: vit, cnn, mlp, clip
    Gradients: none
    Trains: nothing; per image, with t images before, Sigma <- (t Sigma + t / (t + 1) (x - mu_y)(x - mu_y)^T) / (t + 1),
        then mu_y. Scores are those of linear discriminant analysis with ((1 - e) Sigma + e I)^-1.
    Stores: one mean per class and Sigma (d x d, float64: 4.7 MB for ViT-B).
    Cost: one forward pass per image, once per run; d^2 per image, however many came before; d^3 per task.
    Differences from the paper: images come in the order of the stream, and within a task of an offline stream by class.
        As in the authors' code (@bc15797), the covariance starts from the first task's (`base=oas`), and the mean of a
        class is 0 at its first image, so this image counts with its whole length. `covariance=pooled` is the covariance
        within classes of all images at once instead. In float64, by blocks of images with the same result.
    """

    settings = SETTINGS

    @dataclass(frozen=True)
    class Options:
        shrinkage: float = option(
            1e-4, "weight e of the identity in the covariance that is inverted", gt=0, le=1,
            search=scales.log(1e-5, 0.5),
        )  # fmt: skip
        base: str = option(
            "oas", "first covariance: the oracle approximating shrinkage estimate on the first task, or none",
            choices=("oas", "none"),
        )  # fmt: skip
        covariance: str = option(
            "streaming", "the paper's recursion; fixed after the first task; or the exact covariance within classes",
            choices=("streaming", "fixed", "pooled"),
        )  # fmt: skip

        def __post_init__(self) -> None:
            if self.covariance == "fixed" and self.base == "none":
                raise ValueError("covariance=fixed keeps the covariance of the first task; set base=oas.")

    def setup(self, info: StreamInfo) -> None:
        pooled = self.options.covariance == "pooled"
        self.moments = ClassMoments(self.backbone.dim, "shared" if pooled else "none", self.device)
        self.sigma = self.moments.mean.new_zeros(self.backbone.dim, self.backbone.dim)
        self.weights, self.bias = self.moments.mean.T, self.moments.count

    def learn(self, view: View) -> None:
        self.compute("statistics", lambda: self._add(self.encode(view.train), view.train.labels, len(view.seen)))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return inputs.encode(self.backbone).to(self.weights) @ self.weights + self.bias

    @property
    def ready(self) -> bool:
        return len(self.bias) > 0

    def _add(self, features: Tensor, labels: Tensor, classes: int) -> None:
        o, moments = self.options, self.moments
        x, y = features.to(moments.mean), labels.to(moments.mean.device)
        first = len(moments) == 0
        moments.grow_to(classes)
        if o.covariance == "streaming" and not (first and o.base == "oas"):
            for rows, own in blocks(x, y):
                self._stream(rows, own)
                moments.add(rows, own, classes)
        else:
            moments.add(x, y, classes)
        if o.covariance == "pooled":
            self.sigma = moments.pooled()
        elif first and o.base == "oas":
            self.sigma = oas(x - moments.mean[y])
        eye = torch.eye(len(self.sigma), dtype=x.dtype, device=x.device)
        shrunk = (1 - o.shrinkage) * self.sigma + o.shrinkage * eye
        self.weights, self.bias = discriminants(moments.mean, shrunk)

    def _stream(self, x: Tensor, y: Tensor) -> None:
        """The recursion for a block of images: (t + k) Sigma = t Sigma + sum_i i / (i + 1) (x_i - mu_i)(x_i - mu_i)^T,
        with i = t ... t + k - 1 and mu_i the mean of its class before image i."""
        seen = self.moments.count.sum()
        i = seen + torch.arange(len(x), dtype=x.dtype, device=x.device)
        rows = (i / (i + 1)).sqrt()[:, None] * (x - self.moments.before(x, y))
        self.sigma = mirror_((seen * self.sigma).addmm_(rows.T, rows)) / (seen + len(x))
