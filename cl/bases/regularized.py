"""Regularised fine-tuning: classification losses, distillation and penalties, each an option.

The common part of "A Closer Look at Rehearsal-Free Continual Learning" (Smith et al., arXiv 2203.17269):

    L = L_cls + lambda_pred L_PredKD + lambda_feat L_FeatKD + lambda_reg Omega(theta)

A method is a subclass that sets its own term; the other terms can be added to it by options.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor, nn

from cl.bases.replayed import Replayed
from cl.parts.losses import DISTANCES, LOSSES, REDUCTIONS, classification, feature_distance, softened_cross_entropy
from cl.parts.weights import Teacher
from cl.strategy import DISJOINT, DOMAIN, Batch, Needs, StreamInfo, TaskSize, View, Work, option


class Regularized(Replayed):
    """Fine-tuning with loss terms chosen by options; subclasses add `penalty`, and in `remember` what it needs."""

    settings: ClassVar[tuple[str, ...]] = (*DISJOINT, DOMAIN)

    @classmethod
    def supports(cls, setting: str, options: Any) -> bool:
        """Distillation keeps the old model's outputs for all its classes, which is wrong if a class returns."""
        distils = options.pred_kd or options.feat_kd
        return super().supports(setting, options) and (setting in DISJOINT or not distils)

    @classmethod
    def needs(cls, options: Any) -> Needs:
        needs = super().needs(options)
        if options.loss == "bce-local":
            needs = replace(needs, compares="its sigmoids of the classes of a task (loss=bce-local)")
        return replace(needs, batch_size=0) if options.eval_mode else needs

    @dataclass(frozen=True)
    class Options(Replayed.Options):
        trains: str = option(
            "all", "train all, or query, key and value projections and the head (qkv), or the head only",
            choices=("all", "qkv", "head"),
        )  # fmt: skip
        loss: str = option(
            "local",
            "softmax over the task's classes (local) or all seen (global); sigmoids of all seen (bce) or the task's",
            choices=LOSSES,
        )  # fmt: skip
        loss_scale: float = option(1.0, "factor of the classification loss; 5 in Smith et al.'s code of 2022", gt=0)
        bce_reduction: str = option(
            "mean", "sigmoid losses: mean over images and columns, or sum over columns", choices=REDUCTIONS
        )
        balanced_bce: bool = option(False, "sigmoid losses: an image's positive weighs as much as all its negatives")
        pred_kd: float = option(0.0, "weight of prediction distillation; 0: none", ge=0)
        temperature: float = option(2.0, "temperature of prediction distillation with a softmax loss", gt=0)
        feat_kd: float = option(0.0, "weight of feature distillation; 0: none", ge=0)
        feat_kd_mode: str = option(
            "mse", "feature distillation: mean squared difference, or 1 - cosine", choices=DISTANCES
        )
        eval_mode: bool = option(
            False, "train with dropout off and batch norm frozen, as in Smith et al.'s code of 2022"
        )

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found = super().work(options, task)
        teaches = task.number and (options.pred_kd or options.feat_kd)
        return found + Work(encoded=found.trained) if teaches else found

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        o = self.options
        self.teacher = Teacher(self.backbone.dim).to(self.device) if o.pred_kd or o.feat_kd else None

    def penalty(self) -> Tensor | None:
        """The method's own weighted loss term; None if there is none (yet)."""
        return None

    def remember(self, view: View) -> None:
        super().remember(view)
        if self.teacher is not None:
            self.teacher.copy_from(self.backbone, self.head, self.tuned())

    def objective(self, batch: Batch, classes: tuple[int, ...]) -> Tensor:
        """L_cls plus the terms that are switched on, with one forward pass of the student and one of the teacher.

        Sigmoid losses contain the prediction distillation, so `loss_scale` is a factor of both.
        """
        o = self.options
        if o.eval_mode:
            self.backbone.eval()
        features = self._features(batch)
        logits = self.head(features)
        taught = self._taught(batch, features)
        sigmoids = o.loss.startswith("bce")
        soft = taught[1].sigmoid() if taught is not None and o.pred_kd and sigmoids else None
        loss = o.loss_scale * classification(
            o.loss, logits, batch.y, classes, soft, o.pred_kd, reduction=o.bce_reduction, balanced=o.balanced_bce
        )
        if taught is not None and taught[1].shape[1] and o.pred_kd and not sigmoids:
            loss = loss + o.pred_kd * softened_cross_entropy(logits, taught[1], o.temperature)
        if taught is not None and o.feat_kd:
            loss = loss + o.feat_kd * feature_distance(features, taught[0], o.feat_kd_mode)
        penalty = self.penalty()
        return loss if penalty is None else loss + penalty

    def _taught(self, batch: Batch, features: Tensor) -> tuple[Tensor, Tensor] | None:
        """Features and logits of the previous task's model on the same images; None in the first task."""
        if self.teacher is None or not self.teacher.classes:
            return None
        if not self.tuned():  # a frozen backbone gives the teacher's features as well
            return features, self.teacher.head(features)
        return self.teacher(self.backbone, batch.x)

    def tuned(self) -> dict[str, nn.Parameter]:
        parameters = super().tuned()
        if self.options.trains == "qkv":
            parameters = {name: p for name, p in parameters.items() if ".attn.qkv." in name}
        return parameters

    def anchored(self) -> dict[str, Tensor]:
        """A copy of the tuned parameters, as centres of a penalty."""
        return {name: parameter.detach().clone() for name, parameter in self.tuned().items()}
