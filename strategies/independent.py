"""Independent: every task is learned from scratch by a network of its own, the reference of NEVIS'22."""

from __future__ import annotations

from dataclasses import dataclass

from cl.bases.network_per_task import NetworkPerTask


class Independent(NetworkPerTask):
    """A randomly initialised network for every task, which nothing passes on to; the reference of NEVIS'22.

    Paper: Bornschein et al. NEVIS'22: A Stream of 100 Tasks Sampled from 30 Years of Computer Vision Research. JMLR
        2023 (INDep).
    Trains: the whole network and a linear head, `trials` times per task with another rate and label smoothing; the
        trial with the best accuracy on the validation images is kept.
    Stores: a network and a head per task; no images.
    Cost: all trials and their validations; one forward per test image.
    Differences from the paper: any backbone (theirs is `resnet34_64@random`); batch sizes and weight decay follow the
        authors' code. A trial counts by its best validation accuracy, whose weights are kept; their code keeps these
        weights but compares trials by the last accuracy. Their rule that halves the rate on a plateau never acts with
        their settings and is left out. All trials of a task start from the same weights and see their images in another
        order. Multi-label tasks are not learned.
    """

    @dataclass(frozen=True)
    class Options(NetworkPerTask.Options):
        """Those of `cl.bases.network_per_task`."""
