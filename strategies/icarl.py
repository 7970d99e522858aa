"""iCaRL: exemplars chosen by herding, distillation, and classification by the nearest mean of exemplars."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.bases.joined import Taught
from cl.parts.exemplars import exemplar_means, nearest_mean
from cl.parts.losses import classification, softened_cross_entropy
from cl.strategy import Batch, Inputs, StreamInfo, View, option


class ICaRL(Taught):
    """iCaRL: rehearse exemplars chosen by herding, distil, and answer with the nearest mean of exemplars.

    Name: iCaRL
    Paper: Rebuffi, Kolesnikov, Sperl, Lampert. iCaRL: Incremental Classifier and Representation Learning. CVPR 2017,
        arXiv 1611.07725. Published: 49.66 % after ten tasks of CIFAR-100 with 2,000 exemplars and a ResNet-32 from
        scratch (the authors' code, as Mammoth's scripts/reproduce.json has it).
    Family: replay
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Images: kept
    Trains: the backbone and one linear head, on the images of the task and the exemplars, shuffled. With sigmoids
        (`loss=bce`) the targets of old classes are the old model's sigmoids s, those of the task's classes are 1 or 0,
        and the loss is their mean binary cross-entropy. With a softmax (`loss=global`, PyCIL's) it is the cross-entropy
        plus -sum_c softmax(g / T)_c log softmax(z / T)_c over the old classes, g the old model's logits, T = 2.
    Stores: `memory_size` exemplars as bytes, or `memory_per_class` for each class; their means; a copy of the trained
        tensors and of the head from before the task.
    Cost: one forward pass per test image for both answers. In training a pass of the old model for every image; after
        the task one pass over its images, to choose exemplars, and one over all exemplars.
    Differences from the paper: the main answer is the nearest mean; the answer `cnn` is that of the head. Of a memory
        of K images each of t classes has K // t, and the first classes one more until all K are used; the paper leaves
        these out. A class without an exemplar (K < t) is answered last. Checked against aimagelab/mammoth@e75a491
        (loss, herding) and G-U-N/PyCIL@87cc411 (softmax loss, herding, reduction, means). Mammoth averages its loss
        over the outputs of all classes to come, and means of exemplars also over mirrored images. Mammoth can choose a
        row twice if features are large; here and in PyCIL no image is chosen twice. Both pad crops with zeros; here
        they reflect.
    """

    answers = ("cnn",)

    @dataclass(frozen=True)
    class Options(Taught.Options):
        loss: str = option(
            "bce", "a sigmoid per class seen, as in the paper; or a softmax with distillation, as in PyCIL",
            choices=("bce", "global"),
        )  # fmt: skip

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.means = torch.empty(0, self.backbone.dim, device=self.device)

    def objective(self, batch: Batch, classes: tuple[int, ...]) -> Tensor:
        features = self._features(batch)
        logits, taught = self.head(features), self.taught(batch, features)
        if self.options.loss == "bce":
            return classification("bce", logits, batch.y, classes, None if taught is None else taught.sigmoid())
        loss = F.cross_entropy(logits, batch.y)
        return loss if taught is None else loss + softened_cross_entropy(logits, taught, self.options.temperature)

    def remember(self, view: View) -> None:
        super().remember(view)
        held = self.exemplars()
        self.means = exemplar_means(self.features_of(held), held.labels, len(view.seen))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return nearest_mean(inputs.encode(self.backbone), self.means)

    def answer(self, name: str, inputs: Inputs, task: int | None = None) -> Tensor:
        if name == "cnn":
            return super().predict(inputs, task)
        return super().answer(name, inputs, task)
