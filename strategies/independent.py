"""Independent: a separate network learns each task from scratch; the reference of NEVIS'22."""

from __future__ import annotations

from dataclasses import dataclass

from cl.bases.network_per_task import NetworkPerTask


class Independent(NetworkPerTask):
    """A separate, randomly initialised network per task; nothing is transferred. The reference of NEVIS'22.

    Name: Independent
    Paper: Bornschein et al. NEVIS'22: A Stream of 100 Tasks Sampled from 30 Years of Computer Vision Research. JMLR
        2023 (INDep).
    Family: isolation
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the whole network and a linear head, in `trials` trials per task with different learning rates and label
        smoothing; the trial with the best validation accuracy is kept.
    Stores: a network and a head per task; no images.
    Cost: all trials and their validations; one forward pass per test image.
    Differences from the paper: any backbone (the paper's is `resnet34_64@random`); batch sizes and weight decay follow
        the search of the authors' code. Its configurations of single strategies have no search, but one run (preset
        `as-released`). A task that returns gets a new head; in the code it continues with the head it had. Trials are
        compared by their best validation accuracy, and the weights with that accuracy are kept; the code keeps the same
        weights but compares trials by their last accuracy. The code's rule to halve the learning rate on a plateau has
        no effect with its settings and is left out. All trials of a task start from the same weights; each sees the
        images in a different order. Tasks with several classes per image have independent sigmoids; their trials are
        compared by the mean average precision of validation images, and in the code by the share of wrong decisions.
    """

    @dataclass(frozen=True)
    class Options(NetworkPerTask.Options):
        """The options of `cl.bases.network_per_task`."""
