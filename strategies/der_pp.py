"""DER and DER++: replay images with the logits that the network gave to them when it kept them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from cl.bases.rehearsed import Rehearsed
from cl.strategy import Batch, ImageSet, Inputs, StreamInfo, TaskSize, Work, option, scales


class DerPP(Rehearsed):
    """Dark experience replay: remembered images keep the logits of their day (DER), and also their labels (DER++).

    Name: DER++
    Paper: Buzzega, Boschini, Porrello, Abati, Calderara. Dark Experience for General Continual Learning: a Strong,
        Simple Baseline. NeurIPS 2020, arXiv 2004.07211. Published: 38.25 % (DER: 36.60 %) after ten tasks of CIFAR-100
        with 500 images and a ResNet-18 from scratch, as Mammoth's scripts/reproduce.json has it.
    Family: replay
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Images: kept
    Trains: the backbone and one linear head, by CE(new) + alpha MSE(z', h') + beta CE(z'', y''): z' are logits of one
        sample of the memory and h' those kept with it, z'' logits of a second sample and y'' its labels. `beta=0` is
        DER. After each step the reservoir is offered the images of the batch and the logits they just had.
    Stores: `memory_size` images as bytes, with labels and logits.
    Cost: three forward passes per training image (`beta=0`: two) once there are remembered images; one per test image.
    Differences from the paper: none known in the losses, which were compared with aimagelab/mammoth@e75a491. As there,
        the head has the outputs of all classes of the stream from the start, in the softmax and in the kept logits:
        these say that an image of an early task is none of the later classes. With `outputs=seen` the head grows, and
        the mean is over the logits of classes seen when an image was kept. Answers are among classes seen. Mammoth pads
        crops with zeros; here they reflect. A frozen backbone (`trains=head`, `augment=none`) keeps features beside
        images, or alone (`memory_of=features`).
    """

    keeps_logits = True

    @dataclass(frozen=True)
    class Options(Rehearsed.Options):
        alpha: float = option(0.1, "weight of the kept logits", ge=0, search=scales.log(1e-2, 1.0))
        beta: float = option(
            0.5, "weight of the labels of remembered images; 0: DER", ge=0, search=scales.linear(0.0, 1.0)
        )
        outputs: str = option(
            "all", "classes of the head: all of the stream from the start, or those seen", choices=("all", "seen")
        )

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        found, added = super().work(options, task), options.replay_batch_size / options.batch_size or 1
        replays = options.beta and (task.earlier or options.memory_update == "step")
        return found * ((1 + 2 * added) / (1 + added)) if replays else found

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.seen = 0

    @property
    def samples(self) -> int:
        return 2 if self.options.beta else 1

    def _train(self, images: list[ImageSet], classes: tuple[int, ...], seen: int) -> None:
        self.seen = seen
        super()._train(images, classes, self.info.n_classes if self.options.outputs == "all" else seen)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return super().predict(inputs, task)[:, : self.seen]

    def objective(self, batch: Batch, classes: tuple[int, ...]) -> Tensor:
        parts = self.parts(batch)
        new, *old = self.outputs(parts)
        loss = F.cross_entropy(new, batch.y[: len(new)])
        if old:
            kept = self.logits_kept(parts[1])
            known = ~kept.isnan()
            gaps = (old[0] - kept).where(known, old[0].new_zeros(())).square()
            loss = loss + self.options.alpha * gaps.sum() / known.sum().clamp(min=1)
        if len(old) == 2:
            loss = loss + self.options.beta * F.cross_entropy(old[1], parts[2].y)
        return loss
