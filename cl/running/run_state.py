"""The state of a run outside its learner, as a checkpoint holds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from cl.running.evaluation import Row


@dataclass
class RunState:
    """The progress and results of a run; a checkpoint holds this, the learner's state and the counters."""

    next_event: int = 0
    seen: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)  # {"event", "task", "split"}
    results: list[Row] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)  # cost of each event
    resumed_from: list[str] = field(default_factory=list)
    stored: dict[str, int] = field(default_factory=lambda: {"samples": 0, "statistics": 0, "parameters": 0})
    report: dict[str, float] = field(default_factory=dict)  # numbers from `Strategy.report`
    peak: dict[str, int] = field(default_factory=lambda: {"peak_rss": 0, "peak_device": 0})
    energy: dict[str, float | None] | None = None  # joules; see `cl.running.energy`
    probe: list[dict[str, Any]] = field(default_factory=list)  # rows of `result.probe` of the record

    def as_state(self) -> dict[str, Any]:
        """Nested tensors and JSON scalars for the checkpoint."""
        rows = [
            {
                "index": torch.from_numpy(row.index),
                "prediction": {rule: torch.from_numpy(best.astype(np.int32)) for rule, best in row.prediction.items()},
                "margin": {rule: torch.from_numpy(value) for rule, value in row.margin.items()},
                "scores": {
                    kind: {rule: torch.from_numpy(values) for rule, values in table.items()}
                    for kind, table in row.scores.items()
                },
                "mean_precision": {rule: torch.from_numpy(values) for rule, values in row.mean_precision.items()},
            }
            for row in self.results
        ]
        return {**vars(self), "results": rows}

    @classmethod
    def from_state(cls, value: dict[str, Any]) -> RunState:
        """The inverse of `as_state`."""
        results = [
            Row(
                row["index"].numpy(),
                {rule: tensor.numpy() for rule, tensor in row["prediction"].items()},
                {rule: tensor.numpy() for rule, tensor in row["margin"].items()},
                {
                    kind: {rule: tensor.numpy() for rule, tensor in table.items()}
                    for kind, table in row.get("scores", {}).items()  # checkpoints of earlier versions have none
                },
                {rule: tensor.numpy() for rule, tensor in row.get("mean_precision", {}).items()},
            )
            for row in value["results"]
        ]
        unknown = {"energy": {"processor": None, "accelerator": None}}  # of checkpoints of earlier versions
        return cls(**{**unknown, **value, "results": results})
