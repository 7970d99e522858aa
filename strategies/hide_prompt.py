"""HiDe-Prompt: infer the task from the frozen model, then prompt it for that task, then align the head."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.parts.attached import ScoreGate, TaskPrefixes
from cl.parts.heads import GrowingHead, TaskInference
from cl.parts.losses import contrastive, local_cross_entropy
from cl.parts.statistics import KINDS, ClassGaussians
from cl.strategy import (
    RECIPES,
    SCHEDULES,
    Batch,
    Cosine,
    Inputs,
    Source,
    Strategy,
    StreamInfo,
    View,
    adam,
    option,
    schedule,
    sgd,
)


class HiDePrompt(Strategy):
    """Hierarchical decomposition prompting: task-identity inference, within-task and task-adaptive prediction.

    Paper: Wang, Xie, Zhang, Huang, Su, Zhu. Hierarchical Decomposition of Prompt-Based Continual Learning: Rethinking
        Obscured Sub-optimality. NeurIPS 2023, arXiv 2310.07234.
    Trains: per task an MLP with a head on features u of the frozen model (TII), then a prompt p_t of prefixes with the
        shared head (WTP); from the second task on both heads and the MLP once more on features drawn from class
        statistics (TII's alignment, TAP).
    Stores: a prompt per task (blocks x 2 x L x d), MLP, heads, and two sets of class statistics: of u, and of features
        h under the prompt of the class's task; no images.
    Cost: two forwards per test image, one plain and one prompted, through one network; the plain one is memoised.
    Differences from the paper: TII is trained beside WTP task by task, which gives the same, for it ignores prompts.
        Prefixes keep their image: `prompt_layout=legacy` reproduces the reshape of the authors' code, which mixes keys,
        values and prompts of the images of a batch, and the published figures with it. Clusters of a class are drawn
        by their share of its images (the code draws as many from each), their variances are unbiased, with the jitter.
        As in the code: `ca_steps=old` takes one step per class of earlier tasks and epoch, so most of the features
        drawn stay unused; features are not normalised in the contrastive term; no weight decay anywhere.
    """

    rules: ClassVar[tuple[str, ...]] = ("cil_seen", "til_masked", "til_oracle")

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(50, "epochs of a task's prompt (WTP)", ge=1)
        batch_size: int = option(128, "images per step", ge=1)
        lr: float = option(0.015, "learning rate of the prompt (Adam)", gt=0)
        head_lr_scale: float = option(0.1, "the head's rate as a share of lr (larger_prompt_lr of the code)", gt=0)
        schedule: str = option("multistep", "learning-rate schedule of WTP", choices=SCHEDULES)
        milestones: tuple[int, ...] = option((30,), "epochs at which multistep divides the rate by ten", ge=0)
        clip: float = option(1.0, "largest gradient norm, of WTP and TII", gt=0)
        augment: str = option("rrc-flip", "augmentation of training images in WTP", choices=tuple(RECIPES))
        length: int = option(5, "keys and values per prefix (L); 0 leaves the frozen model", ge=0)
        layers: tuple[int, ...] = option((0, 1, 2, 3, 4), "blocks with prefixes, from 0", ge=0)
        prompt_momentum: float = option(0.01, "m: share of the mean of earlier prompts in a task's own", ge=0, lt=1)
        prompt_layout: str = option(
            "correct", "legacy reproduces the code's reshape across a batch", choices=("correct", "legacy")
        )
        reg: float = option(0.1, "lambda: weight of the contrastive regularisation", ge=0)
        statistics: str = option("centroids", "class statistics of u and h", choices=KINDS)
        centroids: int = option(10, "clusters per class under statistics=centroids", ge=1)
        tii_epochs: int = option(20, "epochs of task-identity inference", ge=1)
        tii_lr: float = option(2.5e-4, "learning rate of TII (Adam)", gt=0)
        tii_widths: tuple[int, ...] = option((2,), "hidden widths of TII's MLP in multiples of the features'", ge=1)
        tii_augment: str = option("rrc-flip", "augmentation in TII; none trains on memoised u", choices=tuple(RECIPES))
        tii_ca_epochs: int = option(30, "epochs of TII's alignment; 0 turns it off", ge=0)
        tii_ca_lr: float = option(0.0025, "learning rate of TII's alignment (SGD)", gt=0)
        tii_ca_samples: int = option(128, "u drawn per class and epoch, and per step", ge=1)
        ca_epochs: int = option(30, "epochs of the head's alignment (TAP); 0 turns it off", ge=0)
        ca_lr: float = option(0.005, "learning rate of the head's alignment (SGD)", gt=0)
        ca_samples: int = option(640, "h drawn per class and epoch, and per step", ge=1)
        ca_steps: str = option("old", "steps per epoch of alignment: one per old class, or per class seen (all)",
                               choices=("old", "all"))  # fmt: skip

    @classmethod
    def marks(cls, options: Any) -> tuple[str, ...]:
        return ("batch-dependent", "legacy") if options.prompt_layout == "legacy" else ()

    def setup(self, info: StreamInfo) -> None:
        o, dim = self.options, self.backbone.dim
        self.tii = TaskInference(dim, o.tii_widths, self.init_rng("tii")).to(self.device)
        self.prompts = TaskPrefixes(
            self.backbone, o.layers, o.length, self.gate(), legacy=o.prompt_layout == "legacy"
        ).to(self.device)
        self.head = GrowingHead(dim).to(self.device)
        self.uninstructed = ClassGaussians(dim, kind=o.statistics, centroids=o.centroids, device=self.device)
        self.instructed = ClassGaussians(dim, kind=o.statistics, centroids=o.centroids, device=self.device)

    def learn(self, view: View) -> None:
        self.tii.head.grow_to(len(view.seen), self.init_rng("tii head"))
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        self.prompts.grow_to(view.task + 1, self.init_rng("prompt"))
        self._infer_tasks(view)
        self._learn_prompt(view)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        """Scores [B, classes] under the prompt of each image's inferred task, or of the one that is told."""
        if task is None:
            tasks = self.tii.tasks(inputs.encode(self.backbone))
        else:
            tasks = torch.full((len(inputs),), min(task, len(self.prompts) - 1), device=self.device)
        if self.prompts.legacy:  # images of a batch share their prompts, so nothing can be memoised
            images = inputs.images(self.backbone.transform)
            return self.head(self.prompts(self.backbone, images, torch.stack(list(self.prompts.prompts))[tasks]))
        features = torch.empty(len(inputs), self.backbone.dim, device=self.device)
        for chosen in tasks.unique().tolist():
            rows = torch.nonzero(tasks == chosen).squeeze(1)
            features[rows] = inputs.rows(rows).encode(self.prompts.extractor(self.backbone, chosen))
        return self.head(features)

    @property
    def ready(self) -> bool:
        return len(self.prompts) > 0

    # ------------------------------------------------------------------------------------------ what gates change

    def gate(self) -> ScoreGate | None:
        """What is added to the scores of prefix keys; nothing here."""
        return None

    def prompt_parameters(self, task: int) -> list[nn.Parameter]:
        """What trains at the prompt's rate in a task."""
        return [self.prompts.prompts[task]]

    # -------------------------------------------------------------------------------------------------- training

    def _infer_tasks(self, view: View) -> None:
        """TII: local cross-entropy on u, statistics of u, then all classes seen on features drawn from them."""
        o = self.options
        data: Source = self.encoded_batches(view.train, o.batch_size)
        if o.tii_augment != "none":
            data = self.batches(view.train, o.batch_size, o.tii_augment)

        def loss(batch: Batch) -> Tensor:
            u = batch.x if o.tii_augment == "none" else self.backbone(batch.x)
            return local_cross_entropy(self.tii(u), batch.y, view.classes)

        parameters = list(self.tii.parameters())
        self.fit("task inference", data, loss, parameters, epochs=o.tii_epochs, optimizer=adam(o.tii_lr), clip=o.clip)
        self.compute("statistics of u", lambda: self._add(self.uninstructed, self.encode(view.train), view))
        self._align("task inference alignment", self.uninstructed, self.tii, parameters, view,
                    epochs=o.tii_ca_epochs, lr=o.tii_ca_lr, samples=o.tii_ca_samples)  # fmt: skip

    def _learn_prompt(self, view: View) -> None:
        """WTP: the task's prompt in its ensemble and the head, statistics of h; TAP: the head on all classes seen."""
        o, task = self.options, view.task

        def loss(batch: Batch) -> Tensor:
            h = self.prompts(self.backbone, batch.x, self.prompts.ensemble(task, o.prompt_momentum))
            local = local_cross_entropy(self.head(h), batch.y, view.classes)
            return local + o.reg * contrastive(h, self.instructed.mean) if o.reg else local

        groups = [
            {"params": self.prompt_parameters(task), "lr": o.lr},
            {"params": self.head.parameters(), "lr": o.lr * o.head_lr_scale},
        ]
        self.fit(
            "prompt", self.batches(view.train, o.batch_size, o.augment), loss, groups, epochs=o.epochs,
            optimizer=adam(o.lr), schedule=schedule(o.schedule, o.milestones), clip=o.clip,
        )  # fmt: skip
        self.compute("statistics of h", lambda: self._finish_prompt(view))
        self._align("head alignment", self.instructed, self.head, self.head.parameters(), view,
                    epochs=o.ca_epochs, lr=o.ca_lr, samples=o.ca_samples)  # fmt: skip

    def _finish_prompt(self, view: View) -> None:
        self.prompts.commit(view.task, self.options.prompt_momentum)
        extractor = self.prompts.extractor(self.backbone, view.task, lasting=False)  # these images are not seen again
        self._add(self.instructed, self.encode(view.train, extractor), view)

    def _add(self, gaussians: ClassGaussians, features: Tensor, view: View) -> None:
        """Statistics of the new classes; those of earlier tasks stay as they are."""
        names = self.info.class_names
        gaussians.add(features, view.train.labels, view.classes, names, self.rng("clusters"))

    def _align(
        self, phase: str, gaussians: ClassGaussians, logits: Callable[[Tensor], Tensor],
        parameters: Iterable[nn.Parameter], view: View, *, epochs: int, lr: float, samples: int,
    ) -> None:  # fmt: skip
        """Retrain a classifier on features drawn from the statistics of all classes seen."""
        if view.task == 0 or not epochs:
            return
        steps = len(view.seen) - (len(view.classes) if self.options.ca_steps == "old" else 0)
        self.fit(
            phase,
            gaussians.sampler(samples, steps=steps),
            lambda batch: F.cross_entropy(logits(batch.x), batch.y),
            parameters,
            epochs=epochs,
            optimizer=sgd(lr),
            schedule=Cosine(),
        )
