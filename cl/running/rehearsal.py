"""The setup of a run without the run: a method refuses here what it would refuse there, and nothing is kept."""

from __future__ import annotations

from typing import Any

from cl.backbone.stand_in import load_here
from cl.plan.plan import Plan
from cl.random import Seeds
from cl.running.build import build_strategy
from cl.running.loop import set_up
from cl.stream import Stream
from cl.training.encodings import Encodings
from cl.training.generators import generators_untouched
from cl.training.trainer import Trainer


def rehearse(plan: Plan, stream: Stream) -> None:
    """Build the backbone and the learner of a plan on the CPU and call its `setup`, inside `cl.paths.look_only`.

    The rehearsal ends where a setup trains or computes features of images, which takes as long as in the run. Weights
    that would be downloaded are drawn at random. Raises the `ClbenchError` of a refusal, `MissingData` if the setup
    needs data that is not here.
    """
    with generators_untouched():
        backbone = load_here(
            plan.backbone, plan.backbone_options, precision=plan.precision, seed=plan.seeds["init"]
        )  # fmt: skip
        trainer = _Looking(seeds=Seeds(**plan.seeds), encodings=_NoFeatures())
        try:
            set_up(build_strategy(plan, backbone, trainer), stream, trainer)
        except _Enough:
            return


class _Enough(Exception):
    """The setup has come to work that takes long."""


class _NoFeatures(Encodings):
    """Computes no features."""

    def get(self, *arguments: Any, **more: Any) -> Any:
        raise _Enough


class _Looking(Trainer):
    """Trains nothing."""

    def fit(self, *arguments: Any, **more: Any) -> Any:
        raise _Enough
