"""Optimisers and learning-rate schedules as plain values.

A schedule is a pure function of the step, so a resumed fit has nothing to restore.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from cl.errors import UsageError

Optimizer = Callable[[Iterable[Any]], torch.optim.Optimizer]
"""Builds a new optimiser from parameters or parameter groups."""


def sgd(lr: float, momentum: float = 0.9, weight_decay: float = 0.0, nesterov: bool = False) -> Optimizer:
    """PyTorch's SGD; the `lr` of a parameter group has priority."""
    return functools.partial(
        torch.optim.SGD, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, foreach=True
    )


def adam(lr: float, betas: tuple[float, float] = (0.9, 0.999), weight_decay: float = 0.0) -> Optimizer:
    """PyTorch's Adam, with L2 weight decay."""
    return functools.partial(torch.optim.Adam, lr=lr, betas=betas, weight_decay=weight_decay, foreach=True)


def adamw(lr: float, betas: tuple[float, float] = (0.9, 0.999), weight_decay: float = 0.01) -> Optimizer:
    """PyTorch's AdamW, with decoupled weight decay."""
    return functools.partial(torch.optim.AdamW, lr=lr, betas=betas, weight_decay=weight_decay, foreach=True)


OPTIMIZERS = ("sgd", "adam", "adamw")


def optimizer(name: str, lr: float, weight_decay: float = 0.0, momentum: float = 0.9) -> Optimizer:
    """An optimiser by name; raises `UsageError` for an unknown name."""
    if name == "sgd":
        return sgd(lr, momentum, weight_decay)
    if name in ("adam", "adamw"):
        return (adam if name == "adam" else adamw)(lr, weight_decay=weight_decay)
    raise UsageError(f"unknown optimizer {name!r}; choose one of {', '.join(OPTIMIZERS)}.")


@dataclass(frozen=True)
class When:
    """Progress of a fit: epoch and step within the epoch, both from 0, and their totals."""

    epoch: int
    step: int
    epochs: int
    steps: int


@dataclass(frozen=True)
class Step(When):
    """The argument of the hooks of a fit: the progress, and the optimiser with its groups and its state."""

    optimizer: torch.optim.Optimizer


Schedule = Callable[[When], float]
"""Gives the factor of the base learning rate of every group."""


@dataclass(frozen=True)
class Constant:
    """The base learning rate throughout."""

    def __call__(self, when: When) -> float:
        return 1.0


@dataclass(frozen=True)
class MultiStep:
    """Multiply by `gamma` at each milestone epoch."""

    milestones: tuple[int, ...]
    gamma: float = 0.1

    def __call__(self, when: When) -> float:
        return self.gamma ** sum(when.epoch >= milestone for milestone in self.milestones)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 to `minimum`, updated per epoch (like PyTorch's CosineAnnealingLR) or per mini-batch.

    Epochs are `late` epochs behind: 1 is timm's scheduler, which gives the second epoch the rate of the first.
    """

    minimum: float = 0.0
    per_step: bool = False
    late: int = 0

    def __call__(self, when: When) -> float:
        share = max(when.epoch - self.late, 0) / when.epochs
        if self.per_step:
            share = (when.epoch * when.steps + when.step) / (when.epochs * when.steps)
        return self.minimum + (1 - self.minimum) * (1 + math.cos(math.pi * share)) / 2


@dataclass(frozen=True)
class QuarterCosine:
    """cos(99 pi e / (200 (E - 1))): the schedule of CODA-Prompt's code, from 1 to almost 0."""

    def __call__(self, when: When) -> float:
        return math.cos(99 * math.pi * when.epoch / (200 * max(when.epochs - 1, 1)))


@dataclass(frozen=True)
class WarmRestarts:
    """A tenth in the first epoch, then half cosines from 1 to `minimum` over 1, 2, 4, ... epochs: SGDR, as in GDumb."""

    minimum: float = 0.0

    def __call__(self, when: When) -> float:
        if when.epoch == 0:
            return 0.1
        period = 1 << (when.epoch.bit_length() - 1)
        share = (when.epoch - period) / period
        return self.minimum + (1 - self.minimum) * (1 + math.cos(math.pi * share)) / 2


@dataclass(frozen=True)
class WarmupCosine:
    """Linear from 0 to 1 over `warmup` steps, then half a cosine to `minimum` at step `total` of a fit."""

    warmup: int
    total: int
    minimum: float = 0.0

    def __call__(self, when: When) -> float:
        step = when.epoch * when.steps + when.step
        if step < self.warmup:
            return step / self.warmup
        share = (step - self.warmup) / max(self.total - self.warmup, 1)
        return self.minimum + (1 - self.minimum) * (1 + math.cos(math.pi * share)) / 2


SCHEDULES = ("constant", "multistep", "cosine", "cosine-step", "quarter-cosine")


def schedule(name: str, milestones: tuple[int, ...] = (), gamma: float = 0.1) -> Schedule:
    """A schedule by name; raises `UsageError` for an unknown name."""
    known: dict[str, Schedule] = {
        "constant": Constant(), "multistep": MultiStep(tuple(milestones), gamma), "cosine": Cosine(),
        "cosine-step": Cosine(per_step=True), "quarter-cosine": QuarterCosine(),
    }  # fmt: skip
    if name not in known:
        raise UsageError(f"unknown schedule {name!r}; choose one of {', '.join(SCHEDULES)}.")
    return known[name]


@dataclass(frozen=True)
class Plateau:
    """Multiply the rate by `factor` if `validate` has not improved for over `patience` epochs; stop below `minimum`."""

    factor: float = 0.5
    patience: int = 5
    minimum: float = 0.0
