"""NCM: nearest class mean on frozen features, by Euclidean distance, cosine, or Mahalanobis distance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.heads import cosines
from cl.parts.statistics import ClassMoments, discriminants
from cl.strategy import SETTINGS, Inputs, Strategy, StreamInfo, View, option, scales

METRICS = ("euclidean", "cosine", "mahalanobis")


class NCM(Strategy):
    """Nearest class mean on a frozen backbone: Euclidean, cosine, or Mahalanobis with one covariance for all classes.

    Name: NCM
    Paper: Mensink, Verbeek, Perronnin, Csurka. Distance-Based Image Classification: Generalizing to New Classes at
        Near-Zero Cost. TPAMI 2013; with `normalize`, the rule of iCaRL (Rebuffi et al. CVPR 2017) on all images.
    Family: frozen features
    Networks: vit, cnn, mlp, clip
    Gradients: none
    Trains: nothing.
    Stores: one mean per class; for metric=mahalanobis also the covariance (d x d, symmetric, float64: 2.4 MB for ViT-B,
        twice that in memory).
    Cost: one forward pass per image, once per run; for metric=mahalanobis d^2 per image and d^3 per task.
    Differences from the paper: no metric is learned; the covariance within classes takes its place. Scores are -1/2 of
        the squared distance, up to a term that all classes share. metric=cosine without `normalize` is `simplecil`.
    """

    settings = SETTINGS

    @dataclass(frozen=True)
    class Options:
        metric: str = option("euclidean", "distance, or similarity, of features and class means", choices=METRICS)
        normalize: bool = option(False, "scale features to length 1 before means are taken, and those means too")
        shrinkage: float = option(
            0.01, "metric=mahalanobis: share of the mean variance times the identity in the covariance", gt=0, le=1,
            search=scales.log(1e-4, 0.5),
        )  # fmt: skip

    def setup(self, info: StreamInfo) -> None:
        scatter = "shared" if self.options.metric == "mahalanobis" else "none"
        self.moments = ClassMoments(self.backbone.dim, scatter, self.device)
        self.weights, self.bias = self.moments.mean.T, self.moments.count

    def learn(self, view: View) -> None:
        self.compute("means", lambda: self._add(view))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        x = self._scaled(inputs.encode(self.backbone).to(self.weights))
        return cosines(x, self.weights.T) if self.options.metric == "cosine" else x @ self.weights + self.bias

    @property
    def ready(self) -> bool:
        return len(self.bias) > 0

    def _scaled(self, x: Tensor) -> Tensor:
        return F.normalize(x) if self.options.normalize else x

    def _add(self, view: View) -> None:
        features = self.encode(view.train).to(self.weights)
        self.moments.add(self._scaled(features), view.train.labels, len(view.seen))
        means = self._scaled(self.moments.mean)
        metric = torch.eye(means.shape[1], dtype=means.dtype, device=means.device)
        if self.options.metric == "mahalanobis" and (sigma := self.moments.pooled()).any():
            share = self.options.shrinkage  # without two images of a class, the distance is Euclidean
            metric = (1 - share) * sigma + share * sigma.diagonal().mean() * metric
        self.weights, self.bias = discriminants(means, metric)
