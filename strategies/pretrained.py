"""Pretrained: a separate network per task is fine-tuned from the same pretrained weights (NEVIS'22)."""

from __future__ import annotations

from dataclasses import dataclass

from cl.bases.network_per_task import NetworkPerTask
from cl.strategy import option


class Pretrained(NetworkPerTask):
    """A separate network per task, each started from the pretrained weights; nothing is transferred between tasks.

    Name: Pretrained
    Paper: Bornschein et al. NEVIS'22: A Stream of 100 Tasks Sampled from 30 Years of Computer Vision Research. JMLR
        2023 (PRE, PT).
    Family: isolation
    Networks: vit, cnn, mlp, clip
    Gradients: whole
    Trains: the whole network and a linear head, in `trials` trials per task with different learning rates and label
        smoothing; the trial with the best validation accuracy is kept.
    Stores: a network and a head per task; no images.
    Cost: all trials and their validations, but not the pretraining; one forward pass per test image.
    Differences from the paper: as `independent`. Any pretrained weights can be used; the paper pretrains a ResNet on
        ImageNet at 64 px. Every record names the pretraining data.
    """

    @dataclass(frozen=True)
    class Options(NetworkPerTask.Options):
        start: str = option("pretrained", "every task starts from the pretrained weights", choices=("pretrained",))
