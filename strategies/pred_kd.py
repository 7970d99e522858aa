"""PredKD: hold on to what the model before the task predicted (Learning without Forgetting)."""

from __future__ import annotations

from dataclasses import dataclass

from cl.config import option
from cl.parts.losses import LOSSES
from cl.regularized import Regularized


class PredKD(Regularized):
    """Distil the old model's predictions on new images: LwF with a softmax, LwF.MC with sigmoids.

    Paper: Li, Hoiem. Learning without Forgetting. ECCV 2016, arXiv 1606.09282. LwF.MC is the sigmoid variant that
        Rebuffi, Kolesnikov, Sperl, Lampert compare with (iCaRL, CVPR 2017, arXiv 1611.07725), and PredKD in Smith,
        Tian, Halbe, Hsu, Kira. A Closer Look at Rehearsal-Free Continual Learning. CVPR Workshops 2023, arXiv
        2203.17269.
    Trains: the backbone (`trains=qkv`: its query, key and value projections) and one linear head over the classes seen.
    Stores: a copy of the tuned tensors and of the head, as they were before the task; no images.
    Cost: one forward per test image; while training one more, of the old model, for every image.
    Differences from the paper: the default is LwF.MC, binary cross-entropy over all classes seen whose targets are the
        old model's sigmoids for old classes (`loss=bce`). `loss=global` and `loss=local` are LwF, with the
        cross-entropy of the old classes' softmax at `temperature` and, as in the codes in use, no factor T^2. Papers
        mean different things by LwF: each is a named preset. Li and Hoiem first train the new head alone; the codes of
        the presets do not, and neither do we. The old model sees the same augmented images, in evaluation mode. Beside
        a memory (`memory_size`) LwF.MC's targets of old classes are the old model's for remembered images too, as in
        iCaRL.
    """

    @dataclass(frozen=True)
    class Options(Regularized.Options):
        loss: str = option(
            "bce", "LwF.MC: bce; LwF: softmax over the task's classes (local) or all seen (global)", choices=LOSSES
        )
        pred_kd: float = option(1.0, "weight of the distillation of predictions; 0: none", ge=0)
