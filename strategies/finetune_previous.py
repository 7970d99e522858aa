"""Finetune-previous: every task's network starts from the network of the task before (NEVIS'22)."""

from __future__ import annotations

from dataclasses import dataclass

from cl.bases.network_per_task import SCRATCH, NetworkPerTask
from cl.strategy import View


class FinetunePrevious(NetworkPerTask):
    """A network for every task that starts from the one of the task before; the first starts from scratch.

    Paper: Bornschein et al. NEVIS'22: A Stream of 100 Tasks Sampled from 30 Years of Computer Vision Research. JMLR
        2023 (FT-prev).
    Trains: the whole network and a linear head, `trials` times per task with another rate and label smoothing; the
        trial with the best accuracy on the validation images is kept.
    Stores: a network and a head per task, so that earlier tasks can still be asked for; no images.
    Cost: all trials and their validations; one forward per test image.
    Differences from the paper: those of `independent`. `start=pretrained` lets the first task start from the weights as
        they were loaded.
    """

    @dataclass(frozen=True)
    class Options(NetworkPerTask.Options):
        """Those of `cl.bases.network_per_task`."""

    def source(self, view: View) -> int:
        return len(self.networks) - 1 if len(self.networks) else SCRATCH
