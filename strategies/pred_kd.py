"""PredKD: distillation of the predictions of the model before the task (Learning without Forgetting)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cl.bases.fine_tuning import FineTuning
from cl.bases.regularized import Regularized
from cl.parts.losses import LOSSES, local_cross_entropy
from cl.strategy import Batch, StreamInfo, UsageError, View, option, scales, sgd


class PredKD(Regularized):
    """Distil the old model's predictions on new images: LwF with a softmax, LwF.MC with sigmoids.

    Name: PredKD
    Paper: Li, Hoiem. Learning without Forgetting. ECCV 2016, arXiv 1606.09282. LwF.MC is the sigmoid variant that
        Rebuffi, Kolesnikov, Sperl, Lampert compare with (iCaRL, CVPR 2017, arXiv 1611.07725), and PredKD in Smith,
        Tian, Halbe, Hsu, Kira. A Closer Look at Rehearsal-Free Continual Learning. CVPR Workshops 2023, arXiv
        2203.17269.
    Family: distillation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the backbone (`trains=qkv`: its query, key and value projections) and one linear head over the classes seen.
    Stores: a copy of the tuned tensors and of the head from before the task; no images. With `teacher_view=clean`
        nothing is stored between tasks, because predictions are computed before the task.
    Cost: one forward pass per test image; in training, an additional pass of the old model for every image (with
        `teacher_view=clean`: once per task).
    Differences from the paper: the default is LwF.MC, binary cross-entropy over all classes seen, with the old model's
        sigmoids as targets of old classes (`loss=bce`). `loss=global` and `loss=local` are LwF: cross-entropy with the
        old model's softmax at `temperature`, without a factor T^2, as in current implementations. The paper and Mammoth
        raise probabilities to the power 1/T and normalise them again, which equals softmax(z / T). LwF has several
        meanings in papers; each is a named preset. The old model sees the same augmented images, in evaluation mode.
        With `teacher_view=clean` it sees each image without augmentation, once per task, as in Mammoth; unlike Mammoth
        on CIFAR, we normalise these images. Li and Hoiem first train the new head alone until convergence, Mammoth for
        as many epochs as the task (`warmup_epochs`); other implementations do not, nor do we by default. With a memory
        (`memory_size`), the old model also gives LwF.MC's targets of old classes for remembered images, as in iCaRL.
    """

    @dataclass(frozen=True)
    class Options(Regularized.Options):
        loss: str = option(
            "bce", "LwF.MC: bce; LwF: softmax over the task's classes (local) or all seen (global)", choices=LOSSES
        )
        pred_kd: float = option(1.0, "weight of prediction distillation; 0: none", ge=0, search=scales.log(0.1, 10.0))
        teacher_view: str = option(
            "augmented", "the old model sees each augmented image, or each image once per task without augmentation",
            choices=("augmented", "clean"),
        )  # fmt: skip
        warmup_epochs: int = option(
            0, "epochs for new head rows alone at the start of later tasks; 0: none, -1: same as epochs", ge=-1
        )

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self._said: Tensor | None = None
        if self.options.teacher_view == "clean":
            if self.options.feat_kd:
                raise UsageError("teacher_view=clean keeps predictions, no features: set feat_kd=0 or the other view.")
            self.teacher = None  # before the task the model is its own teacher

    def learn(self, view: View) -> None:
        o, old = self.options, self.head.classes
        if old and o.pred_kd and o.teacher_view == "clean":
            self._said = self.compute("old predictions", lambda: self._predictions(view)).to(self.device)
        if old and o.warmup_epochs:
            self._warm_up(view)
        super().learn(view)
        self._said = None

    @torch.no_grad()
    def _predictions(self, view: View) -> Tensor:
        """Logits [N + M, old] of N training and M remembered images, without augmentation, in evaluation mode."""
        self.backbone.eval()
        features = self.encode(view.train)
        if self.memory is not None:
            features = torch.cat([features, self._encoded(self.memory)])
        return self.head(features)

    def _warm_up(self, view: View) -> None:
        """Train only the rows of the new classes, with plain SGD and a softmax over the task's classes.

        All else is frozen and in evaluation mode. Remembered images are not used, because they are of other classes.
        """
        o, old = self.options, self.head.classes
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        if self.head.classes > old:
            self.fit(
                "warm up",
                FineTuning._data(self, [view.train]),
                lambda batch: local_cross_entropy(self.head(self._features(batch)), batch.y, view.classes),
                self.head.blocks[-1].parameters(),
                epochs=o.epochs if o.warmup_epochs < 0 else o.warmup_epochs,
                optimizer=sgd(o.lr, momentum=0.0),
            )

    def _taught(self, batch: Batch, features: Tensor) -> tuple[Tensor, Tensor] | None:
        if self.options.teacher_view == "augmented":
            return super()._taught(batch, features)
        if self._said is None:
            return None
        assert batch.rows is not None, "a source that draws its items anew has no recorded predictions"
        return features, self._said[batch.rows]
