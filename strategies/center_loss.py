"""Center loss: fine-tuning towards the class centers and the classifier of the first task, which stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.bases.replayed import Replayed
from cl.parts.losses import classification
from cl.strategy import DISJOINT, DOMAIN, Batch, ImageSet, Step, StreamInfo, View, option, scales


class CenterLoss(Replayed):
    """Features of later domains are pulled to the class centers of the first, under a frozen classifier.

    Name: Center loss
    Paper: Olpadkar, Gavas. Center Loss Regularization for Continual Learning. 2021, arXiv 2110.11314, a withdrawn
        submission; centers move as in Wen, Zhang, Li, Qiao. A Discriminative Feature Learning Approach for Deep Face
        Recognition. ECCV 2016.
    Family: replay
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the backbone, and a linear head in the first task, on cross-entropy + weight / 2 mean |f(x) - c_y|^2. In the
        first task also the centers, c_y -= rate sum (c_y - f_i) / (1 + n_y) over the batch; then centers and head are
        frozen. With `memory_size`, batches also hold remembered images, in both terms.
    Stores: one center per class; with `memory_size` also images.
    Cost: one forward pass per test image; training costs as much as fine-tuning, with memory as much as replay.
    Differences from the paper: no code was found, and the paper's values are not known to us. Its streams are
        domain-incremental; for new classes, which it does not treat, new centers and rows of the head are trained in
        their first task, and those of earlier classes stay frozen. Centers start at 0.
    """

    settings = (*DISJOINT, DOMAIN)

    @dataclass(frozen=True)
    class Options(Replayed.Options):
        trains: str = option("all", "train the backbone, and the head while its classes are new", choices=("all",))
        loss: str = option(
            "global", "softmax over the task's classes (local), or over all classes seen", choices=("local", "global")
        )
        weight: float = option(0.003, "weight lambda of the center loss; 0: none", ge=0, search=scales.log(1e-4, 1e-1))
        center_rate: float = option(0.5, "rate of the centers", gt=0, le=1)
        normalize: bool = option(False, "scale features to length 1 for the center loss")

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.centers = torch.zeros(0, self.backbone.dim, device=self.device)
        self.frozen = 0  # blocks of the head, each with the classes of the task in which they were new
        self._step: tuple[Tensor, Tensor] | None = None

    def objective(self, batch: Batch, classes: tuple[int, ...]) -> Tensor:
        o, features = self.options, self._features(batch)
        loss = classification(o.loss, self.head(features), batch.y, classes)
        pulled = F.normalize(features) if o.normalize else features
        self._step = pulled.detach(), batch.y
        return loss + o.weight / 2 * (pulled - self.centers[batch.y]).square().sum(1).mean()

    def _train(self, images: list[ImageSet], classes: tuple[int, ...], seen: int) -> None:
        self.centers = torch.cat([self.centers, self.centers.new_zeros(seen - len(self.centers), self.backbone.dim)])
        super()._train(images, classes, seen)

    def fit(self, *arguments: Any, **more: Any) -> dict[str, Any]:
        return super().fit(*arguments, after_step=self._after_step, **more)

    def remember(self, view: View) -> None:
        super().remember(view)
        self.frozen = len(self.head.blocks)

    def _groups(self) -> list[dict[str, Any]]:
        """The backbone, and the rows of the head that are new in this task."""
        backbone, head = super()._groups()
        new = [parameter for block in self.head.blocks[self.frozen :] for parameter in block.parameters()]
        return [backbone, head | {"params": new}] if new else [backbone]

    @torch.no_grad()
    def _after_step(self, step: Step) -> None:
        """Move the centers of new classes towards the features of the step."""
        if self._step is None:
            return
        (features, labels), self._step = self._step, None
        known = sum(self.head.widths[: self.frozen])
        number = torch.bincount(labels, minlength=len(self.centers))[:, None].to(features.dtype)
        total = torch.zeros_like(self.centers).index_add_(0, labels, features)
        moved = self.centers - self.options.center_rate * (number * self.centers - total) / (1 + number)
        self.centers = torch.cat([self.centers[:known], moved[known:]])
