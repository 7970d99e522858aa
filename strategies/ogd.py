"""OGD: gradients of a linear head are made orthogonal to those of its answers to images of earlier tasks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cl.bases.projected import Projected
from cl.parts.statistics import Directions, without
from cl.strategy import StreamInfo, UsageError, View, option


class OGD(Projected):
    """Orthogonal gradient descent on the head of a frozen network.

    Name: OGD
    Paper: Farajtabar, Azizan, Mott, Li. Orthogonal Gradient Descent for Continual Learning. AISTATS 2020, arXiv
        1910.07104; related to least squares and affine projections in arXiv 2504.17963.
    Family: frozen features
    Networks: vit, cnn, mlp, clip
    Gradients: none
    Trains: a linear head without bias, by SGD; from each gradient, its part in the span of stored gradients is taken
        away. The gradient of logit c of an image is its features in row c.
    Stores: orthonormal directions (d numbers in float64 each), at most `max_directions` (5,000: 31 MB for ViT-B), and
        the head.
    Cost: one forward pass per image, once per run; d times the directions per step and class.
    Differences from the paper: the authors published no code that we found; steps and directions are compared with
        MehdiAbbanaBennani/continual-learning-ogdplus @b633f2c. Only the head is trained, where answers to the stored
        images stay exactly as they were; the paper trains all layers, where they stay to first order. Directions of a
        class are orthonormal among themselves, as gradients in different rows are orthogonal anyway. `logits=all`
        protects all logits of a stored image, also those of classes to come; `logits=truth` that of its own class (the
        paper's OGD-GTL, its default). The average logit is left out. Directions that are within rounding error of the
        span are not stored, so there are at most d per row.
    """

    @dataclass(frozen=True)
    class Options(Projected.Options):
        images_per_task: int = option(200, "images of a task whose gradients are stored", ge=1)
        logits: str = option(
            "truth", "logits of a stored image that stay: its class's, or all", choices=("truth", "all")
        )
        max_directions: int = option(
            5000, "upper bound of stored directions, over all classes; an error at the limit", ge=1
        )

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.directions = Directions(self.backbone.dim, self.device)  # a basis for each class, or one for all
        self.coming = Directions(self.backbone.dim, self.device)  # the same after the task, during the task

    def learn(self, view: View) -> None:
        self.compute("directions", lambda: self._store(view))  # gradients of a linear head do not depend on its weights
        super().learn(view)
        self.directions.bases, self.coming.bases = self.coming.bases, []

    def project(self, gradient: Tensor) -> Tensor:
        if self.options.logits == "truth" or not len(self.directions):
            return self.directions.outside(gradient)
        return without(gradient, self.directions.bases[0])

    def _store(self, view: View) -> None:
        o = self.options
        drawn = torch.randperm(len(view.train), generator=self.rng("directions"))[: o.images_per_task]
        features, labels = self.encode(view.train).cpu()[drawn], view.train.labels[drawn]
        self.coming.bases = list(self.directions.bases)
        if o.logits == "all":
            self.coming.add(0, features)
        else:
            for position in view.classes:
                self.coming.add(position, features[labels == position])
        if (count := len(self.coming)) > o.max_directions:
            raise UsageError(
                f"ogd would store {count} directions with task {view.task + 1}, and max_directions is "
                f"{o.max_directions}; set max_directions={2 * count} or more, or a smaller images_per_task."
            )
