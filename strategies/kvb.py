"""Discrete key-value bottleneck: frozen keys choose the few values that an image reads and changes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.parts.heads import KeyQuantiser, KeyValues, Overlaps, clip_sparse_
from cl.parts.unlabelled import PHOTOS, unlabelled
from cl.strategy import (
    SETTINGS,
    Batch,
    Inputs,
    Strategy,
    StreamInfo,
    TaskSize,
    TensorBatches,
    UsageError,
    View,
    When,
    Work,
    option,
    scales,
    sgd,
)

log = logging.getLogger("clbench")


class KVB(Strategy):
    """Key-value bottleneck: the logits are the mean of the values at the nearest key of every codebook.

    Name: KVB
    Paper: Träuble, Goyal, Rahaman, Mozer, Kawaguchi, Bengio, Schölkopf. Discrete Key-Value Bottleneck. ICML 2023,
        arXiv 2207.11240.
    Family: frozen features
    Networks: vit, cnn, mlp, clip
    Gradients: none
    Trains: the values of the pairs that an image fetches, one row of logits per pair; the task is never used. Keys are
        quantised before the stream, on unlabelled images of other data (`keys_from`), and then frozen.
    Stores: projections, keys and hit counters (C K (key_dim + 2) floats: 67 MB for the published options), and a row of
        logits for every pair fetched in training (at most C K classes: 42 MB for 10 classes, 419 MB for 100).
    Cost: one forward pass per image, memoised across runs; then 2 C K key_dim FLOPs per image to find its keys (29
        MFLOP for the published options), once for all epochs.
    Differences from the paper: by default the keys are quantised on crops of two photographs, which need no download;
        presets use CIFAR-10 or CIFAR-100 as published. Pooled features only (as in all published runs), the nearest
        key only, no learned projection, no decoder with parameters. Among keys that are exact copies only the first is
        used. For small experiences the same SGD runs on one coefficient per image (see `Overlaps`), which makes
        thousands of epochs affordable and differs only by rounding.
    """

    rules = ("cil_seen", "cil_all", "til_masked")
    settings = SETTINGS
    most_overlaps: ClassVar[int] = 8192
    """Maximum number of images to run SGD on coefficients of images (N^2 floats) instead of the values."""

    @dataclass(frozen=True)
    class Options:
        codebooks: int = option(256, "number of codebooks C, each with its own random projection", ge=1)
        pairs: int = option(4096, "key-value pairs per codebook (K)", ge=1)
        key_dim: int = option(14, "dimension of keys", ge=1)
        keys_from: str = option(
            PHOTOS, "unlabelled images for the keys: a stream (split-cifar10, folder:PATH), a pack (NAME.npz) or photos"
        )
        own_images: bool = option(
            False, "allow keys_from to be the stream's own images, including those of later tasks (unranked)"
        )
        key_images: int = option(0, "number of images for the keys, chosen at random; 0: all", ge=0)
        key_epochs: int = option(10, "epochs of the vector quantisation of keys", ge=1)
        decay: float = option(0.95, "decay of the moving averages of the vector quantisation", gt=0, lt=1)
        dead: float = option(0.1, "replace keys with fewer hits than this share of a uniform distribution", ge=0)
        epochs: int = option(100, "epochs per experience", ge=1)
        batch_size: int = option(256, "images per step, for keys and for values", ge=1)
        lr: float = option(0.3, "learning rate of SGD without momentum", gt=0, search=scales.log(3e-2, 3.0))
        clip: float = option(1.0, "upper bound of the norm of the gradient of all values", gt=0)
        label_smoothing: float = option(0.1, "label smoothing over all classes of the stream", ge=0, lt=1)

    @classmethod
    def marks(cls, options: Options) -> tuple[str, ...]:
        return ("saw-later-images",) if options.own_images else ()

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found = super().work(options, task)
        return Work(looked_up=found.trained, steps=found.steps, test_passes=0, test_lookups=1)

    def setup(self, info: StreamInfo) -> None:
        o, rng = self.options, self.init_rng("projections and keys")
        self.pairs = KeyValues(self.backbone.dim, o.codebooks, o.pairs, o.key_dim, info.n_classes, rng).to(self.device)
        self.coefficients = nn.Parameter(torch.empty(0, info.n_classes, device=self.device), requires_grad=False)
        self.compute("keys", self._quantise_keys)

    def learn(self, view: View) -> None:
        o, features = self.options, self.encode(view.train, charge=False)
        fetched = self.compute("nearest keys", lambda: self._fetch(features))
        images = TensorBatches(fetched, view.train.labels, o.batch_size)
        images.flops_per_item = self.flops_per_image(view.train) + self.pairs.flops
        if len(fetched) <= self.most_overlaps:
            self._train_coefficients(fetched, images)
        else:
            self._train_values(images)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        features = inputs.encode(self.backbone)
        if not self.ready:  # every value is 0
            return features.new_zeros(len(features), self.info.n_classes)
        return self.pairs.read(self.pairs.nearest(features, used=True))

    @property
    def ready(self) -> bool:
        return bool((self.pairs.hits > 0).any())

    def _quantise_keys(self) -> None:
        """Steps 1-4: fit random keys to the queries of other images; later steps do not change the keys."""
        o = self.options
        images = unlabelled(o.keys_from, o.key_images)
        if images.origin == self.info.train_fingerprint and not o.own_images:
            raise UsageError(
                f"keys_from={o.keys_from} are the images of {self.info.name} itself, later tasks' among them; choose "
                "other images, or set own_images=true, which keeps the run out of the ranking."
            )
        log.info("keys are quantised on %d images of %s (%s)", len(images), o.keys_from, images.origin[:16])
        features, rng = self.encode(images), self.rng("keys")
        quantiser = KeyQuantiser(self.pairs, decay=o.decay, dead=o.dead * o.batch_size / o.pairs)
        for _ in range(o.key_epochs):
            for rows in torch.randperm(len(features), generator=rng).split(o.batch_size):
                quantiser.update(features[rows.to(self.device)], rng)

    def _fetch(self, features: Tensor) -> Tensor:
        """The pairs of each image [N, C]: keys are fixed, so one search serves all epochs; hits count every epoch."""
        fetched = self.pairs.nearest(features)
        self.pairs.count(fetched, self.options.epochs)
        return fetched

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=self.options.label_smoothing)

    def _train_values(self, images: TensorBatches) -> None:
        """Steps 5-6 as in the paper: gradients of the fetched rows."""
        o, values = self.options, self.pairs.values
        self.fit(
            "values",
            images,
            lambda batch: self._loss(self.pairs.read(batch.x), batch.y),
            [values],
            epochs=o.epochs,
            optimizer=sgd(o.lr, momentum=0),
            before_step=lambda when: clip_sparse_(values, o.clip),
        )

    def _train_coefficients(self, fetched: Tensor, images: TensorBatches) -> None:
        """Steps 5-6 on one coefficient per image and class."""
        o, overlaps = self.options, Overlaps(self.pairs, fetched)
        self.coefficients = nn.Parameter(fetched.new_zeros(len(fetched), self.info.n_classes, dtype=torch.float32))
        rows = fetched.new_empty(0)

        def loss(batch: Batch) -> Tensor:
            nonlocal rows
            assert batch.rows is not None
            rows = batch.rows
            return self._loss(overlaps.logits(self.coefficients, rows), batch.y)

        def clip(when: When) -> None:
            overlaps.clip_(self.coefficients, rows, o.clip)

        rate = sgd(o.lr, momentum=0)
        self.fit("values", images, loss, [self.coefficients], epochs=o.epochs, optimizer=rate, before_step=clip)
        self.compute("fold", lambda: self._fold(overlaps))

    def _fold(self, overlaps: Overlaps) -> None:
        overlaps.fold(self.coefficients)
        self.coefficients = nn.Parameter(self.coefficients.new_empty(0, self.info.n_classes), requires_grad=False)
