"""EWC: fine-tuning held near old weights, each as strongly as it mattered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from cl.backbone.attention import explicit, slow_to_differentiate
from cl.bases.regularized import Regularized
from cl.parts.losses import LOSSES, classification
from cl.parts.statistics import LABELS, SQUARES, Anchors, Parameters, Tensors, answers, diagonal
from cl.strategy import DISJOINT, Batch, StreamInfo, UsageError, View, option

ACCUMULATE = ("separate", "online", "convex")


@dataclass(frozen=True)
class Version:
    """What the codes that are called EWC disagree on; fields but the last three are options of the same name."""

    fisher: str
    fisher_label: str
    fisher_loss: str
    accumulate: str
    hold_head: bool
    fisher_mode: str = "eval"
    decay: float = 1.0
    fisher_clip: float = 0.0
    factor: float = 1.0
    """Of the penalty."""
    scale: float = 1.0
    """Of the Fisher's loss."""
    by_probability: bool = False
    """Whether squares are weighted by the likelihood."""


SMITH = Version("scaled", "truth", "bce-local", "online", hold_head=False, factor=0.5, scale=5.0)
VERSIONS = {
    "smith": SMITH,
    "smith-head": replace(SMITH, factor=1.0, scale=1.0),
    "clb": Version("scaled", "argmax", "global", "separate", hold_head=True),
    "mammoth": Version("padded", "truth", "global", "online", hold_head=True, by_probability=True),
    "pycil": Version(
        "batches", "truth", "global", "convex", hold_head=True, fisher_mode="train", fisher_clip=1e-4, factor=0.5
    ),
    "avalanche": Version("batches", "truth", "global", "separate", hold_head=True),
}


class EWC(Regularized):
    """Elastic Weight Consolidation: weights that earlier tasks' loss was sensitive to (Fisher information) are held.

    Paper: Kirkpatrick et al. Overcoming catastrophic forgetting in neural networks. PNAS 2017; `accumulate=online`
        with `decay` after Schwarz et al. Progress & Compress. ICML 2018.
    Trains: the backbone, or its query, key and value projections (`trains=qkv`), and one linear head. From task 2 on it
        adds reg * c * sum_j F_j (theta_j - anchor_j)^2 to the loss.
    Stores: two copies of what is held, Fisher and anchor (ViT-B: 686 MB; projections 170 MB), also for
        `accumulate=separate`, whose terms are merged into one; `merged=false` keeps two copies per task.
    Cost: one forward per test image; after each task one more backward pass over its images.
    Differences from the paper: `version` names the code that is followed, and no two agree. The paper's own form is
        fisher=images, fisher_label=sampled, fisher_loss=global, accumulate=separate.
        smith: Smith et al.'s code of 2022 (arXiv 2203.17269): squares of batch gradients times the batch, true labels,
        5 x BCE on the task's columns, F summed over tasks, latest anchor, c = 1/2. smith-head: the same repository
        later, without 5 and 1/2. clb: Hsu et al.'s (arXiv 1810.12488), as smith-head but predicted labels under a
        global softmax and a term per task. mammoth: per image, weighted by the probability of its label. pycil:
        batches, clipped at 1e-4, in training mode, F averaged by shares of classes, c = 1/2. avalanche: batches, a
        term per task. The last four hold the head's old rows too. Options left at none follow the version.
        The Fisher is taken on images without augmentation, in mini-batches drawn by a seed; these codes augment.
        mammoth leaves the network in training mode for it; here only pycil does.
    """

    @classmethod
    def supports(cls, setting: str, options: Any) -> bool:
        """An average by shares of classes forgets all that is older where the classes stay the same."""
        merged = resolved(options).accumulate == "convex"
        return super().supports(setting, options) and (setting in DISJOINT or not merged)

    @dataclass(frozen=True)
    class Options(Regularized.Options):
        version: str = option("smith", "whose EWC; sets what is left at none below", choices=tuple(VERSIONS))
        reg: float = option(10.0, "weight of the penalty (lambda_reg; mu, lamda and e_lambda in codes)", ge=0)
        fisher: str | None = option(
            None, "gradients squared: per image, the same over full batches, per batch, per batch times its size",
            choices=SQUARES,
        )  # fmt: skip
        fisher_label: str | None = option(None, "labels of the Fisher: true, predicted, or drawn", choices=LABELS)
        fisher_loss: str | None = option(None, "loss of the Fisher; as option loss", choices=LOSSES)
        accumulate: str | None = option(
            None, "a term per task; F <- decay F + F_new; F averaged by shares of classes", choices=ACCUMULATE
        )
        hold_head: bool | None = option(None, "whether old rows of the head are held too")
        fisher_mode: str | None = option(None, "mode of the network during the Fisher pass", choices=("eval", "train"))
        decay: float | None = option(None, "decay of old F in accumulate=online (gamma in papers)", ge=0, le=1)
        fisher_clip: float | None = option(None, "largest value of F; 0: no bound", ge=0)
        merged: bool = option(True, "merge the terms of accumulate=separate into one, or keep them all")
        fisher_chunk: int = option(8, "images whose gradients are held at once, where taken per image", ge=1)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.anchors = Anchors(self.device)
        v = self._version = resolved(self.options)
        if not v.hold_head and not self.tuned():
            raise UsageError(
                f"ewc has nothing to hold: trains={self.options.trains} trains nothing of backbone "
                f"{self.backbone.identity['name']}; set trains=all or hold_head=true."
            )

    def penalty(self) -> Tensor | None:
        reg = self.options.reg * self._version.factor
        distance = self.anchors.penalty(self.held()) if reg else None
        return None if distance is None else reg * distance

    def remember(self, view: View) -> None:
        super().remember(view)
        centres = {name: parameter.detach().clone() for name, parameter in self.held().items()}
        self._accumulate(centres, self.fisher(view), len(view.classes) / len(view.seen))

    def held(self) -> dict[str, nn.Parameter]:
        """The parameters that are held, by their name in backbone and head."""
        tuned = {f"backbone.model.{name}": parameter for name, parameter in self.tuned().items()}
        head = self.head.named_parameters() if self._version.hold_head else ()
        return tuned | {f"head.{name}": parameter for name, parameter in head}

    def fisher(self, view: View) -> dict[str, Tensor]:
        """The diagonal Fisher information of a task's images, by name of the parameters held."""
        v, model = self._version, nn.Sequential(OrderedDict(backbone=self.backbone, head=self.head))

        def loss(parameters: Parameters, x: Tensor, y: Tensor) -> Tensor:
            logits = functional_call(model, dict(parameters), (x,))
            return v.scale * classification(v.fisher_loss, logits, y, view.classes)

        model.train(v.fisher_mode == "train")
        with explicit(slow_to_differentiate([model], self.device)):
            found = diagonal(
                loss, self.held(), self._labelled(view, model), v.fisher, by_probability=v.by_probability,
                clip=v.fisher_clip, chunk=self.options.fisher_chunk,
            )  # fmt: skip
        model.eval()
        return found

    def _labelled(self, view: View, model: nn.Module) -> Iterator[Batch]:
        """The task's images without augmentation, with the labels of the version."""
        v, order, labels = self._version, self.rng("order of the Fisher"), self.rng("labels of the Fisher")
        columns = view.classes if v.fisher_loss in ("local", "bce-local") else view.seen
        images = self.batches(view.train, self.options.batch_size)
        for batch in images.epoch(0, lambda *key: order):
            if v.fisher_label == "truth":
                yield batch
            else:
                with torch.no_grad():
                    logits = model(batch.x)
                yield Batch(batch.x, answers(v.fisher_label, logits, batch.y, columns, labels))

    def _accumulate(self, centres: Tensors, fisher: dict[str, Tensor], share: float) -> None:
        """Add a task's term; `share` is that of its classes among those seen."""
        v = self._version
        if v.accumulate == "separate":
            self.anchors.add(centres, fisher)
            if self.options.merged:
                self.anchors.merge()
            return
        old = self.anchors.terms[0]["weights"] if len(self.anchors) else {}
        keep, take = (v.decay, 1.0) if v.accumulate == "online" else (1 - share, share)
        self.anchors.hold(centres, fisher | {name: keep * value + take * fisher[name] for name, value in old.items()})


def resolved(options: EWC.Options) -> Version:
    """The version with the options that override it. Raises `UsageError` for settings that exclude each other."""
    version = VERSIONS[options.version]
    given = {field.name: getattr(options, field.name, None) for field in fields(Version)}
    version = replace(version, **{name: value for name, value in given.items() if value is not None})
    if version.fisher_label == "sampled" and version.fisher_loss.startswith("bce"):
        raise UsageError("fisher_label=sampled draws from a softmax; set fisher_loss=local or fisher_loss=global.")
    if version.fisher in ("images", "padded") and version.fisher_mode == "train":
        raise UsageError(f"fisher={version.fisher} takes gradients of single images; set fisher_mode=eval.")
    return version
