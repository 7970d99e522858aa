"""AMA: after each task, groups of blocks are averaged with the weights before, each with its own coefficient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from cl.bases.rescaled import Rescaled
from cl.parts.heads import GrowingHead
from cl.parts.losses import classification
from cl.parts.merging import averaging_coefficients, depths, group_factors, groups_of, lines_factors
from cl.parts.weights import under
from cl.strategy import Batch, StreamInfo, TaskSize, UsageError, View, Work, option, scales
from cl.training.optim import WarmupCosine, adamw


class AMA(Rescaled):
    """Adaptive model averaging: a group of blocks becomes k * (weights before) + (1 - k) * (weights after).

    Name: AMA
    Paper: Lin et al. Mitigating the Alignment Tax of RLHF. EMNLP 2024, arXiv 2309.06256, whose last version calls it
        heterogeneous model averaging.
    Family: merging
    Networks: vit, cnn, random
    Gradients: whole
    Trains: what the base trains, as the base does; then one number per group of blocks.
    Stores: what the base stores; with `anchor=pretrained` also the pretrained weights.
    Cost: one forward pass per test image; `choose_epochs` epochs more, with the backward pass of a whole network.
    Differences from the paper: a transplant from language models, for which "before" and "after" are before and after
        the training with human feedback. The groups and the normalised coefficients, whose mean is `keep_mean`, are
        those of the code, and so is the penalty that pulls coefficients to their mean; its weighting of the layers of a
        26-layer model is not offered. A coefficient is at most 1; the code has no bound. The coefficients are trained
        on the task's training images with the base's loss and head, by AdamW with half a cosine (the code's trainer
        lowers the rate linearly). Embeddings belong to the first group and the final norm to the last; the code
        averages linear layers alone and takes all other tensors from before. Running statistics of batch norms are
        averaged like their group, but give the coefficients no gradient. The head stays as trained, where the code
        gives it `keep_mean`. The learning rate is ours.
        `shape=linear` is the straight line of LiNeS between two given coefficients.
    """

    @dataclass(frozen=True)
    class Options(Rescaled.Options):
        shape: str = option(
            "groups", "a coefficient per group of blocks, or a straight line over blocks", choices=("groups", "linear")
        )
        groups: int = option(3, "groups of consecutive blocks; chosen: at most one per block", ge=1)
        keep: tuple[float, ...] = option(
            (), "shares of the weights before, one per group or at both ends of the line; empty: chosen", ge=0, le=1
        )
        keep_mean: float = option(
            0.2, "mean of chosen coefficients (init_val in the code)", gt=0, lt=1, search=scales.linear(0.05, 0.5)
        )
        epsilon: float = option(0.2, "the larger, the closer chosen coefficients are to their mean", ge=0)
        reg: float = option(1e-4, "weight of the distances of coefficients from their mean, summed over matrices", ge=0)
        choose_epochs: int = option(1, "epochs of the choice", ge=1)
        choose_lr: float = option(0.05, "learning rate of the choice (AdamW)", gt=0)

        def __post_init__(self) -> None:
            wanted = 2 if self.shape == "linear" else self.groups
            if len(self.keep) != wanted and (self.keep or self.shape == "linear"):
                raise ValueError(f"keep has {len(self.keep)} values; shape={self.shape} needs {wanted}.")

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        choice = 0 if options.keep else options.choose_epochs * task.images
        return super().work(options, task) + Work(trained=choice)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        o = self.options
        blocks = len(set(depths(self._names).values()) - {None})
        self._count = o.groups if o.keep else min(o.groups, blocks)
        self._groups = groups_of(self._names, self._count) if o.shape == "groups" else {}
        shapes, found = self.tensors(), depths(self._names)
        owners = [g for name, g in self._groups.items() if found[name] is not None and shapes[name].ndim > 1]
        self._matrices = torch.bincount(torch.tensor(owners, dtype=torch.long), minlength=self._count).to(self.device)
        if not o.keep and not self._trains_a_head():
            raise UsageError(
                f"base={o.base} does not say how its head is trained, so coefficients cannot be chosen; set keep=..."
            )
        self.raw = nn.ParameterList([nn.Parameter(torch.zeros(self._count, device=self.device), requires_grad=False)])
        self.kept: list[list[float]] = []  # the coefficients of each task

    def factors(self, view: View, anchor: Mapping[str, Tensor]) -> dict[str, float]:
        o = self.options
        keep = list(o.keep) if o.keep else self._chosen(view, anchor)
        self.kept = [*self.kept, keep]
        if o.shape == "linear":
            return lines_factors(self._names, 1 - keep[0], keep[0] - keep[1])
        return group_factors(self._names, [1 - share for share in keep])

    def report(self) -> dict[str, float]:
        """The shares of the weights before, of every task and group."""
        found = {f"task{t}.keep{g}": share for t, kept in enumerate(self.kept) for g, share in enumerate(kept)}
        return {**self.base.report(), **found}

    def _trains_a_head(self) -> bool:
        """Whether the base has the head and the options of `cl.bases.fine_tuning`."""
        told = all(hasattr(self.base.options, name) for name in ("loss", "batch_size", "augment"))
        return told and isinstance(getattr(self.base, "head", None), GrowingHead)

    def _chosen(self, view: View, anchor: Mapping[str, Tensor]) -> list[float]:
        """Train the coefficients on the task's images; both networks are fixed."""
        o, base = self.options, cast(Any, self.base)
        b = base.options
        with torch.no_grad():
            self.raw[0].fill_(torch.logit(torch.tensor(o.keep_mean)))  # equal coefficients, as in the code
        here = self.tensors()
        trained = {name: here[name].detach() for name in self._names}
        learned = dict(self.backbone.model.named_parameters())  # statistics of batch norms have no gradient

        def loss(batch: Batch) -> Tensor:
            keep = averaging_coefficients(self.raw[0], o.keep_mean, o.epsilon)
            distance = (self._matrices * (keep - o.keep_mean).abs()).sum()
            mixed = {
                name: torch.lerp(now, anchor[name], (keep if name in learned else keep.detach())[self._groups[name]])
                for name, now in trained.items()
            }
            logits = base.head(under(self.backbone, mixed, batch.x))
            return classification(b.loss, logits, batch.y, view.classes) + o.reg * distance

        data = self.batches(view.train, b.batch_size, b.augment)
        self.fit(
            "choice of coefficients",
            data,
            loss,
            self.raw.parameters(),
            epochs=o.choose_epochs,
            optimizer=adamw(o.choose_lr, weight_decay=0.0),
            schedule=WarmupCosine(0, o.choose_epochs * data.steps),
        )
        with torch.no_grad():
            return [float(share) for share in averaging_coefficients(self.raw[0], o.keep_mean, o.epsilon)]
