"""Sequential linear probe: a frozen backbone and a linear head, a cheap baseline."""

from __future__ import annotations

from dataclasses import dataclass

from cl.strategies.finetune import Finetune
from cl.strategy import RECIPES, option


class LinearProbe(Finetune):
    """Linear head on a frozen backbone, trained task by task.

    Name: Linear probe
    Paper: none; a baseline for every table.
    Family: baselines
    Networks: vit, cnn, mlp, clip
    Gradients: none
    Trains: the head only.
    Stores: the head.
    Cost: every image is encoded once per backbone and transform, for all epochs, seeds and runs.
    Differences from the paper: no augmentation by default, so that features are memoised; with another `augment`, every
        view is encoded.
    """

    @dataclass(frozen=True)
    class Options(Finetune.Options):
        epochs: int = option(20, "epochs per task", ge=1)
        trains: str = option("head", "train the head only", choices=("head",))
        augment: str = option(
            "none", "augmentation of training images; 'none': features are memoised", choices=tuple(RECIPES)
        )
