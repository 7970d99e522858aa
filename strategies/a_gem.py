"""A-GEM: a step may not increase the loss of remembered images, to first order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.bases.rehearsed import Rehearsed
from cl.strategy import Batch, Step, option


class AGem(Rehearsed):
    """Averaged gradient episodic memory: project the gradient so that the loss of remembered images does not grow.

    Name: A-GEM
    Paper: Chaudhry, Ranzato, Rohrbach, Elhoseiny. Efficient Lifelong Learning with A-GEM. ICLR 2019, arXiv 1812.00420.
        Published: 19.94 % after five tasks of CIFAR-10 with 500 images and a ResNet-18 from scratch, without the task
        (the paper of DER++, as Mammoth's scripts/reproduce.json has it).
    Family: replay
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Images: kept
    Trains: the backbone and one linear head, by the cross-entropy of new images. With g its gradient and r that of one
        sample of the memory, the step is along g - (g.r / r.r) r if g.r < 0, else along g.
    Stores: `memory_size` images as bytes, with their labels; a reservoir of the images of earlier tasks.
    Cost: two forward and two backward passes per training image from the second task on; one forward per test image.
    Differences from the paper: the paper learns online, is given the task, and keeps equally many images of each class;
        here the softmax is over all classes seen, `epochs` can be more than one, and the memory is a reservoir. The
        projection was compared with aimagelab/mammoth@e75a491, whose memory gets one batch of each task.
    """

    @dataclass(frozen=True)
    class Options(Rehearsed.Options):
        memory_update: str = option(
            "task", "offer the memory each image once after the task; or each batch after its step, in every epoch",
            choices=("step", "task"),
        )  # fmt: skip

    def objective(self, batch: Batch, classes: tuple[int, ...]) -> Tensor:
        new, *old = self.parts(batch)
        self._reference: list[Tensor | None] = []
        if old:
            loss = F.cross_entropy(self.outputs(old)[0], old[0].y)
            self._reference = list(torch.autograd.grad(loss, self._trained(), allow_unused=True))
        return F.cross_entropy(self.outputs([new])[0], new.y)

    def before_step(self, step: Step) -> None:
        pairs = [
            (parameter.grad, reference)
            for parameter, reference in zip(self._trained(), self._reference, strict=False)
            if parameter.grad is not None and reference is not None
        ]
        if not pairs:
            return
        agreement = torch.stack([(gradient * reference).sum() for gradient, reference in pairs]).sum()
        length = torch.stack([reference.square().sum() for _, reference in pairs]).sum()
        factor = agreement.clamp(max=0) / length.clamp(min=torch.finfo(length.dtype).tiny)
        for gradient, reference in pairs:
            gradient -= factor * reference
        self._reference = []

    def _trained(self) -> list[torch.nn.Parameter]:
        return [parameter for group in self._groups() for parameter in group["params"]]
