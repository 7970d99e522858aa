"""A strategy that draws at every step, and a logger that keeps its calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor
from torch.nn import functional as F

import cl
from cl.loggers import Logger
from cl.parts.heads.growing import GrowingHead
from cl.strategy import Inputs, Strategy
from cl.stream import StreamInfo, View
from cl.training.optim import sgd

OPTIONS = {"stream.tasks": 2, "stream.train_per_class": 8, "backbone.image_size": 32}


class Dropping(Strategy):
    """A linear head under dropout, which draws from the global generator; `stop` is called at every step."""

    stop: Callable[[int], None] = staticmethod(lambda step: None)

    def setup(self, info: StreamInfo) -> None:
        self.head = GrowingHead(self.backbone.dim)

    def learn(self, view: View) -> None:
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        self.fit(
            "train",
            self.encoded_batches(view.train, 8),
            lambda batch: F.cross_entropy(self.head(F.dropout(batch.x, 0.5)), batch.y),
            self.head.parameters(),
            epochs=3,
            optimizer=sgd(0.1),
            after_step=lambda when: type(self).stop(15 * view.task + when.epoch * when.steps + when.step),
        )

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.head(inputs.encode(self.backbone))


class Recorder(Logger):
    """Keeps its calls."""

    told: list[tuple[Any, ...]]

    def start(self, run: Mapping[str, Any]) -> None:
        type(self).told = [("start", dict(run))]

    def scalar(self, name: str, value: float, step: int) -> None:
        self.told.append(("scalar", name, value, step))

    def evaluated(self, record: Mapping[str, Any]) -> None:
        self.told.append(("evaluated", record))

    def close(self, status: str) -> None:
        self.told.append(("close", status))


def run(*loggers: str, **arguments: Any) -> cl.RunResult:
    return cl.run(
        "dropping", "split-digits", backbone="test_vit@random", options=OPTIONS, seed=7, loggers=loggers, **arguments
    )


def interrupted(logger: str, **arguments: Any) -> Path:
    """The folder of a run that was interrupted twice, in its first task and in its second, and then completed."""
    stops = [7, 22]

    def stop(step: int) -> None:
        if step in stops:
            stops.remove(step)
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dropping, "stop", stop)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                run(logger, **arguments)
        return run(logger, **arguments).folder
