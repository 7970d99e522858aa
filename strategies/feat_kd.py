"""FeatKD: hold on to the features of the model before the task."""

from __future__ import annotations

from dataclasses import dataclass

from cl.bases.regularized import Regularized
from cl.parts.losses import LOSSES
from cl.strategy import option


class FeatKD(Regularized):
    """Distil the old model's features on new images, by mean squared error or cosine.

    Paper: one of the four regularisers of Smith, Tian, Halbe, Hsu, Kira. A Closer Look at Rehearsal-Free Continual
        Learning. CVPR Workshops 2023, arXiv 2203.17269.
    Trains: the backbone (`trains=qkv`: its query, key and value projections) and one linear head over the classes seen.
    Stores: a copy of the tuned tensors and of the head, as they were before the task; no images.
    Cost: one forward per test image; while training one more, of the old model, for every image.
    Differences from the paper: features are the input of the head, neither normalised nor taken from inner layers; the
        squared distance is averaged over dimensions, as in the authors' code, where the formula sums. Logits and
        features come from one forward of the student, which that code does twice. The default is the term alone on
        sigmoids over all classes seen; the paper's main setting distils predictions as well (`--preset with-pred-kd`).
        Alone it cannot mend a head that favours the newest classes.
    """

    @dataclass(frozen=True)
    class Options(Regularized.Options):
        loss: str = option(
            "bce", "sigmoids of all seen, of the task's; softmax over all seen, over the task's", choices=LOSSES
        )
        feat_kd: float = option(1.0, "weight of the distillation of features; 0: none", ge=0)
