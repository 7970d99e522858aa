"""A strategy that learns nothing and fails when told to; the fixture `toy` registers it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cl.errors import NonFiniteLoss
from cl.options import option
from cl.strategy import Strategy

QUICK = ["--stream", "split-digits", "--limit", "2", "--set", "stream.tasks=2"]


class Toy(Strategy):
    """Predicts its favourite class; fails when told to."""

    learned: list[int]

    @dataclass(frozen=True)
    class Options:
        favourite: int = option(0, "class to predict", ge=0)
        fail: str = option("", "how to end the second task")

    def setup(self, info: Any) -> None:
        self.learned = []

    def learn(self, view: Any) -> None:
        if view.task == 1:
            match self.options.fail:
                case "loss":
                    raise NonFiniteLoss("the loss became nan; lower lr.")
                case "bug":
                    raise ZeroDivisionError("division by zero")
                case "interrupt":
                    raise KeyboardInterrupt
                case "terminate":
                    os.kill(os.getpid(), signal.SIGTERM)
        self.learned = [*self.learned, view.task]

    def predict(self, inputs: Any, task: int | None = None) -> torch.Tensor:
        scores = torch.zeros(len(inputs), 10)
        scores[:, self.options.favourite] = 1
        return scores


def records(tmp_path: Path) -> list[Path]:
    """The records in the results folder of a test."""
    return sorted((tmp_path / "results").rglob("record.json"))
