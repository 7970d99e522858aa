"""Pretrained: every task is fine-tuned from the same pretrained weights by a network of its own (NEVIS'22)."""

from __future__ import annotations

from dataclasses import dataclass

from cl.bases.network_per_task import NetworkPerTask
from cl.strategy import option


class Pretrained(NetworkPerTask):
    """A network for every task that starts from the weights as they were loaded; nothing passes from task to task.

    Paper: Bornschein et al. NEVIS'22: A Stream of 100 Tasks Sampled from 30 Years of Computer Vision Research. JMLR
        2023 (PRE, PT).
    Trains: the whole network and a linear head, `trials` times per task with another rate and label smoothing; the
        trial with the best accuracy on the validation images is kept.
    Stores: a network and a head per task; no images.
    Cost: all trials and their validations, but not the pretraining; one forward per test image.
    Differences from the paper: those of `independent`; and any weights, where the paper pretrains a ResNet on ImageNet
        at 64 px. What the weights saw is in every record.
    """

    @dataclass(frozen=True)
    class Options(NetworkPerTask.Options):
        start: str = option("pretrained", "weights that every task starts from: as loaded", choices=("pretrained",))
