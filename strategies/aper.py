"""APER: adapt the backbone on the first task, then nearest class mean on pretrained plus adapted features."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from cl.bases.first_session import FirstSession
from cl.parts.attached import Attached
from cl.parts.heads import class_means, cosines
from cl.strategy import Extractor, ImageSet, Inputs, StreamInfo, TaskSize, View, Work


class APER(FirstSession):
    """Adapt and merge: adapt on the first task only, then classify by prototypes of F(x) = [f_PTM(x); f_adapted(x)].

    Name: APER
    Paper: Zhou, Cai, Ye, Zhan, Liu. Revisiting Class-Incremental Learning with Pre-Trained Models: Generalizability and
        Adaptivity are All You Need. IJCV 2024, arXiv 2303.07338 (first called ADAM).
    Family: frozen features
    Networks: vit, cnn, mlp, clip
    Gradients: parts
    Trains: in the first task, adapters, SSF, visual prompts or a copy of the whole network, and a cosine head; nothing
        in later tasks.
    Stores: the module (adapters of ViT-B: 1.19 M floats; `finetune`: a second set of weights), the first task's head,
        and 2 d floats per class (6 KB for ViT-B).
    Cost: two forward passes per image, each once per run; all runs share the pass through the pretrained network.
    Differences from the paper: follows the authors' code. Both branches share one network, to which the module is
        attached; means are accumulated in float64. `finetune` trains without dropout, which timm's ViTs do not use
        anyway. The variants that tune batch norms or SSF of a ResNet are not implemented. With `tuning=none` it is
        SimpleCIL.
    """

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found = super().work(options, task)
        return replace(found, looked_up=task.images, test_lookups=1)

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.prototypes = torch.empty(0, 2 * self.backbone.dim, device=self.device)

    def learn(self, view: View) -> None:
        self.adapt(view)
        self.compute("prototypes", lambda: self._add_prototypes(view.train, view.classes))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        merged = torch.cat([inputs.encode(self.backbone), inputs.encode(self.adapted)], 1)
        return cosines(merged, self.prototypes)

    def extractor(self) -> Extractor:
        adapted, held = self.adapted, [] if self.module is None else list(self.module.parameters())

        def both(images: Tensor) -> Tensor:
            return torch.cat([self.backbone(images), adapted(images)], 1)

        return Attached(
            self.backbone, both, [*held, *held], dim=2 * self.backbone.dim, lasting=True
        )  # a key of its own

    @property
    def ready(self) -> bool:
        return len(self.prototypes) > 0

    def _add_prototypes(self, images: ImageSet, classes: tuple[int, ...]) -> None:
        """P_c = mean of F(x) over class c, with the test transform; `cosines` later divides by one norm of both
        halves."""
        merged = torch.cat([self.encode(images), self.encode(images, self.adapted)], 1)
        self.prototypes = torch.cat([self.prototypes, class_means(merged, images.labels, classes)])
