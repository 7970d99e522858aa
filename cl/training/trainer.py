"""The trainer of a run: device, seeds, costs, observer, encodings, and the journaled calls of a strategy."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from cl.progress.base import Observer
from cl.random import Seeds
from cl.training import state
from cl.training.checkpoint import Checkpoint
from cl.training.cost import Cost
from cl.training.encodings import Encodings
from cl.training.fit import Fit, FitSpec
from cl.training.generators import generator, seed_globals
from cl.training.journal import Journal, Learner


class Trainer:
    """Everything except a strategy's own mathematics; its `journal` makes `learn` resumable."""

    def __init__(
        self,
        *,
        seeds: Seeds | None = None,
        device: torch.device | str = "cpu",
        checkpoint: Checkpoint | None = None,
        observer: Observer | None = None,
        encodings: Encodings | None = None,
    ) -> None:
        self.seeds = seeds or Seeds()
        self.device = torch.device(device)
        self.observer = observer or Observer()
        self.cost = Cost()
        self.encodings = encodings or Encodings()
        self.encodings.cost = self.cost
        self.journal = Journal(self.seeds, self.cost, checkpoint)

    @property
    def wait(self) -> Callable[[], None] | None:
        """Waits for the work that an accelerator was given; None on a CPU, which has finished it."""
        if self.device.type == "cuda":
            return functools.partial(torch.cuda.synchronize, self.device)
        return torch.mps.synchronize if self.device.type == "mps" else None

    def init_rng(self, purpose: str) -> torch.Generator:
        """A new generator for new parameters, from the initialisation seed."""
        return generator(self.seeds.init, "init", self.journal.task, purpose)

    def compute(self, strategy: Learner, name: str, call: Callable[[], Any], *, count: bool = True) -> Any:
        """Run a long pass once, and journal its result and the state after it.

        `call` may change the strategy's state. It returns nested tensors and JSON scalars; tuples become lists. Its
        FLOPs are counted; `count=False` is for a call that adds its FLOPs to `cost` itself.
        """
        key = self.journal.next("compute", name)
        if (entry := self.journal.recall(key, strategy)) is not None:
            return entry["result"]
        seed_globals(self.seeds.data, "compute", key.task, name, self.journal.occurrence(name))
        self.observer.phase(name, 0, 0)
        result = state.clone(self.cost.count(call) if count else call())
        self.observer.end_phase()
        self.journal.finish(key, strategy, result)
        return result

    def fit(self, strategy: Learner, phase: str, spec: FitSpec) -> dict[str, Any]:
        """Run one optimisation, or the rest of it; see `cl.strategy.Strategy.fit`."""
        key = self.journal.next("fit", phase)
        if (entry := self.journal.recall(key, strategy)) is not None:
            return entry["result"]
        with self.cost.part("other"):
            fit = Fit(self.journal, strategy, key, spec, device=self.device, observer=self.observer)
            result = fit.run(self.journal.occurrence(phase))
        self.journal.finish(key, strategy, result)
        return result

    def trains(self, parameters: Iterable[nn.Parameter]) -> None:
        """Count the parameters trained by an optimisation that is not a `fit`."""
        self.cost.trainable = max(self.cost.trainable, sum(parameter.numel() for parameter in parameters))
