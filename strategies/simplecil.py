"""SimpleCIL: nearest class mean by cosine on a frozen backbone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.features import Inputs
from cl.strategy import Strategy
from cl.stream import StreamInfo, View


class SimpleCIL(Strategy):
    """Nearest class mean (cosine) on a frozen backbone; nothing is trained.

    Paper: Zhou, Cai, Ye, Zhan, Liu. Revisiting Class-Incremental Learning with Pre-Trained Models. IJCV 2024,
        arXiv 2303.07338.
    Trains: nothing.
    Stores: one mean feature per class (3 KB for ViT-B).
    Cost: one forward per training image and per test image, memoised across runs.
    Differences from the paper: none known; means are accumulated in float64, so they do not depend on the batch size.
    """

    def setup(self, info: StreamInfo) -> None:
        self.prototypes = torch.empty(0, self.backbone.dim, device=self.device)

    def learn(self, view: View) -> None:
        self.compute("prototypes", lambda: self._add_prototypes(view))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return F.normalize(inputs.encode(self.backbone)) @ F.normalize(self.prototypes).T

    def _add_prototypes(self, view: View) -> None:
        """P_c = mean of f(x) over class c, with the transform of test images, not normalised."""
        features, labels = self.encode(view.train).double(), view.train.labels.to(self.device)
        new = [features[labels == position].mean(0).float() for position in view.classes]
        self.prototypes = torch.cat([self.prototypes, torch.stack(new)])
