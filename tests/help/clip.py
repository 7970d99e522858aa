"""What methods on a CLIP train: a trainer that keeps the batches and the arguments of every fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from cl.training.batches import Batch
from cl.training.fit import FitSpec
from cl.training.journal import Learner
from cl.training.trainer import Trainer
from tests.help.plain_loops import Kept


class Watching(Trainer):
    """Keeps the batches of every fit, what it was given, and its parameters before it."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[Batch]] = []
        self.specs: list[FitSpec] = []
        self.starts: list[list[Tensor]] = []

    def fit(self, strategy: Learner, phase: str, spec: FitSpec) -> dict[str, Any]:
        seen: list[Batch] = []
        self.batches.append(seen)
        self.specs.append(spec)
        self.starts.append([parameter.detach().clone() for parameter in spec.trained])
        return super().fit(strategy, phase, replace(spec, data=Kept(spec.data, seen)))
