"""Sequential linear probe: a frozen backbone and a linear head, the cheap control of every table."""

from __future__ import annotations

from dataclasses import dataclass

from cl.strategies.finetune import Finetune
from cl.strategy import RECIPES, option


class LinearProbe(Finetune):
    """Linear head on a frozen backbone, trained task by task.

    Paper: none; a control that belongs in every table.
    Trains: the head only.
    Stores: the head.
    Cost: every image is encoded once per backbone and transform, whatever the number of epochs, seeds and runs.
    Differences from the paper: without augmentation by default, so that features are memoised; `augment` other than
        'none' encodes every view anew.
    """

    @dataclass(frozen=True)
    class Options(Finetune.Options):
        epochs: int = option(20, "epochs per task", ge=1)
        trains: str = option("head", "the head only", choices=("head",))
        augment: str = option("none", "augmentation; 'none' memoises features", choices=tuple(RECIPES))
