"""Continual LayerNorm tuning: a scale and a shift per task for every LayerNorm, chosen by keys."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.attached import Attached, TaskKeys, TaskNorms, similarity
from cl.parts.heads import GrowingHead
from cl.parts.losses import local_cross_entropy
from cl.strategy import (
    RECIPES,
    Batch,
    Extractor,
    Inputs,
    Needs,
    Source,
    Strategy,
    StreamInfo,
    TaskSize,
    UsageError,
    View,
    Work,
    adam,
    option,
    scales,
)


class LayerNormTuning(Strategy):
    """Task-specific LayerNorms in a frozen ViT, chosen by a key per task, or per task and LayerNorm.

    Name: LayerNorm tuning
    Paper: De Min, Mancini, Alahari, Alameda-Pineda, Ricci. On the Effectiveness of LayerNorm Tuning for Continual
        Learning in Vision Transformers. ICCV 2023 Workshops (VCL), arXiv 2308.09610.
    Family: adapters
    Networks: vit
    Gradients: parts
    Trains: the task's scale and shift for every LayerNorm, its key (in one stage: a key and an attention vector per
        LayerNorm), and a linear head; the rest of the backbone is frozen.
    Stores: per task 2 x 25 x 768 floats (ViT-B: 154 KB) and one key; in one stage, keys of the same size again.
    Cost: two stages: two forward passes per test image, the first memoised across runs; one stage: one pass.
    Differences from the paper: follows the authors' code. Its heads have all classes from the start, and it predicts
        over all outputs; ours grow, so a class not seen yet has no column. In two stages, keys are trained without
        augmentation by default (`key_augment`), so queries are computed once; the ViT-B presets augment as the code.
    """

    rules = ("cil_seen", "til_masked", "til_oracle")

    @dataclass(frozen=True)
    class Options:
        stages: str = option(
            "two", "choose the task with a pass of the pretrained model (two), or at each LayerNorm in one pass",
            choices=("two", "one"),
        )  # fmt: skip
        epochs: int = option(5, "epochs per task for the LayerNorms", ge=1)
        key_epochs: int = option(5, "epochs per task for the key, in two stages", ge=1)
        rectify: bool = option(
            True, "train the final head on features routed as in prediction; another head trains the LayerNorms"
        )
        rectify_epochs: int = option(5, "epochs per task for the rectified head", ge=1)
        batch_size: int = option(128, "images per step", ge=1)
        lr: float = option(
            0.0025, "learning rate of LayerNorms, their head and keys (Adam)", gt=0, search=scales.log(3e-4, 3e-2)
        )
        rectify_lr: float = option(
            0.001, "learning rate of the rectified head (Adam)", gt=0, search=scales.log(1e-4, 1e-1)
        )
        new_key: str = option(
            "auto", "initial keys of a task: orthogonal (fresh) or the previous task's; auto: fresh in two stages",
            choices=("auto", "fresh", "copied"),
        )  # fmt: skip
        attention: bool = option(True, "in one stage, multiply queries by a learned vector per task")
        detach_query: bool = option(False, "in one stage, do not train LayerNorms with the similarity of the keys")
        augment: str = option("rrc05-flip", "augmentation of training images", choices=tuple(RECIPES))
        key_augment: str = option("none", "augmentation for key training in two stages", choices=tuple(RECIPES))

    @classmethod
    def needs(cls, options: Any) -> Needs:
        return Needs(compares="its softmax over the classes of a task")

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found, o, images = super().work(options, task), options, task.images
        two = o.stages == "two"
        keys = o.key_epochs * images if two else 0
        routed = o.rectify_epochs * images if o.rectify else 0
        return replace(
            found, trained=0, tuned=found.trained, encoded=routed + (0 if o.key_augment == "none" else keys),
            looked_up=keys if o.key_augment == "none" else 0, test_passes=1, test_lookups=int(two), known="declared",
        )  # fmt: skip

    def setup(self, info: StreamInfo) -> None:
        o, dim = self.options, self.backbone.dim
        self.norms = TaskNorms(self.backbone).to(self.device)
        if not self._two_stages and getattr(self.backbone.model, "cls_token", None) is None:
            raise UsageError(
                f"backbone {self.backbone.identity['name']} has no class token, the query of one stage; "
                "set stages=two, or choose another backbone."
            )
        sites = 1 if self._two_stages else self.norms.sites
        self.keys = TaskKeys(info.n_tasks, sites, dim, self.init_rng("keys")).to(self.device)
        self.attention = None
        if o.attention and not self._two_stages:
            self.attention = TaskKeys(info.n_tasks, sites, dim, self.init_rng("attention")).to(self.device)
        self.head = GrowingHead(dim).to(self.device)  # used for prediction
        self.fake_head = GrowingHead(dim).to(self.device) if o.rectify else None  # used only to train the norms

    def learn(self, view: View) -> None:
        self.norms.grow(self.backbone)
        if view.task > 0 and self._copies_keys:
            for keys in self._keys:
                keys.copy_last(view.task)
        for head in (self.head, self.fake_head):
            if head is not None:
                head.grow_to(len(view.seen), self.init_rng("head"))  # both draw the same rows
        if self._two_stages:
            self._train_key(view)
        self._train_norms(view)
        if self.options.rectify:
            self._rectify(view)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        if task is not None:
            return self.head(inputs.encode(self._told(min(task, len(self.norms) - 1))))
        if not self._two_stages:
            return self.head(inputs.encode(self._deployed()))
        chosen = self._nearest(0, inputs.encode(self.backbone))  # memoised: the pretrained model never changes
        return self.head(self.norms(self.backbone, inputs.images(self.backbone.transform), chosen))

    @property
    def ready(self) -> bool:
        return len(self.norms) > 0

    # -------------------------------------------------------------------------------------------------- training

    def _train_key(self, view: View) -> None:
        """Two stages, step 1: train the key to be similar to the task's features in the pretrained model."""
        o, key = self.options, self.keys.rows[view.task]

        def loss(batch: Batch) -> Tensor:
            query = batch.x if o.key_augment == "none" else self.backbone(batch.x)
            return -F.cosine_similarity(query, key).mean()

        data = self._data(view, o.key_augment, self.backbone)
        self.fit("key", data, loss, [key], epochs=o.key_epochs, optimizer=adam(o.lr))

    def _train_norms(self, view: View) -> None:
        """Step 2: train the norms of the given task; in one stage, also its keys."""
        o, task = self.options, view.task
        head = self.head if self.fake_head is None else self.fake_head
        keys = [] if self._two_stages else [keys.rows[task] for keys in self._keys]

        def loss(batch: Batch) -> Tensor:
            if self._two_stages:
                return local_cross_entropy(head(self.norms(self.backbone, batch.x, task)), batch.y, view.classes)
            features, similar = self.forced(batch.x, task)
            return local_cross_entropy(head(features), batch.y, view.classes) - similar

        self.fit(
            "norms", self.batches(view.train, o.batch_size, o.augment), loss,
            [*self.norms[-1], *keys, *head.parameters()], epochs=o.epochs, optimizer=adam(o.lr),
        )  # fmt: skip

    def _rectify(self, view: View) -> None:
        """Step 3: train the head on features routed as in prediction, possibly by norms of other tasks."""
        o = self.options

        def loss(batch: Batch) -> Tensor:
            with torch.no_grad():
                features = batch.x if o.augment == "none" else self.features(batch.x)
            return local_cross_entropy(self.head(features), batch.y, view.classes)

        data = self._data(view, o.augment, self._deployed())
        optimizer = adam(o.rectify_lr)
        self.fit("rectification", data, loss, self.head.parameters(), epochs=o.rectify_epochs, optimizer=optimizer)

    def _data(self, view: View, augment: str, extractor: Extractor) -> Source:
        """Augmented images; or, without augmentation, their features from a frozen extractor."""
        if augment == "none":
            return self.encoded_batches(view.train, self.options.batch_size, extractor)
        return self.batches(view.train, self.options.batch_size, augment)

    def forced(self, images: Tensor, task: int) -> tuple[Tensor, Tensor]:
        """One stage: features [B, d] with a task's norms, and the mean similarity of queries to its keys."""
        shares, found = self.norms.shares, []

        def route(site: int, x: Tensor) -> int:
            query = _class_token(x).detach() if self.options.detach_query else _class_token(x)
            if self.attention is not None:
                query = query * self.attention.rows[task][site]
            found.append(shares[site] * F.cosine_similarity(query, self.keys.rows[task][site], dim=-1).mean())
            return task

        features = self.norms(self.backbone, images, route)
        return features, torch.stack(found).sum()

    # --------------------------------------------------------------------------------------------------- routing

    def features(self, images: Tensor) -> Tensor:
        """Features [B, d] of normalised images, routed as in prediction."""
        if self._two_stages:
            return self.norms(self.backbone, images, self._nearest(0, self.backbone(images)))
        return self.norms(self.backbone, images, lambda site, x: self._nearest(site, _class_token(x)))

    def _nearest(self, site: int, queries: Tensor) -> Tensor:
        """For each query, the learned task with the most similar key at a site, [B]."""
        tasks = len(self.norms)
        attention = None if self.attention is None else self.attention.at(site, tasks)
        return similarity(queries, self.keys.at(site, tasks), attention).argmax(1)

    def _told(self, task: int) -> Attached:
        """Features with the norms of a given task."""
        held = list(self.norms[task])
        return Attached(self.backbone, lambda images: self.norms(self.backbone, images, task), held)

    def _deployed(self) -> Attached:
        """Features routed as in prediction, computed in fixed blocks: near-ties do not depend on the batch."""
        rows = [row for keys in self._keys for row in keys.rows[: len(self.norms)]]
        return Attached(self.backbone, self.features, [*self.norms.parameters(), *rows])

    def extractor(self) -> Attached:
        return self._deployed()

    @property
    def _two_stages(self) -> bool:
        return self.options.stages == "two"

    @property
    def _copies_keys(self) -> bool:
        return self.options.new_key == "copied" or (self.options.new_key == "auto" and not self._two_stages)

    @property
    def _keys(self) -> list[TaskKeys]:
        return [keys for keys in (self.keys, self.attention) if keys is not None]


def _class_token(x: Tensor) -> Tensor:
    """The class token [B, d] of tokens [B, n, d]; pooled features [B, d] are returned unchanged."""
    return x[:, 0] if x.ndim == 3 else x
