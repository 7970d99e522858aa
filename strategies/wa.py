"""WA: after a task, scale the head's new rows to the length of the old ones."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from cl.bases.joined import Taught
from cl.parts.heads import align_newest
from cl.strategy import Batch, View


class WA(Taught):
    """Weight aligning: distil, rehearse exemplars, then give the head's new rows the mean length of its old rows.

    Name: WA
    Paper: Zhao, Xiao, Gan, Zhang, Xia. Maintaining Discrimination and Fairness in Class Incremental Learning. CVPR
        2020, arXiv 1911.07053. Published: 47.2 % on five tasks of CIFAR-100 with 2,000 exemplars and a ResNet-32 from
        scratch (LibContinual's own run).
    Family: replay
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Images: kept
    Trains: the backbone and one linear head, on the images of the task and the exemplars, shuffled, by (1 - r) L_CE + r
        L_KD with r = old classes / classes seen; L_KD = -sum_c softmax(g / T)_c log softmax(z / T)_c over the old
        classes, g the old model's logits, T = 2. After each task but the first the new rows are multiplied by gamma =
        mean |w_old| / mean |w_new|; biases stay.
    Stores: `memory_size` exemplars as bytes, or `memory_per_class` for each class; a copy of the trained tensors and of
        the head from before the task.
    Cost: one forward pass per test image; in training a pass of the old model for every image; after the task one pass
        over its images, to choose exemplars.
    Differences from the paper: follows G-U-N/PyCIL@87cc411, which was compared: exemplars by herding, and no clipping
        of the head's weights to positive values, which the paper uses before it aligns. PyCIL aligns twice; the second
        factor is 1.
    """

    @dataclass(frozen=True)
    class Options(Taught.Options):
        """The options of `cl.bases.joined`."""

    def objective(self, batch: Batch, classes: tuple[int, ...]) -> Tensor:
        features = self._features(batch)
        return self.shared_out(self.head(features), batch.y, self.taught(batch, features))

    def learn(self, view: View) -> None:
        self._old = self.head.classes
        super().learn(view)

    def remember(self, view: View) -> None:
        if self.head.classes > self._old:
            align_newest(self.head)
        super().remember(view)
