"""HiDe-Prompt: infer the task from features of the frozen model, prompt the model for that task, and align the head."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
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
    Needs,
    Source,
    Strategy,
    StreamInfo,
    TaskSize,
    View,
    Work,
    adam,
    option,
    scales,
    schedule,
    sgd,
)
from cl.training.optim import Schedule

MIN_LR = 1e-5
"""The rate at which timm's cosine ends in the authors' code."""


class HiDePrompt(Strategy):
    """Hierarchical decomposition prompting: task-identity inference, within-task and task-adaptive prediction.

    Name: HiDe-Prompt
    Paper: Wang, Xie, Zhang, Huang, Su, Zhu. Hierarchical Decomposition of Prompt-Based Continual Learning: Rethinking
        Obscured Sub-optimality. NeurIPS 2023, arXiv 2310.07234.
    Family: prompts
    Networks: vit
    Gradients: parts
    Trains: in each task an MLP with a head on features u of the frozen model (TII), then a prompt p_t of prefixes with
        the shared head (WTP). From the second task on, both heads and the MLP are also trained on features drawn from
        class statistics (TII's alignment, TAP).
    Stores: a prompt per task (blocks x 2 x L x d), MLP, heads, and two sets of class statistics: of u, and of features
        h with the prompt of the class's task; no images.
    Cost: two forward passes per test image through one network: without prompts (memoised) and with prompts.
    Differences from the paper: TII and WTP are trained in turn, task by task, which gives the same result because TII
        does not use prompts. `prompt_layout=legacy` reproduces the reshape of the authors' code, which mixes keys,
        values and prompts between the images of a batch; the published figures were computed with it. Clusters of a
        class are drawn in proportion to their images (the code draws equally from each); their variances are unbiased,
        with the jitter. The last scores are over the classes seen; the code's are over all classes, including classes
        not learned yet. With the legacy layout, class statistics depend on the batches too; ours hold up to 64 images
        of one task. With `schedule=timm-cosine` the head's rate ends at 1e-5 times `head_lr_scale`; the code's ends at
        1e-5. As in the code, `ca_steps=old` takes one step per class of earlier tasks and epoch, so most of
        the drawn features are not used; features are not normalised in the contrastive term; there is no weight decay.
    """

    version = "2"
    rules: ClassVar[tuple[str, ...]] = ("cil_seen", "til_masked", "til_oracle")

    one_network = False

    @dataclass(frozen=True)
    class Options:
        epochs: int = option(50, "epochs of a task's prompt (WTP)", ge=1)
        batch_size: int = option(128, "images per step", ge=1)
        lr: float = option(0.015, "learning rate of the prompt (Adam)", gt=0, search=scales.log(1e-3, 1e-1))
        head_lr_scale: float = option(0.1, "learning rate of the head as a multiple of lr (larger_prompt_lr)", gt=0)
        schedule: str = option(
            "multistep", "schedule of WTP; timm-cosine: one epoch late, to 1e-5", choices=(*SCHEDULES, "timm-cosine")
        )
        milestones: tuple[int, ...] = option((31,), "epochs, from 0, from which 'multistep' divides lr by ten", ge=0)
        clip: float = option(1.0, "upper bound of the gradient norm in WTP", gt=0)
        augment: str = option("rrc-flip", "augmentation of training images in WTP", choices=tuple(RECIPES))
        length: int = option(5, "keys and values per prefix (L); 0: no prompts", ge=0)
        layers: tuple[int, ...] = option((0, 1, 2, 3, 4), "blocks with prefixes, from 0", ge=0)
        prompt_momentum: float = option(0.01, "m: share of the mean of earlier prompts in a task's prompt", ge=0, lt=1)
        prompt_layout: str = option(
            "correct", "legacy reproduces the code's reshape across a batch", choices=("correct", "legacy")
        )
        reg: float = option(0.1, "lambda: weight of the contrastive regularisation", ge=0, search=scales.log(1e-3, 1.0))
        statistics: str = option("centroids", "kind of class statistics of u and h", choices=KINDS)
        centroids: int = option(10, "clusters per class for statistics=centroids", ge=1)
        tii_epochs: int = option(20, "epochs of task-identity inference (TII)", ge=1)
        tii_lr: float = option(2.5e-4, "learning rate of TII (Adam)", gt=0, search=scales.log(1e-5, 1e-2))
        tii_widths: tuple[int, ...] = option((2,), "hidden widths of TII's MLP as multiples of the feature width", ge=1)
        tii_augment: str = option("rrc-flip", "augmentation in TII; none: memoised features", choices=tuple(RECIPES))
        tii_clip: float = option(1.0, "upper bound of the gradient norm in TII", gt=0)
        tii_ca_epochs: int = option(30, "epochs of TII's alignment; 0: none", ge=0)
        tii_ca_lr: float = option(0.0025, "learning rate of TII's alignment (SGD)", gt=0, search=scales.log(1e-4, 1e-1))
        tii_ca_samples: int = option(128, "TII's alignment: features drawn per class and epoch; batch size", ge=1)
        ca_epochs: int = option(30, "epochs of the head's alignment (TAP); 0: none", ge=0)
        ca_lr: float = option(0.005, "learning rate of the head's alignment (SGD)", gt=0, search=scales.log(5e-4, 1e-1))
        ca_samples: int = option(640, "head's alignment: features drawn per class and epoch; batch size", ge=1)
        ca_steps: str = option("old", "alignment steps per epoch: one per old class, or one per class seen (all)",
                               choices=("old", "all"))  # fmt: skip

    @classmethod
    def marks(cls, options: Any) -> tuple[str, ...]:
        return ("batch-dependent", "legacy") if options.prompt_layout == "legacy" else ()

    @classmethod
    def needs(cls, options: Any) -> Needs:
        compares = "its softmax over the classes of a task"
        return Needs(images_per_class=2, purpose="for its covariance", compares=compares)

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found, images, epochs = super().work(options, task), task.images, options.tii_epochs
        memoised = options.tii_augment == "none"
        return replace(
            found, trained=0, tuned=found.trained, encoded=images + (0 if memoised else epochs * images),
            looked_up=images + (epochs * images if memoised else 0), test_passes=2, test_lookups=1, known="declared",
        )  # fmt: skip

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
        """Scores [B, classes] with the prompt of each image's inferred task, or of the given task."""
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

    # ------------------------------------------------------------------------------------------ overridden by NoRGa

    def gate(self) -> ScoreGate | None:
        """The gate on the scores of prefix keys; None here."""
        return None

    def prompt_parameters(self, task: int) -> list[nn.Parameter]:
        """Parameters trained at the prompt's learning rate in a task."""
        return [self.prompts.prompts[task]]

    # -------------------------------------------------------------------------------------------------- training

    def _infer_tasks(self, view: View) -> None:
        """TII: local cross-entropy on u, statistics of u, then alignment on features drawn for all classes seen."""
        o = self.options
        data: Source = self.encoded_batches(view.train, o.batch_size)
        if o.tii_augment != "none":
            data = self.batches(view.train, o.batch_size, o.tii_augment)

        def loss(batch: Batch) -> Tensor:
            u = batch.x if o.tii_augment == "none" else self.backbone(batch.x)
            return local_cross_entropy(self.tii(u), batch.y, view.classes)

        parameters = list(self.tii.parameters())
        rate, epochs = adam(o.tii_lr), o.tii_epochs
        self.fit("task inference", data, loss, parameters, epochs=epochs, optimizer=rate, clip=o.tii_clip)
        self.compute("statistics of u", lambda: self._add(self.uninstructed, self.encode(view.train), view))
        self._align("task inference alignment", self.uninstructed, self.tii, parameters, view,
                    epochs=o.tii_ca_epochs, lr=o.tii_ca_lr, samples=o.tii_ca_samples)  # fmt: skip

    def _learn_prompt(self, view: View) -> None:
        """WTP: train the task's prompt (in its ensemble) and the head, statistics of h; TAP: align the head."""
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
            optimizer=adam(o.lr), schedule=self._schedule(), clip=o.clip,
        )  # fmt: skip
        self.compute("statistics of h", lambda: self._finish_prompt(view))
        self._align("head alignment", self.instructed, self.head, self.head.parameters(), view,
                    epochs=o.ca_epochs, lr=o.ca_lr, samples=o.ca_samples)  # fmt: skip

    def _schedule(self) -> Schedule:
        o = self.options
        if o.schedule == "timm-cosine":
            return Cosine(minimum=min(MIN_LR / o.lr, 1.0), late=1)
        return schedule(o.schedule, o.milestones)

    def _finish_prompt(self, view: View) -> None:
        self.prompts.commit(view.task, self.options.prompt_momentum)
        extractor = self.prompts.extractor(self.backbone, view.task, lasting=False)  # these images are not used again
        self._add(self.instructed, self.encode(view.train, extractor), view)

    def _add(self, gaussians: ClassGaussians, features: Tensor, view: View) -> None:
        """Add the statistics of the new classes."""
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
