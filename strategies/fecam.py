"""FeCAM: Mahalanobis distances to class means, with a covariance for each class, on frozen features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.statistics import ClassMoments
from cl.strategy import SETTINGS, Inputs, Strategy, StreamInfo, UsageError, View, option, scales


class FeCAM(Strategy):
    """Nearest class mean by the Mahalanobis distance with the shrunk and normalised covariance of each class.

    Name: FeCAM
    Paper: Goswami, Liu, Twardowski, van de Weijer. FeCAM: Exploiting the Heterogeneity of Class Distributions in
        Exemplar-Free Continual Learning. NeurIPS 2023, arXiv 2309.14062.
    Family: frozen features
    Networks: vit, cnn, mlp, clip
    Gradients: none
    Trains: nothing. Shrinkage: Sigma + alpha1 V1 I + alpha2 V2 (1 - I), with the mean variance V1 and the mean
        covariance V2 off the diagonal; then Sigma_ij / (sigma_i sigma_j).
    Stores: a mean and a covariance per class (d x d, symmetric, float64: 2.4 MB per class for ViT-B, four times that in
        memory, with the inverse).
    Cost: one forward pass per image, once per run; d^2 per image and d^3 per class with new images; d^2 per class and
        test image.
    Differences from the paper: the network is a pretrained one, as in the authors' programs for ViT (@d2479b7), whose
        steps are the defaults: features of length 1, no power transform, one shrinkage. `tukey` and `shrinks=2` are the
        steps of their program for ResNets, which trains on the first task and answers there by its own head; here all
        tasks are classified alike. In a class that returns, the covariance is that of all its images;
        `returning=average` averages the old one and that of the new images, as their program for CORe50 does. A class
        of one image has the mean covariance of the others. Variants with one covariance or a diagonal are left out.
    """

    settings = SETTINGS

    @dataclass(frozen=True)
    class Options:
        alpha1: float = option(1.0, "weight of the mean variance on the diagonal", ge=0, search=scales.log(0.1, 100.0))
        alpha2: float = option(0.0, "weight of the mean covariance off the diagonal", ge=0)
        shrinks: int = option(1, "times that the covariance is shrunk", ge=0)
        normalize: bool = option(True, "divide the covariance by the standard deviations: a correlation matrix")
        tukey: float = option(0.0, "power of features, which must not be negative (0.5 in the paper); 0: none", ge=0)
        returning: str = option(
            "merge", "covariance of a class that returns: of all its images, or the average of old and new",
            choices=("merge", "average"),
        )  # fmt: skip

    def setup(self, info: StreamInfo) -> None:
        self.means = ClassMoments(self.backbone.dim, "none", self.device)
        self.moments = ClassMoments(self.backbone.dim, "class", self.device)  # of earlier images only with "merge"
        self.averages = self.moments.scatter
        self._inverses: dict[int, Tensor] = {}

    def learn(self, view: View) -> None:
        self.compute("covariances", lambda: self._add(self.encode(view.train), view.train.labels, view.classes))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        x, means = self._powered(inputs.encode(self.backbone).to(self.means.mean)), self.means.mean
        means = self._powered(means) if self.options.tukey else means
        scores = []
        for position, mean in enumerate(means):
            if position not in self._inverses:
                self._inverses[position] = torch.linalg.pinv(self.covariance(position), hermitian=True)
            away = x - mean
            scores.append(-((away @ self._inverses[position]) * away).sum(1))
        return torch.stack(scores, 1)

    @property
    def ready(self) -> bool:
        return len(self.means) > 0

    def set_state(self, value: dict[str, Any]) -> None:
        super().set_state(value)
        self._inverses = {}

    def covariance(self, position: int) -> Tensor:
        """The matrix [d, d] of a class whose inverse is its metric."""
        o, found = self.options, self._own(position)
        if not found.any():  # one image so far: the mean of the other classes, or the identity
            known = [own for own in map(self._own, range(len(self.means))) if own.any()]
            eye = torch.eye(len(found), dtype=found.dtype, device=found.device)
            found = torch.stack(known).mean(0) if known else eye
        for _ in range(o.shrinks):
            found = shrunk(found, o.alpha1, o.alpha2)
        if not o.normalize:
            return found
        deviation = found.diagonal().sqrt().clamp(min=1e-30)
        return found / deviation[:, None] / deviation

    def _own(self, position: int) -> Tensor:
        """The covariance of the images of a class; 0 for a class of one image."""
        return self.averages[position] if self.options.returning == "average" else self.moments.covariance(position)

    def _powered(self, x: Tensor) -> Tensor:
        """Features, or means, of length 1, and with `tukey` of their power."""
        if not self.options.tukey:
            return F.normalize(x)
        if (x < 0).any():
            raise UsageError(
                "fecam: tukey takes powers of features, and some are negative; set tukey=0, or choose a backbone whose "
                "features come from a ReLU, such as a ResNet."
            )
        return F.normalize(x**self.options.tukey)

    def _add(self, features: Tensor, labels: Tensor, classes: Sequence[int]) -> None:
        x, seen = features.to(self.means.mean), max(max(classes) + 1, len(self.means))
        powered = self._powered(x)
        self.means.add(x if self.options.tukey else powered, labels, seen)
        spread = x**self.options.tukey if self.options.tukey else powered
        if self.options.returning == "average":
            self._average(spread, labels, classes, seen)
        else:
            self.moments.add(spread, labels, seen)
        once = [position for position, count in enumerate(self.means.count) if count < 2]
        for position in (*classes, *once):
            self._inverses.pop(position, None)

    def _average(self, spread: Tensor, labels: Tensor, classes: Sequence[int], seen: int) -> None:
        new = ClassMoments(spread.shape[1], "class", spread.device)
        new.add(spread, labels, seen)
        more = self.averages.new_zeros(seen - len(self.averages), *self.averages.shape[1:])
        self.averages = torch.cat([self.averages, more])
        for position in classes:
            if (found := new.covariance(position)).any():
                old = self.averages[position]
                self.averages[position] = (old + found) / 2 if old.any() else found


def shrunk(covariance: Tensor, alpha1: float, alpha2: float) -> Tensor:
    """Sigma + alpha1 V1 I + alpha2 V2 (1 - I); V2 is the mean of what is not 0 off the diagonal."""
    eye = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    off = covariance * (1 - eye)
    mean = off.sum() / off.count_nonzero().clamp(min=1)
    return covariance + alpha1 * covariance.diagonal().mean() * eye + alpha2 * mean * (1 - eye)
