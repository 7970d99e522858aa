"""SLCA: a slow learner for the backbone, and classifier alignment on class Gaussians."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.heads import GrowingHead
from cl.parts.statistics import ClassGaussians
from cl.strategy import (
    RECIPES,
    Batch,
    Cosine,
    Inputs,
    MultiStep,
    Needs,
    Source,
    Strategy,
    StreamInfo,
    TaskSize,
    View,
    Work,
    option,
    scales,
    sgd,
)


class SLCA(Strategy):
    """Slow learner with classifier alignment: fine-tune slowly, then align the heads on Gaussian features.

    Name: SLCA
    Paper: Zhang, Wang, Kang, Chen, Wei. SLCA: Slow Learner with Classifier Alignment for Continual Learning on a
        Pre-trained Model. ICCV 2023, arXiv 2303.05118.
    Family: alignment
    Networks: vit, cnn, mlp, clip
    Gradients: whole
    Trains: the whole backbone at 0.01 of the head's learning rate, and the new task's head; in alignment, all heads.
    Stores: per class one mean and one full covariance (d + d^2 floats: 2.36 MB for ViT-B); no images.
    Cost: one forward pass per test image; alignment draws `ca_samples` features per class and epoch.
    Differences from the paper: the shrinking of old means (s_c) is in the authors' code, but not in the parts of the
        paper available to us; it is on by default, and `mean_shrink=0` turns it off. The task of each class is stored,
        so tasks may have unequal sizes; `legacy_task_index` reproduces the code's c // size-of-the-current-task.
        Features are sampled with one cached Cholesky factor per class: the same distribution, but different draws.
    """

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(20, "epochs per task", ge=1)
        batch_size: int = option(128, "images per step", ge=1)
        lr: float = option(0.01, "learning rate of the head (eta)", gt=0, search=scales.log(1e-3, 1e-1))
        backbone_lr_scale: float = option(
            0.01, "slow learner: backbone rate as a multiple of lr", ge=0, search=scales.log(1e-3, 1.0)
        )
        momentum: float = option(0.9, "SGD momentum", ge=0, lt=1)
        weight_decay: float = option(5e-4, "weight decay of backbone and heads", ge=0)
        milestones: tuple[int, ...] = option((18,), "epochs at which the learning rate is multiplied by gamma", ge=0)
        gamma: float = option(0.1, "factor of the learning rate at a milestone", gt=0)
        augment: str = option("rrc-flip", "augmentation of training images", choices=tuple(RECIPES))
        fresh_norm: bool = option(True, "replace the final LayerNorm by a new one, as the authors' code does")
        ca_epochs: int = option(5, "epochs of classifier alignment; 0: none", ge=0)
        ca_samples: int = option(256, "alignment: features drawn per class and epoch; also its batch size", ge=1)
        ca_lr: float = option(0.01, "learning rate of the alignment", gt=0, search=scales.log(1e-3, 1e-1))
        logit_norm: float = option(
            0.1, "temperature of the logit normalisation; 0: none", ge=0, search=scales.log(0.02, 0.5)
        )
        mean_shrink: float = option(
            0.1, "shrinkage of old class means: s_c = 1 - shrink + shrink (tau + 1) / t", ge=0, lt=1
        )
        legacy_task_index: bool = option(False, "use the task index of the authors' code, wrong for unequal tasks")

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(
            images_per_class=2,
            purpose="for its covariance",
            compares="its softmax over the classes of a task",
            batch_size=options.batch_size,
        )

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        return replace(super().work(options, task), encoded=task.images, known="declared")

    def setup(self, info: StreamInfo) -> None:
        if self.options.fresh_norm:
            self.backbone.replace_final_norm()
        self.heads = GrowingHead(self.backbone.dim).to(self.device)  # trained task by task
        self.aligned = GrowingHead(self.backbone.dim).to(self.device)  # for prediction; rebuilt in every task
        self.gaussians = ClassGaussians(self.backbone.dim, device=self.device)

    def learn(self, view: View) -> None:
        self.heads.grow_to(len(view.seen), self.init_rng("head"))
        self._slow_learning(view)
        self.compute("class statistics", lambda: self._add_statistics(view))
        self.aligned.copy_from(self.heads)
        if view.task > 0 and self.options.ca_epochs:
            self._align(view)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.aligned(inputs.encode(self.backbone))

    def _slow_learning(self, view: View) -> None:
        """Step 2: cross-entropy over the new classes only; old heads are not trained."""
        o = self.options
        head, first = self.heads.blocks[-1], view.classes[0]
        groups = [
            {"params": self.backbone.parameters(), "lr": o.lr * o.backbone_lr_scale},
            {"params": head.parameters(), "lr": o.lr},
        ]
        self.fit(
            "slow learning",
            self.batches(view.train, o.batch_size, o.augment),
            lambda batch: F.cross_entropy(head(self.backbone(batch.x)), batch.y - first),
            groups,
            epochs=o.epochs,
            optimizer=sgd(o.lr, o.momentum, o.weight_decay),
            schedule=MultiStep(o.milestones, o.gamma),
        )

    def _add_statistics(self, view: View) -> None:
        """Step 4: Gaussians of the new classes with the current backbone; old Gaussians do not change."""
        self.gaussians.add(self.encode(view.train), view.train.labels, view.classes, self.info.class_names)

    def _align(self, view: View) -> None:
        """Step 5: retrain a copy of all heads on features drawn from the Gaussians."""
        o = self.options
        self.fit(
            "classifier alignment",
            self.drawn(len(view.classes)),
            self.alignment_loss,
            self.aligned.parameters(),
            epochs=o.ca_epochs,
            optimizer=sgd(o.ca_lr, o.momentum, o.weight_decay),
            schedule=Cosine(),
        )

    def drawn(self, newest: int) -> Source:
        """The features of the alignment; `newest` is the number of classes of the current task."""
        return self.gaussians.sampler(self.options.ca_samples, self.mean_scale(newest))

    def mean_scale(self, newest: int) -> Tensor:
        """s_c of each class: 1 for the newest task, down to almost 1 - mean_shrink for the oldest of many."""
        shrink = self.options.mean_shrink
        return 1 - shrink + shrink * (self.task_index(newest) + 1) / len(self.heads.widths)

    def task_index(self, newest: int) -> Tensor:
        """The task of each class, from 0, [C]."""
        if self.options.legacy_task_index:
            return torch.arange(self.heads.classes) // newest
        widths = self.heads.widths
        return torch.repeat_interleave(torch.arange(len(widths)), torch.tensor(widths))

    def alignment_loss(self, batch: Batch) -> Tensor:
        """Cross-entropy of z / (tau n(z)), where n(z) is the mean over tasks of the norm of a task's logits."""
        blocks = self.aligned.block_logits(batch.x)
        logits = torch.cat(blocks, 1)
        if self.options.logit_norm:
            norms = torch.stack([block.norm(dim=1) + 1e-7 for block in blocks])
            logits = logits / (self.options.logit_norm * norms.mean(0).unsqueeze(1))
        return F.cross_entropy(logits, batch.y)
