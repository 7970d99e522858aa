"""The journal of a task: which calls are finished, so that a killed `learn` continues where it was."""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

import torch

from cl.random import Seeds
from cl.training.checkpoint import Checkpoint, Key
from cl.training.cost import Cost
from cl.training.generators import generator, seed_globals


class Learner(Protocol):
    """What the journal needs of a strategy: its state."""

    def get_state(self) -> dict[str, Any]: ...

    def set_state(self, value: dict[str, Any]) -> None: ...


class Journal:
    """Numbers the calls of a task, keeps what each leaves in the checkpoint, and puts it back after a kill.

    An entry holds the state of the strategy, the random streams handed out and the counters of `cost`. Without a
    `checkpoint` nothing is written and nothing is found.
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
        """The generator of a purpose within this task; asked again, it continues."""
        if purpose not in self._streams:
            self._streams[purpose] = generator(self.seeds.data, "strategy", self.task, purpose)
        return self._streams[purpose]

    def next(self, kind: str, name: str) -> Key:
        """The key of the call that begins now."""
        self._ordinal += 1
        self._times[name] += 1
        return Key(self.task, self._ordinal, kind, name)

    def occurrence(self, name: str) -> int:
        """How many calls of this name the task has had, from 1."""
        return self._times[name]

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

    def recall(self, key: Key, strategy: Learner) -> dict[str, Any] | None:
        """The entry of a finished call, after putting back the state that it left; None for a call to be made."""
        entry = self.checkpoint.load_entry(key) if self.checkpoint else None
        if entry is not None:
            self.return_to(strategy, entry)
            self.resumed_from.append(f"after {key}")
            seed_globals(self.seeds.data, "after", key.task, key.ordinal)
        return entry

    def finish(self, key: Key, strategy: Learner, result: Any) -> None:
        """Keep a call that is done, where a write is due."""
        if self.checkpoint and self.checkpoint.due(self.task):
            with self.cost.timed("checkpoint"):
                self.checkpoint.save_entry(key, {**self.snapshot(strategy), "result": result})
        seed_globals(self.seeds.data, "after", key.task, key.ordinal)

    # ------------------------------------------------------------------------------------------ inside a long call

    def due(self) -> bool:
        """Whether it is time to keep a call in its middle."""
        return self.checkpoint is not None and self.checkpoint.due()

    def save_partial(self, key: Key, strategy: Learner, value: dict[str, Any]) -> None:
        """Keep an unfinished call: the state of the strategy and what `value` says of the call."""
        assert self.checkpoint is not None
        with self.cost.timed("checkpoint"):
            self.checkpoint.save_partial(key, {**self.snapshot(strategy), **value})

    def load_partial(self, key: Key, strategy: Learner) -> dict[str, Any] | None:
        """What `save_partial` kept of this call, after putting back the state of the strategy; None without."""
        value = self.checkpoint.load_partial(key) if self.checkpoint else None
        if value is not None:
            self.return_to(strategy, value)
        return value
