"""Finetune-dynamic: each task's network starts from the earlier network with the best features for it (NEVIS'22)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cl.bases.network_per_task import SCRATCH, NetworkPerTask
from cl.records.average_precision import mean_average_precision
from cl.strategy import ImageSet, StreamInfo, TaskSize, View, Work, option


class FinetuneDynamic(NetworkPerTask):
    """A network per task; each starts from the earlier network whose features give the best nearest neighbours.

    Name: FT-d
    Paper: Bornschein et al. NEVIS'22: A Stream of 100 Tasks Sampled from 30 Years of Computer Vision Research. JMLR
        2023 (FT-d, dynamic kNN).
    Family: isolation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the whole network and a linear head, in `trials` trials per task with different learning rates and label
        smoothing; the trial with the best validation accuracy is kept.
    Stores: a network and a head per task; no images.
    Cost: all trials and their validations. Before them, every kept network and an untrained one encode up to 15,000
        images of the task; distances between features are not counted. One forward pass per test image.
    Differences from the paper: as `independent`. If the untrained network ranks first, the task is learned from
        scratch, as in the paper; judging from its source, the authors' code then still uses the best kept network. On a
        tie the later network wins, and a kept network wins over the untrained one. Features come from networks in
        evaluation mode; in the code, batch norms use the statistics of the batch. On tasks with several classes per
        image the score is the mean average precision of the share of neighbours that have a class, as in the code.
    """

    @dataclass(frozen=True)
    class Options(NetworkPerTask.Options):
        neighbours: int = option(5, "nearest neighbours that vote on a validation image", ge=1)
        search_train: int = option(10_000, "maximum number of training images in the search", ge=1)
        search_val: int = option(5_000, "maximum number of validation images in the search", ge=1)

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        images = min(options.search_train, task.images) + min(options.search_val, task.validation)
        return super().work(options, task) + Work(encoded=(task.number + 1) * images if task.number else 0)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.ranking: list[list[float]] = []  # per task: score with each kept network, then the untrained one

    def source(self, view: View) -> int:
        scores = self.compute("source search", lambda: self._search(view)) if len(self.networks) else [0.0]
        self.ranking = [*self.ranking, scores]
        *kept, untrained = scores
        best = max(range(len(kept)), key=lambda task: (kept[task], task), default=SCRATCH)
        return SCRATCH if best == SCRATCH or untrained > kept[best] else best

    def report(self) -> dict[str, float]:
        found = super().report()
        for task, (*kept, untrained) in enumerate(self.ranking[1:], 1):
            found |= {f"task{task}.knn{source}": score for source, score in enumerate(kept)}
            found[f"task{task}.knn_untrained"] = untrained
        return found

    def _search(self, view: View) -> list[float]:
        """Nearest-neighbour score of validation images, with features of each kept network, then the untrained.

        The score is the accuracy, or the mean average precision where images may have several classes.
        """
        assert view.val is not None
        self.begin(SCRATCH)
        self.backbone.eval()
        train, y = self._embed(view.train, self.options.search_train)
        val, z = self._embed(view.val, self.options.search_val)
        score = self._accuracy if view.train.tags is None else self._precision
        return [score(one, y, two, z) for one, two in zip(train, val, strict=True)]

    @torch.no_grad()
    def _embed(self, images: ImageSet, most: int) -> tuple[list[Tensor], Tensor]:
        """Features [N, dim] of up to `most` images from each network, and their labels [N], or tags [N, classes]."""
        kept = [self.networks.extractor(task, self.backbone) for task in range(len(self.networks))]
        networks: list[Callable[[Tensor], Tensor]] = [*kept, self.backbone]
        order = torch.randperm(len(images), generator=self.rng("search"))[:most]
        features: list[list[Tensor]] = [[] for _ in networks]
        for x, _ in self.chunks(images, order):
            for parts, network in zip(features, networks, strict=True):
                parts.append(network(x).cpu())
        answers = images.labels if images.tags is None else images.tags
        return [torch.cat(parts) for parts in features], answers[order]

    def _accuracy(self, train: Tensor, y: Tensor, val: Tensor, z: Tensor) -> float:
        from sklearn.neighbors import KNeighborsClassifier

        voters = KNeighborsClassifier(min(self.options.neighbours, len(train)), algorithm="brute")
        return float(voters.fit(train.numpy(), y.numpy()).score(val.numpy(), z.numpy()))

    def _precision(self, train: Tensor, y: Tensor, val: Tensor, z: Tensor) -> float:
        """Mean average precision with the share of the neighbours that have a class as its score."""
        from sklearn.neighbors import KNeighborsRegressor

        voters = KNeighborsRegressor(min(self.options.neighbours, len(train)), algorithm="brute")
        shares = voters.fit(train.numpy(), y.double().numpy()).predict(val.numpy())
        return mean_average_precision(z.numpy(), shares)
