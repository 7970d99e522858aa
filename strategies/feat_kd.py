"""FeatKD: distillation of the features of the model before the task."""

from __future__ import annotations

from dataclasses import dataclass

from cl.bases.regularized import Regularized
from cl.parts.losses import LOSSES
from cl.strategy import option


class FeatKD(Regularized):
    """Distil the old model's features on new images, with mean squared error or cosine distance.

    Paper: one of the four regularisers of Smith, Tian, Halbe, Hsu, Kira. A Closer Look at Rehearsal-Free Continual
        Learning. CVPR Workshops 2023, arXiv 2203.17269.
    Trains: the backbone (`trains=qkv`: its query, key and value projections) and one linear head over the classes seen.
    Stores: a copy of the tuned tensors and of the head from before the task; no images.
    Cost: one forward pass per test image; in training, an additional pass of the old model for every image.
    Differences from the paper: features are the input of the head, not normalised, and not from inner layers. The
        squared distance is averaged over dimensions, as in the authors' code; the formula sums. Logits and features
        come from one forward pass of the student; the code makes two. By default this is the only regulariser, with
        sigmoids over all classes seen; the paper's main setting also distils predictions (`--preset with-pred-kd`).
        Without that, the term cannot correct a head that favours the newest classes.
    """

    @dataclass(frozen=True)
    class Options(Regularized.Options):
        loss: str = option(
            "bce",
            "sigmoids of all classes seen (bce) or the task's; softmax over all seen (global) or the task's (local)",
            choices=LOSSES,
        )
        feat_kd: float = option(1.0, "weight of feature distillation; 0: none", ge=0)
