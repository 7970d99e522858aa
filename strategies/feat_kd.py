"""FeatKD: distillation of the features of the model before the task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cl.bases.regularized import Regularized
from cl.parts.losses import LOSSES
from cl.strategy import Batch, StreamInfo, option, scales


class FeatKD(Regularized):
    """Distil the old model's features on new images, with mean squared error or cosine distance.

    Name: FeatKD
    Paper: one of the four regularisers of Smith, Tian, Halbe, Hsu, Kira. A Closer Look at Rehearsal-Free Continual
        Learning. CVPR Workshops 2023, arXiv 2203.17269.
    Family: distillation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the backbone (`trains=qkv`: its query, key and value projections) and one linear head over the classes seen.
    Stores: a copy of the tuned tensors and of the head from before the task; no images.
    Cost: one forward pass per test image; in training, an additional pass of the old model for every image.
    Differences from the paper: features are the input of the head, not normalised, and not from inner layers. The
        squared distance is averaged over dimensions, as in the authors' code; the formula sums. Logits and features
        come from one forward pass of the student; the code makes two. By default this is the only regulariser, with
        sigmoids over all classes seen; the paper's main setting also distils predictions (`--preset with-pred-kd`).
        Without that, the term cannot correct a head that favours the newest classes. The first task has no such term;
        the authors' code of April 2022 has one, towards the initial network (`first_task=legacy`). From scratch it
        holds the features at random ones.
    """

    @dataclass(frozen=True)
    class Options(Regularized.Options):
        loss: str = option(
            "bce",
            "sigmoids of all classes seen (bce) or the task's; softmax over all seen (global) or the task's (local)",
            choices=LOSSES,
        )
        feat_kd: float = option(1.0, "weight of feature distillation; 0: none", ge=0, search=scales.log(0.1, 100.0))
        first_task: str = option(
            "skip",
            "the first task: no feature distillation (skip), or from the initial network, as Smith et al.'s code of "
            "2022 (legacy)",
            choices=("skip", "legacy"),
            unlisted=True,
        )

    @classmethod
    def marks(cls, options: Any) -> tuple[str, ...]:
        return ("legacy",) if options.first_task == "legacy" else ()

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        if self.teacher is not None and self.options.first_task == "legacy":
            self.teacher.copy_from(self.backbone, self.head, self.tuned())

    def _taught(self, batch: Batch, features: Tensor) -> tuple[Tensor, Tensor] | None:
        taught = super()._taught(batch, features)
        if taught is None and self.teacher is not None and self.options.first_task == "legacy":
            return self.teacher(self.backbone, batch.x)  # features of the initial network, and logits of no class
        return taught
