"""ER-ACE: new images are told apart among themselves only, remembered ones among all classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.bases.rehearsed import Rehearsed
from cl.bases.replayed import Replayed
from cl.strategy import Batch, TaskSize, View, Work, option


class ErAce(Rehearsed):
    """Experience replay with an asymmetric cross-entropy: new images do not push old classes away.

    Name: ER-ACE
    Paper: Caccia, Aljundi, Asadi, Tuytelaars, Pineau, Belilovsky. New Insights on Reducing Abrupt Representation Change
        in Online Continual Learning. ICLR 2022, arXiv 2104.05025. Published: 42.60 % after five online tasks of
        CIFAR-10 with 200 images and a reduced ResNet-18 from scratch, as Mammoth's scripts/reproduce.json has it.
    Family: replay
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Images: kept
    Trains: the backbone and one linear head, by CE(new) + CE(remembered). The softmax of new images runs over the
        classes in their batch, that of remembered images over all classes seen. In the first task all is as in
        fine-tuning, without replay, unless `task_free`.
    Stores: `memory_size` images as bytes, with their labels; a reservoir, offered the images of each batch.
    Cost: two forward passes per training image from the second task on; one per test image.
    Differences from the paper: the paper learns online and from one pass; `epochs` can be more, as in Mammoth. The loss
        was compared with aimagelab/mammoth@e75a491. Its code leaves the column of the latest class, and of all classes
        to come, in the softmax of new images; here the head has no classes to come, and the latest is left out if the
        batch lacks it. Its cosine head (`use_custom_classifier`) is not here.
    """

    @dataclass(frozen=True)
    class Options(Rehearsed.Options):
        task_free: bool = option(False, "replay, and restrict the softmax, from the first step on, not from task 2 on")

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        if options.task_free or task.number:
            return super().work(options, task)
        kept = min(options.memory_size, task.images)
        return replace(super(Replayed, cls).work(options, task), kept_images=kept)

    def replays(self, view: View) -> bool:
        return self.options.task_free or view.task > 0

    def objective(self, batch: Batch, classes: tuple[int, ...]) -> Tensor:
        parts = self.parts(batch)
        new, *old = self.outputs(parts)
        if self._replays:
            present = torch.zeros(new.shape[1], dtype=torch.bool, device=new.device).index_fill_(0, parts[0].y, True)
            new = new.masked_fill(~present, -torch.inf)
        loss = F.cross_entropy(new, parts[0].y)
        return loss + F.cross_entropy(old[0], parts[1].y) if old else loss
