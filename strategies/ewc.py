"""EWC: fine-tuning with a penalty that keeps important weights near their old values."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from cl.bases.regularized import Regularized
from cl.parts.losses import LOSSES, classification
from cl.parts.statistics import LABELS, SQUARES, Anchors, Parameters, answers, batch_norms, diagonal
from cl.strategy import DISJOINT, Batch, StreamInfo, TaskSize, UsageError, View, Work, option, scales
from cl.training.batches import without_single


class EWC(Regularized):
    """Elastic Weight Consolidation: penalise changes of weights that earlier tasks depend on, by Fisher information.

    Name: EWC
    Paper: Kirkpatrick et al. Overcoming catastrophic forgetting in neural networks. PNAS 2017; `accumulate=online`
        with `decay` after Schwarz et al. Progress & Compress. ICML 2018.
    Family: regularisation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the backbone, or its query, key and value projections (`trains=qkv`), and one linear head. From task 2 on,
        reg * reg_factor * sum_j F_j (theta_j - anchor_j)^2 is added to the loss.
    Stores: Fisher and anchor, each as large as the penalised parameters (ViT-B: 686 MB; projections 170 MB). This also
        holds for `accumulate=separate`, whose terms are merged into one; `merged=false` stores both per task.
    Cost: one forward pass per test image; after each task one more backward pass over its images.
    Differences from the paper: published implementations differ, so each is a preset, described by its source: smith
        (the defaults), smith-head, clb, mammoth, pycil, avalanche. Preset `paper` is the method of the paper. smith
        instead squares gradients of batches, uses true labels with 5 x BCE on the task's columns, keeps one anchor and
        F summed over tasks, and does not penalise the head. The Fisher is computed on images without augmentation, in
        mini-batches drawn by a seed; these implementations augment. mammoth computes it with the network in training
        mode; here only pycil does.
    """

    version = "2"

    @dataclass(frozen=True)
    class Options(Regularized.Options):
        reg: float = option(
            10.0, "weight of the penalty (lambda_reg; mu, lamda and e_lambda in implementations)", ge=0,
            search=scales.log(1.0, 1e4),
        )  # fmt: skip
        reg_factor: float = option(0.5, "constant factor of the penalty in addition to reg: 1/2 or 1", gt=0)
        fisher: str = option(
            "scaled", "mean of squared gradients: of images, of images with all batches counted as full (padded), of "
            "batches, or of batches times the batch size (scaled)",
            choices=SQUARES,
        )  # fmt: skip
        fisher_label: str = option("truth", "labels for the Fisher: true, predicted, or sampled", choices=LABELS)
        fisher_loss: str = option("bce-local", "loss for the Fisher, see option loss", choices=LOSSES)
        fisher_loss_scale: float = option(5.0, "factor of the loss for the Fisher", gt=0)
        fisher_by_probability: bool = option(False, "weigh squared gradients by the probability of the label")
        fisher_mode: str = option("eval", "mode of the network during the Fisher pass", choices=("eval", "train"))
        fisher_clip: float = option(0.0, "upper bound of F; 0: none", ge=0)
        accumulate: str = option(
            "online", "a term per task (separate), F <- decay F + F_new (online), or F averaged by shares of classes",
            choices=("separate", "online", "convex"),
        )  # fmt: skip
        decay: float = option(1.0, "decay of old F for accumulate=online (gamma in papers)", ge=0, le=1)
        hold_head: bool = option(False, "also penalise changes of old rows of the head")
        merged: bool = option(True, "merge the terms of accumulate=separate into one equivalent term")
        fisher_chunk: int = option(8, "images whose gradients are in memory at once, for fisher=images or padded", ge=1)

        def __post_init__(self) -> None:
            if self.fisher_label == "sampled" and self.fisher_loss.startswith("bce"):
                raise ValueError("fisher_label=sampled draws from a softmax; set fisher_loss=local or global.")
            if self.fisher in ("images", "padded") and self.fisher_mode == "train":
                raise ValueError(f"fisher={self.fisher} takes gradients of single images; set fisher_mode=eval.")

    @classmethod
    def supports(cls, setting: str, options: Any) -> bool:
        """`accumulate=convex` averages by shares of classes, so it forgets older tasks if the classes stay the same."""
        return super().supports(setting, options) and (setting in DISJOINT or options.accumulate != "convex")

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        return super().work(options, task) + Work(trained=task.images)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.anchors = Anchors(self.device)
        if not self.options.hold_head and not self.tuned():
            raise UsageError(
                f"ewc has nothing to hold: trains={self.options.trains} trains nothing of backbone "
                f"{self.backbone.identity['name']}; set trains=all or hold_head=true."
            )

    def penalty(self) -> Tensor | None:
        o = self.options
        distance = self.anchors.penalty(self.held()) if o.reg else None
        return None if distance is None else o.reg * o.reg_factor * distance

    def held(self) -> dict[str, nn.Parameter]:
        """The penalised parameters, by name in backbone and head."""
        tuned = {f"backbone.model.{name}": parameter for name, parameter in self.tuned().items()}
        head = self.head.named_parameters() if self.options.hold_head else ()
        return tuned | {f"head.{name}": parameter for name, parameter in head}

    def remember(self, view: View) -> None:
        """Add the task's term: the current parameters and their Fisher information."""
        super().remember(view)
        o, fisher = self.options, self.fisher(view)
        centres = {name: parameter.detach().clone() for name, parameter in self.held().items()}
        if o.accumulate == "separate":
            self.anchors.add(centres, fisher)
            if o.merged:
                self.anchors.merge()
            return
        share = len(view.classes) / len(view.seen)
        keep, take = (o.decay, 1.0) if o.accumulate == "online" else (1 - share, share)
        old = self.anchors.terms[0]["weights"] if len(self.anchors) else {}
        self.anchors.hold(centres, fisher | {name: keep * value + take * fisher[name] for name, value in old.items()})

    def fisher(self, view: View) -> dict[str, Tensor]:
        """The diagonal Fisher information on a task's images, by name of the penalised parameters."""
        o, model = self.options, nn.Sequential(OrderedDict(backbone=self.backbone, head=self.head))

        def loss(parameters: Parameters, x: Tensor, y: Tensor) -> Tensor:
            logits = functional_call(model, dict(parameters), (x,))
            return o.fisher_loss_scale * classification(o.fisher_loss, logits, y, view.classes)

        model.train(o.fisher_mode == "train")
        found = diagonal(
            loss, self.held(), self._labelled(view, model), o.fisher, by_probability=o.fisher_by_probability,
            clip=o.fisher_clip, chunk=o.fisher_chunk, run=self.alike,
        )  # fmt: skip
        model.eval()
        return found

    def _labelled(self, view: View, model: nn.Module) -> Iterator[Batch]:
        """The task's images without augmentation, with the labels for the Fisher."""
        o, order, labels = self.options, self.rng("order of the Fisher"), self.rng("labels of the Fisher")
        columns = view.classes if o.fisher_loss in ("local", "bce-local") else view.seen
        images = self.batches(view.train, o.batch_size)
        if o.fisher_mode == "train" and batch_norms(self.backbone):
            images = without_single(images)
        for batch in images.epoch(0, lambda *key: order):
            if o.fisher_label == "truth":
                yield batch
                continue
            with torch.no_grad():
                logits = model(batch.x)
            yield Batch(batch.x, answers(o.fisher_label, logits, batch.y, columns, labels))
