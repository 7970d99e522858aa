"""APER: adapt the backbone on the first task, then nearest class mean on pretrained and adapted features together."""

from __future__ import annotations

import torch
from torch import Tensor

from cl.bases.first_session import FirstSession
from cl.parts.heads import class_means, cosines
from cl.strategy import ImageSet, Inputs, StreamInfo, View


class APER(FirstSession):
    """Adapt and merge: one adaptation to the first task, prototypes of F(x) = [f_PTM(x); f_adapted(x)] for all.

    Paper: Zhou, Cai, Ye, Zhan, Liu. Revisiting Class-Incremental Learning with Pre-Trained Models: Generalizability and
        Adaptivity are All You Need. IJCV 2024, arXiv 2303.07338 (there called ADAM at first).
    Trains: in the first task adapters, SSF, visual prompts or a copy of the whole network, and a cosine head; then
        nothing.
    Stores: the module (adapters of ViT-B: 1.19 M floats; `finetune`: a second set of weights), the first task's head,
        and 2 d floats per class (6 KB for ViT-B).
    Cost: two forwards per image, each once per run; the pretrained one is shared by all runs.
    Differences from the paper: follows the authors' code. Both branches share one network, to which the module is
        attached; means are accumulated in float64. `finetune` trains with dropout off, which timm's ViTs do not have
        anyway; the variant that tunes batch norms of a ResNet is not here. With `tuning=none` it is SimpleCIL.
    """

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.prototypes = torch.empty(0, 2 * self.backbone.dim, device=self.device)

    def learn(self, view: View) -> None:
        self.adapt(view)
        self.compute("prototypes", lambda: self._add_prototypes(view.train, view.classes))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        merged = torch.cat([inputs.encode(self.backbone), inputs.encode(self.adapted)], 1)
        return cosines(merged, self.prototypes)

    @property
    def ready(self) -> bool:
        return len(self.prototypes) > 0

    def _add_prototypes(self, images: ImageSet, classes: tuple[int, ...]) -> None:
        """P_c = mean of F(x) over class c, with the transform of test images; one norm over both halves comes later."""
        merged = torch.cat([self.encode(images), self.encode(images, self.adapted)], 1)
        self.prototypes = torch.cat([self.prototypes, class_means(merged, images.labels, classes)])
