"""A run that kills itself with SIGKILL: `python gauntlet.py FOLDER TICK...`, one process per tick (-1: not killed).

Every process is forked from one that has imported the code but run none of it, which spares seconds of imports. Ticks
are counted at every step of a fit, inside a compute, at every prediction, before, in the middle of and after every file
that is written, and before every deletion. The strategy draws random numbers between its phases, repeats a phase's
name, selects a best state, uses dropout, and holds state of every kind.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor
from torch.nn import functional as F

from cl import files
from cl.parts.heads.growing import GrowingHead
from cl.parts.statistics.gaussians import ClassGaussians
from cl.strategy import Inputs, Strategy
from cl.stream import View
from cl.training import fit, kept
from cl.training.optim import Cosine, adam, sgd
from tests.conftest import make, run, tiny_stream

TICKS: dict[str, int] = {}


class Clock:
    """Counts the places where a kill can strike, and strikes at one of them."""

    def __init__(self, fatal: int) -> None:
        self.fatal, self.now = fatal, 0

    def tick(self, place: str) -> None:
        TICKS[place] = TICKS.get(place, 0) + 1
        if self.now == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        self.now += 1


CLOCK = Clock(-1)


class Gauntlet(Strategy):
    """Everything a method may do between two kills."""

    def setup(self, info: Any) -> None:
        self.head = GrowingHead(self.backbone.dim)
        self.gaussians = ClassGaussians(self.backbone.dim)
        self.center = self.compute("centre", self._slow_center)
        self.history: list[float] = []

    def _slow_center(self) -> Tensor:
        CLOCK.tick("compute")
        return torch.randn(self.backbone.dim)

    def learn(self, view: View) -> None:
        noise = self.rng("noise")
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        data = self.batches(view.train, 8, "crop-flip")

        def loss(batch: Any) -> Tensor:
            jitter = torch.randn(batch.y.shape, generator=noise)  # a stream of the strategy's own, used inside a fit
            losses = F.cross_entropy(self.head(self.backbone(batch.x)), batch.y, reduction="none")
            return (losses * (1 + 0.1 * jitter)).mean()

        parameters = [*self.backbone.parameters(), *self.head.parameters()]
        cosine = Cosine(per_step=True)
        first = self.fit("train", data, loss, parameters, epochs=2, optimizer=adam(1e-3), schedule=cosine)
        self.history.append(first["loss"][-1] + float(torch.rand((), generator=noise)))
        anchor = [parameter.detach().clone() for parameter in self.head.parameters()]
        self.compute("gaussians", lambda: self._estimate(view))

        def pulled(batch: Any) -> Tensor:
            pull = sum(((p - a) ** 2).sum() for p, a in zip(self.head.parameters(), anchor, strict=True))
            return F.cross_entropy(self.head(batch.x), batch.y) + pull

        def validate() -> float:
            return float(torch.rand(()))  # the global generator must resume at its position too

        second = self.fit(
            "train", self.gaussians.sampler(8), pulled, self.head.parameters(), epochs=3, optimizer=sgd(0.1),
            validate=validate, select="best",
        )  # fmt: skip
        self.history += [float(second["best_epoch"]), float(torch.rand((), generator=noise)), float(torch.rand(()))]

    def _estimate(self, view: View) -> dict[str, Any]:
        features = self.encode(view.train) - self.center
        CLOCK.tick("compute")
        self.gaussians.add(features + 0.01 * torch.randn(features.shape), view.train.labels, view.classes)
        return {"norm": features.norm(), "count": len(features)}

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        CLOCK.tick("predict")
        return self.head(inputs.encode(self.backbone))


def arm() -> None:
    """Put ticks into the steps of fits and around the writing of files."""
    one = fit.Fit._one_step

    def one_step(self: Any, batch: Any, step: Any) -> None:
        CLOCK.tick("step")
        one(self, batch, step)

    fit.Fit._one_step = one_step  # type: ignore[method-assign]
    replace = os.replace

    def slow_replace(source: Any, target: Any) -> None:
        CLOCK.tick(f"before {Path(target).name.split('-')[0]}")
        replace(source, target)
        CLOCK.tick(f"after {Path(target).name.split('-')[0]}")

    def half_written(descriptor: int) -> None:
        CLOCK.tick("writing")  # a kill needs no fsync, only a power cut does

    unlink = Path.unlink

    def slow_unlink(self: Path, missing_ok: bool = False) -> None:
        CLOCK.tick(f"delete {self.name.split('-')[0]}")
        unlink(self, missing_ok)

    module: Any = files.os
    module.replace, module.fsync = slow_replace, half_written
    Path.unlink = slow_unlink  # type: ignore[method-assign]
    kept.LEAST = 64  # the tensors of this strategy are small


def main(folder: Path, fatal: int) -> None:
    """Run three tasks into `folder`, dying at tick `fatal`; prints how often each place was passed."""
    CLOCK.fatal = fatal
    arm()
    learner = make(Gauntlet, folder=folder)
    run(learner, tiny_stream(tasks=3), folder)
    print(json.dumps({"ticks": TICKS}), flush=True)


if __name__ == "__main__":
    for fatal in map(int, sys.argv[2:]):
        if (child := os.fork()) == 0:
            main(Path(sys.argv[1]), fatal)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"fatal": fatal, "status": status}), flush=True)
