"""SimpleCIL: nearest class mean, by cosine, on a frozen backbone."""

from __future__ import annotations

import torch
from torch import Tensor

from cl.parts.heads import add_to_means, cosines
from cl.strategy import SETTINGS, Inputs, Strategy, StreamInfo, View


class SimpleCIL(Strategy):
    """Nearest class mean (cosine) on a frozen backbone; nothing is trained.

    Name: SimpleCIL
    Paper: Zhou, Cai, Ye, Zhan, Liu. Revisiting Class-Incremental Learning with Pre-Trained Models. IJCV 2024,
        arXiv 2303.07338.
    Family: frozen features
    Networks: vit, cnn, mlp, clip
    Gradients: none
    Trains: nothing.
    Stores: one mean feature per class (3 KB for ViT-B), and its number of images.
    Cost: one forward pass per training image and per test image, memoised across runs.
    Differences from the paper: none known; means are accumulated in float64, so they do not depend on the batch size.
    """

    settings = SETTINGS

    def setup(self, info: StreamInfo) -> None:
        self.prototypes = torch.empty(0, self.backbone.dim, device=self.device)
        self.counts = torch.empty(0, dtype=torch.long, device=self.device)

    def learn(self, view: View) -> None:
        self.compute("prototypes", lambda: self._add_prototypes(view))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return cosines(inputs.encode(self.backbone), self.prototypes)

    def _add_prototypes(self, view: View) -> None:
        """P_c = mean of f(x) over class c, with the test transform, not normalised; a running mean if the class
        returns."""
        features, labels = self.encode(view.train), view.train.labels
        self.prototypes, self.counts = add_to_means(self.prototypes, self.counts, features, labels, view.classes)
