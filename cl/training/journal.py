"""The journal of a task: which calls are finished, so that a killed `learn` can resume."""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

import torch

from cl.random import Seeds
from cl.training.checkpoint import Checkpoint, Key
from cl.training.cost import Cost
from cl.training.generators import generator, seed_globals


class Learner(Protocol):
    """The part of a strategy that journal and fit need: its state, and the structure of its state."""

    def get_state(self) -> dict[str, Any]: ...

    def set_state(self, value: dict[str, Any]) -> None: ...

    def structure(self) -> Any: ...


class Journal:
    """Numbers the calls of a task, saves the state after each to the checkpoint, and restores it after a kill.

    An entry holds the state of the strategy, its random streams and the counters of `cost`. Without a `checkpoint`
    nothing is saved or restored.
    """

    def __init__(self, seeds: Seeds, cost: Cost, checkpoint: Checkpoint | None = None) -> None:
        self.seeds, self.cost, self.checkpoint = seeds, cost, checkpoint
        self.resumed_from: list[str] = []
        self.begin(-1)

    def begin(self, task: int) -> None:
        """Start the journal of a task (-1: setup)."""
        self.task, self._ordinal = task, 0
        self._times: Counter[str] = Counter()
        self._streams: dict[str, torch.Generator] = {}
        seed_globals(self.seeds.data, "learn", task)

    def rng(self, purpose: str) -> torch.Generator:
        """The generator of a purpose within this task; a second call continues the same stream."""
        if purpose not in self._streams:
            self._streams[purpose] = generator(self.seeds.data, "strategy", self.task, purpose)
        return self._streams[purpose]

    def next(self, kind: str, name: str) -> Key:
        """The key of the next call."""
        self._ordinal += 1
        self._times[name] += 1
        return Key(self.task, self._ordinal, kind, name)

    def occurrence(self, name: str) -> int:
        """Number of calls of this name in the task so far, including the current call."""
        return self._times[name]

    def snapshot(self, strategy: Learner) -> dict[str, Any]:
        """The state of the strategy, of its random streams, and of the counters."""
        streams = {purpose: stream.get_state() for purpose, stream in self._streams.items()}
        return {"strategy": strategy.get_state(), "streams": streams, "cost": self.cost.get_state()}

    def return_to(self, strategy: Learner, value: dict[str, Any]) -> None:
        """Restore a snapshot."""
        strategy.set_state(value["strategy"])
        for purpose, stream in value["streams"].items():
            self.rng(purpose).set_state(stream)
        self.cost.set_state(value["cost"])

    def recall(self, key: Key, strategy: Learner) -> dict[str, Any] | None:
        """The entry of a finished call, after restoring the state it saved; None if the call must be run."""
        entry = self.checkpoint.load_entry(key) if self.checkpoint else None
        if entry is not None:
            self.return_to(strategy, entry)
            self.resumed_from.append(f"after {key}")
            seed_globals(self.seeds.data, "after", key.task, key.ordinal)
        return entry

    def finish(self, key: Key, strategy: Learner, result: Any) -> None:
        """Save a finished call, if a write is due."""
        if self.checkpoint and self.checkpoint.due(self.task):
            with self.cost.timed("checkpoint"):
                self.checkpoint.save_entry(key, {**self.snapshot(strategy), "result": result})
        seed_globals(self.seeds.data, "after", key.task, key.ordinal)

    # ------------------------------------------------------------------------------------------ within a long call

    def due(self) -> bool:
        """Whether it is time to save an unfinished call."""
        return self.checkpoint is not None and self.checkpoint.due()

    def save_partial(self, key: Key, strategy: Learner, value: dict[str, Any]) -> None:
        """Save an unfinished call: the state of the strategy, and `value`, the progress of the call."""
        assert self.checkpoint is not None
        with self.cost.timed("checkpoint"):
            self.checkpoint.save_partial(key, {**self.snapshot(strategy), **value})

    def load_partial(self, key: Key, strategy: Learner) -> dict[str, Any] | None:
        """The entry of this unfinished call, after restoring the state of the strategy; None if there is none."""
        value = self.checkpoint.load_partial(key) if self.checkpoint else None
        if value is not None:
            self.return_to(strategy, value)
        return value
