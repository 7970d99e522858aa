"""Finetune-previous: each task's network starts from the network of the previous task (NEVIS'22)."""

from __future__ import annotations

from dataclasses import dataclass

from cl.bases.network_per_task import SCRATCH, NetworkPerTask
from cl.strategy import View


class FinetunePrevious(NetworkPerTask):
    """A network per task; each starts from the network of the previous task, and the first from scratch.

    Name: FT-prev
    Paper: Bornschein et al. NEVIS'22: A Stream of 100 Tasks Sampled from 30 Years of Computer Vision Research. JMLR
        2023 (FT-prev).
    Family: isolation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the whole network and a linear head, in `trials` trials per task with different learning rates and label
        smoothing; the trial with the best validation accuracy is kept.
    Stores: a network and a head per task, to predict on earlier tasks; no images.
    Cost: all trials and their validations; one forward pass per test image.
    Differences from the paper: as `independent`. With `start=pretrained` the first task starts from the pretrained
        weights.
    """

    @dataclass(frozen=True)
    class Options(NetworkPerTask.Options):
        """The options of `cl.bases.network_per_task`."""

    def source(self, view: View) -> int:
        return len(self.networks) - 1 if len(self.networks) else SCRATCH
