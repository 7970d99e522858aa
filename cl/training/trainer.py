"""The trainer of a run: device, seeds, costs, progress, and the journal that makes `learn` resumable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from cl.progress.base import NullProgress, Progress
from cl.random import Seeds
from cl.training import state
from cl.training.checkpoint import Checkpoint, Key
from cl.training.cost import Cost, count_flops
from cl.training.encodings import Encodings
from cl.training.fit import Fit, FitSpec, Learner
from cl.training.generators import generator, seed_globals


class Trainer:
    """Everything around a strategy's own mathematics: device, seeds, costs, progress and the journal of the task."""

    def __init__(
        self,
        *,
        seeds: Seeds | None = None,
        device: torch.device | str = "cpu",
        checkpoint: Checkpoint | None = None,
        progress: Progress | None = None,
        encodings: Encodings | None = None,
    ) -> None:
        self.seeds = seeds or Seeds()
        self.device = torch.device(device)
        self.checkpoint = checkpoint
        self.progress: Progress = progress or NullProgress()
        self.cost = Cost()
        self.encodings = encodings or Encodings()
        self.encodings.cost = self.cost
        self.resumed_from: list[str] = []
        self.begin(-1)

    def begin(self, task: int) -> None:
        """Start the journal of a task (-1: setup)."""
        self.task, self._ordinal = task, 0
        self._times: Counter[str] = Counter()
        self._streams: dict[str, torch.Generator] = {}
        seed_globals(self.seeds.data, "learn", task)

    def rng(self, purpose: str) -> torch.Generator:
        """The generator of a purpose within this task; asked again, it goes on where it stood."""
        if purpose not in self._streams:
            self._streams[purpose] = generator(self.seeds.data, "strategy", self.task, purpose)
        return self._streams[purpose]

    def init_rng(self, purpose: str) -> torch.Generator:
        """A fresh generator for new parameters, from the initialisation seed."""
        return generator(self.seeds.init, "init", self.task, purpose)

    # ----------------------------------------------------------------------------------------------------- journal

    def compute(self, strategy: Learner, name: str, call: Callable[[], Any], *, count: bool = True) -> Any:
        """Run a long pass once: its result and the state it leaves are journaled.

        `count=False` is for a call that adds its FLOPs to `cost` itself.

        `call` may change the strategy's state; it returns nested tensors and JSON scalars (tuples become lists).
        """
        key = self._next("compute", name)
        if (entry := self._recall(key, strategy)) is not None:
            return entry["result"]
        seed_globals(self.seeds.data, "compute", self.task, name, self._times[name])
        self.progress.phase(name, 0, 0)
        result = state.clone(self.counted(call) if count else call())
        self.progress.end_phase()
        self._finish(key, strategy, result)
        return result

    def trains(self, parameters: Iterable[nn.Parameter]) -> None:
        """Say what an optimisation that is not a `fit` trains."""
        self.cost.trainable = max(self.cost.trainable, sum(parameter.numel() for parameter in parameters))

    def counted(self, call: Callable[[], Any]) -> Any:
        """Call it and count its FLOPs; encodings and fits keep their own account."""
        before = self.cost.flops["executed"]
        result, flops = count_flops(call)
        self.cost.add_flops(max(flops - (self.cost.flops["executed"] - before), 0.0))
        return result

    def fit(self, strategy: Learner, phase: str, spec: FitSpec) -> dict[str, Any]:
        """Run one optimisation, or what is left of it; see `cl.strategy.Strategy.fit`."""
        key = self._next("fit", phase)
        if (entry := self._recall(key, strategy)) is not None:
            return entry["result"]
        result = Fit(self, strategy, key, spec).run(self._times[phase])
        self._finish(key, strategy, result)
        return result

    def _next(self, kind: str, name: str) -> Key:
        self._ordinal += 1
        self._times[name] += 1
        return Key(self.task, self._ordinal, kind, name)

    def snapshot(self, strategy: Learner) -> dict[str, Any]:
        """The state of the strategy, of the streams it was handed, and of the counters."""
        streams = {purpose: stream.get_state() for purpose, stream in self._streams.items()}
        return {"strategy": strategy.get_state(), "streams": streams, "cost": self.cost.get_state()}

    def return_to(self, strategy: Learner, value: dict[str, Any]) -> None:
        """Put back what `snapshot` took."""
        strategy.set_state(value["strategy"])
        for purpose, stream in value["streams"].items():
            self.rng(purpose).set_state(stream)
        self.cost.set_state(value["cost"])

    def _recall(self, key: Key, strategy: Learner) -> dict[str, Any] | None:
        entry = self.checkpoint.load_entry(key) if self.checkpoint else None
        if entry is not None:
            self.return_to(strategy, entry)
            self.resumed_from.append(f"after {key}")
            seed_globals(self.seeds.data, "after", key.task, key.ordinal)
        return entry

    def _finish(self, key: Key, strategy: Learner, result: Any) -> None:
        if self.checkpoint and self.checkpoint.due(self.task):
            with self.cost.timed("checkpoint"):
                self.checkpoint.save_entry(key, {**self.snapshot(strategy), "result": result})
        seed_globals(self.seeds.data, "after", key.task, key.ordinal)
