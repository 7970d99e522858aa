"""The work of a comparison: its size, the options of each method on both sides, and the check that both do the same."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from benchmarks.measuring import Clock

LEARNING_RATE, MOMENTUM = 0.01, 0.9
AUGMENT = "crop-flip"
MEMORY = 200
"""Remembered images of replay and iCaRL."""
EWC_LAMBDA = 1.0
TEMPERATURE = 2.0
SLDA_SHRINKAGE = 1e-4
EVAL_BATCH = 64
"""Avalanche's evaluation batch: the number of images that clbench evaluates at once on a CPU."""

METHODS: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "naive": ("finetune", None, {"loss": "global"}),
    "replay": ("replay", None, {"loss": "global", "memory_size": MEMORY}),
    "ewc": ("ewc", "avalanche", {"loss": "global", "reg": EWC_LAMBDA}),
    "lwf": ("pred-kd", None, {"loss": "global", "pred_kd": 1.0, "temperature": TEMPERATURE}),
    "icarl": ("avalanche/icarl", None, {"memory_size": MEMORY}),
    "slda": ("avalanche/slda", None, {"shrinkage": SLDA_SHRINKAGE}),
}
"""Avalanche's methods: the strategy of clbench that does the same, its preset and its options."""

SAME_WEIGHTS = ("naive", "ewc", "lwf")
"""Methods whose first task is the same arithmetic on the same batches, so that the weights must agree."""


@dataclass(frozen=True)
class Job:
    """One method on one stream, for both sides."""

    method: str
    stream: str = "split-cifar100"
    tasks: int = 10
    train_per_class: int = 50
    test_per_class: int = 50
    epochs: int = 1
    batch_size: int = 20
    threads: int = 1
    precision: str = "fp32"
    """Of clbench; Avalanche computes in fp32."""

    def options(self) -> dict[str, Any]:
        """The options of clbench's run."""
        options = dict(METHODS[self.method][2])
        options |= {"stream.tasks": self.tasks, "stream.test_per_class": self.test_per_class}
        options["stream.train_per_class"] = self.train_per_class
        options["batch_size"] = self.batch_size
        if self.method != "slda":
            options |= {"epochs": self.epochs, "lr": LEARNING_RATE, "momentum": MOMENTUM, "weight_decay": 0.0}
            options["augment"] = AUGMENT
        if self.method in ("naive", "replay", "ewc", "lwf"):
            options |= {"optimizer": "sgd", "schedule": "constant", "trains": "all", "backbone_lr_scale": 1.0}
        return options


@dataclass
class Measured:
    """One run of one side: seconds of its parts, and what it computed."""

    learn: Clock = field(default_factory=Clock)
    evaluation: Clock = field(default_factory=Clock)
    whole: Clock = field(default_factory=Clock)
    steps: list[int] = field(default_factory=list)
    """Optimiser steps of each task."""
    evaluated: list[int] = field(default_factory=list)
    """Images evaluated after each task."""
    accuracy: list[float] = field(default_factory=list)
    """Accuracy on all seen tasks after each task."""
    images: list[list[int]] = field(default_factory=list)
    """Images that passed the trained network for each step of each task and after the last; in the warm-up only."""
    weights: list[Any] = field(default_factory=list)
    """The backbone's weights after each task, one array each; in the warm-up only."""
    peak: int = 0
    """Peak resident set of the process in bytes."""


class DifferentWork(Exception):
    """Both sides did different work, so their seconds cannot be compared."""


WEIGHTS_AGREE = 1e-4
IMAGES_AGREE = 0.03


def check(job: Job, ours: Measured, theirs: Measured) -> None:
    """Raise `DifferentWork` unless both sides did the same work."""
    if ours.steps != theirs.steps:
        raise DifferentWork(f"{job.method}: optimiser steps per task {ours.steps} and {theirs.steps}")
    if ours.evaluated != theirs.evaluated:
        raise DifferentWork(f"{job.method}: images evaluated {ours.evaluated} and {theirs.evaluated}")
    for task, (mine, other) in enumerate(zip(ours.images, theirs.images, strict=True)):
        if sum(theirs.steps) and abs(sum(mine) - sum(other)) > IMAGES_AGREE * sum(other):
            raise DifferentWork(f"{job.method}: images trained on in task {task}: {sum(mine)} and {sum(other)}")
    exact = job.method in SAME_WEIGHTS and job.precision == "fp32"
    for task, (weights, other_weights) in enumerate(zip(ours.weights, theirs.weights, strict=True)):
        distance = float(abs(weights - other_weights).max())
        if exact and not distance <= WEIGHTS_AGREE:
            raise DifferentWork(f"{job.method}: weights after task {task} differ by {distance:.2g}")
    for task, (share, other_share) in enumerate(zip(ours.accuracy, theirs.accuracy, strict=True)):
        if abs(share - other_share) > tolerance(ours.evaluated[task], exact):
            raise DifferentWork(f"{job.method}: accuracy after task {task}: {share:.3f} and {other_share:.3f}")


def tolerance(images: int, exact: bool) -> float:
    """How far accuracies on `images` images may be apart.

    Methods that take the same batches round differently, which may change a few answers. Others also draw other
    memories: 3 points, and two standard errors of a difference.
    """
    return 0.02 + 2 / images if exact else 0.03 + 2 * math.sqrt(0.5 / images)
