"""Classification losses of continual learning, distillation of predictions and features, contrast between images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.backbone.devices import positions

LOSSES = ("local", "global", "bce", "bce-local")
"""Softmax over the task's classes; over all classes seen; a sigmoid per class seen; a sigmoid per task's class."""

REDUCTIONS = ("mean", "sum")
"""Reductions of sigmoid losses: mean over images and columns; mean over images of the sum over columns."""

DISTANCES = ("mse", "cosine")
"""Distances between features: mean squared difference over images and dimensions; 1 minus the mean cosine."""


def classification(
    kind: str,
    logits: Tensor,
    labels: Tensor,
    classes: Sequence[int],
    soft: Tensor | None = None,
    weight: float = 1.0,
    *,
    reduction: str = "mean",
    balanced: bool = False,
) -> Tensor:
    """The loss `kind` of `LOSSES`, a scalar; logits [B, C] over classes seen, labels [B] positions.

    `soft` [B, old] are targets in [0, 1] for the first columns. Sigmoid losses distil those of these columns that are
    not in `classes`, with `weight`: `bce` is then LwF.MC, one mean over hard and soft columns; `bce-local` adds the
    mean over the soft columns to the mean over the task's. Softmax losses do not use `soft`. `balanced` gives the
    positive and the negatives of an image the same weight, like a flag of Smith et al.'s code of 2022.
    """
    if kind == "global":
        return F.cross_entropy(logits, labels)
    if kind == "local":
        return local_cross_entropy(logits, labels, classes)
    old = [] if soft is None else [c for c in range(soft.shape[1]) if c not in classes]
    distilled = positions(old, logits.device)
    target = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
    if kind == "bce-local":
        columns = positions(classes, logits.device)
        hard = target[:, columns]
        loss = _sigmoids(logits[:, columns], hard, balance(hard) if balanced else None, reduction)
        if soft is None or not old:
            return loss
        return loss + weight * _sigmoids(logits[:, distilled], soft[:, distilled].to(logits.dtype), None, reduction)
    weights = None
    if soft is not None and old:
        target[:, distilled] = soft[:, distilled].to(logits.dtype)
    if balanced or (old and weight != 1.0):
        kept = positions([c for c in range(logits.shape[1]) if c not in set(old)], logits.device)
        weights = torch.full_like(target, weight)
        weights[:, kept] = balance(target[:, kept]) if balanced else 1.0
    return _sigmoids(logits, target, weights, reduction)


def _sigmoids(logits: Tensor, target: Tensor, weights: Tensor | None, reduction: str) -> Tensor:
    """Binary cross-entropy of logits [B, K]; `reduction` is one of `REDUCTIONS`."""
    if reduction == "mean":
        return F.binary_cross_entropy_with_logits(logits, target, weights)
    return F.binary_cross_entropy_with_logits(logits, target, weights, reduction="sum") / len(logits)


def balance(target: Tensor) -> Tensor:
    """Weights [B, K] of one-hot targets: K for the positive and 1 for each negative, times 2 K / (K + 1).

    Without them the negatives outnumber the positive K - 1 times.
    """
    columns = target.shape[1]
    return (target * (columns - 1) + 1) * (2 * columns / (columns + 1))


def softened_cross_entropy(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """LwF's distillation: mean over images of - sum_c softmax(g / T)_c log softmax(z / T)_c; no factor T^2.

    `teacher` [B, old] are its logits g; the first `old` columns of `logits` [B, C] are z.
    """
    student = logits[:, : teacher.shape[1]]
    return F.cross_entropy(student / temperature, F.softmax(teacher / temperature, 1))


def balanced_cross_entropy(logits: Tensor, teacher: Tensor, temperature: float, weights: Tensor) -> Tensor:
    """FOSTER's balanced distillation: as `softened_cross_entropy`, to targets w_c softmax(g / T)_c over their sum.

    `weights` w [old] are of the classes of the teacher.
    """
    target = F.softmax(teacher / temperature, 1) * weights
    return F.cross_entropy(logits[:, : teacher.shape[1]] / temperature, target / target.sum(1, keepdim=True))


def effective_weights(counts: Tensor, beta: float) -> Tensor:
    """Class weights (1 - beta) / (1 - beta^n) of n images each (Cui et al. 2019), times a factor: their mean is 1.

    `counts` [C] are at least 1; beta is in [0, 1). The result is float32 [C].
    """
    weights = (1 - beta) / (1 - beta ** counts.double())
    return (weights * (len(counts) / weights.sum())).float()


def feature_distance(features: Tensor, teacher: Tensor, kind: str = "mse") -> Tensor:
    """How far features [B, d] moved from the teacher's, a scalar; `kind` is one of `DISTANCES`."""
    if kind == "cosine":
        return 1 - F.cosine_similarity(features, teacher, dim=1).mean()
    return F.mse_loss(features, teacher)


def contrastive(features: Tensor, prototypes: Tensor, temperature: float = 0.8) -> Tensor:
    """Contrastive regularisation of HiDe-Prompt and MOS, over the rows of M = [prototypes; features].

    Cross-entropy of M M^T / temperature with the identity as target, mean over rows; `prototypes` [P, d] are constants.
    Rows are not normalised, as in the code of both papers: with large features the diagonal dominates and the term is
    almost 0.
    """
    rows = torch.cat([prototypes.to(features), features])
    return F.cross_entropy(rows @ rows.T / temperature, torch.arange(len(rows), device=rows.device))


def supervised_contrastive(features: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """SupCon (Khosla et al. 2020): an image should be nearer to the others of its label than to the rest of a batch.

    Mean over rows i of -1/|P(i)| sum over p in P(i) of log softmax_a(z_i z_a / T)_p, with a != i and z the features
    [B, d] at length 1; P(i) are the other rows with the label of i. A row without such rows counts as 0. With a label
    per image and two views of each, this is the loss of SimCLR (NT-Xent).
    """
    z = F.normalize(features.float())
    own = torch.eye(len(z), dtype=torch.bool, device=z.device)
    log_shares = (z @ z.T / temperature).masked_fill(own, float("-inf")).log_softmax(1)
    positive = (labels[:, None] == labels) & ~own
    return -(log_shares.masked_fill(~positive, 0).sum(1) / positive.sum(1).clamp(min=1)).mean()


def dot_regression(features: Tensor, targets: Tensor) -> Tensor:
    """Half the squared distance of the cosine of features and targets [B, d] from 1, per row [B] (NC-FSCIL's loss)."""
    return 0.5 * (F.cosine_similarity(features, targets, dim=1) - 1).square()


def local_cross_entropy(logits: Tensor, labels: Tensor, classes: Sequence[int]) -> Tensor:
    """Cross-entropy whose softmax runs over `classes` only; other columns get an exactly zero gradient.

    `logits` [B, C] over classes seen, `labels` [B] positions, all in `classes`.
    """
    columns = positions(classes, logits.device)
    place = torch.empty(logits.shape[1], dtype=torch.long, device=logits.device)
    place[columns] = torch.arange(len(columns), device=logits.device)
    return F.cross_entropy(logits[:, columns], place[labels])
