"""Sequential linear probe: a frozen backbone and a linear head, the cheap control of every table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cl.config import option
from cl.data.batches import Batch, Source
from cl.strategies.finetune import Finetune
from cl.stream import ImageSet


class LinearProbe(Finetune):
    """Linear head on a frozen backbone, trained task by task.

    Paper: none; a control (LAMDA-PILOT and SLCA tables call the frozen variant "linear probe").
    Trains: the head only.
    Stores: the head.
    Cost: every image is encoded once per backbone and transform, whatever the number of epochs, seeds and runs.
    Differences from the paper: without augmentation by default, so that features are memoised; `augment` other than
        'none' encodes every view anew.
    """

    @dataclass(frozen=True)
    class Options(Finetune.Options):
        epochs: int = option(20, "epochs per task", ge=1)
        backbone_lr_scale: float = option(0.0, "unused: the backbone is frozen", ge=0, le=0)
        augment: str = option("none", "augmentation of training images; 'none' memoises features")

    def _data(self, images: list[ImageSet]) -> Source:
        if self.options.augment == "none":
            return self.encoded_batches(images, self.options.batch_size)
        return super()._data(images)

    def _features(self, batch: Batch) -> Tensor:
        return batch.x if self.options.augment == "none" else self.backbone(batch.x)

    def _groups(self) -> list[dict[str, Any]]:
        return [{"params": self.head.parameters(), "lr": self.options.lr}]
