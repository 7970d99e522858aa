"""Momentum interpolation: slow weights around any method that fine-tunes, deployed in the place of the fast ones."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from cl.bases.wrapper import Wrapper
from cl.parts.weights import SlowWeights, places
from cl.strategy import Inputs, Step, Strategy, StreamInfo, UsageError, View, option


class Momentum(Wrapper):
    """Slow weights that follow the weights of a base strategy at every step, and predict in their place.

    Paper: Stojanovski, Roth, Akata. Momentum-based Weight Interpolation of Strong Zero-Shot Models for Continual
        Learning. INTERPOLATE workshop at NeurIPS 2022, arXiv 2211.03186; from its abstract and a summary of it.
    Trains: what the base trains (the fast weights), by the base's own rules; the slow weights get no gradients.
    Stores: a second copy of everything trained, in float32, and what the base stores.
    Cost: one interpolation per step while learning, one forward per test image.
    Differences from the paper: a transplant. The paper starts from CLIP with its zero-shot text head; backbones without
        a text tower have none, so the head is the base's, drawn at random and grown by task. New rows enter the slow
        weights as copies. tau, the learning rates and whether fast weights restart from slow ones between tasks could
        not be read; `mode=per_task`, one merge after each task, is an ablation of ours.
    """

    caveat = (
        "momentum is a transplant here: its head is not the zero-shot text head of the paper, which was re-implemented "
        "from its abstract."
    )

    @dataclass(frozen=True)
    class Options(Wrapper.Options):
        tau: float = option(0.999, "share of the slow weights that stays at each interpolation", ge=0, le=1)
        mode: str = option(
            "per_iteration", "interpolate after every step, after every so many, or once after each task",
            choices=("per_iteration", "per_k", "per_task"),
        )  # fmt: skip
        every: int = option(1, "steps between two interpolations, for mode=per_k (r)", ge=1)
        restart: str = option(
            "none", "what the fast weights start a task from: where they stood, or the slow ones",
            choices=("none", "from_slow"),
        )  # fmt: skip

        def __post_init__(self) -> None:
            if self.every > 1 and self.mode != "per_k":
                raise ValueError(f"every={self.every} is for mode=per_k; mode={self.mode} does not read it.")

    @classmethod
    def check_base(cls, name: str, base: type[Strategy]) -> None:
        super().check_base(name, base)
        if not base.interpolates:
            raise UsageError(
                f"base={name} cannot be interpolated: it predicts with more than trained weights, or does not say "
                "otherwise (interpolates = True); choose a base that fine-tunes, such as finetune."
            )

    def setup(self, info: StreamInfo) -> None:
        self.slow = SlowWeights(self.device)
        self.steps = 0  # of the base, over all tasks
        super().setup(info)

    def learn(self, view: View) -> None:
        if view.task > 0 and self.options.restart == "from_slow":
            self.slow.copy_to(places(self.base))
        super().learn(view)
        if self.options.mode == "per_task":
            self.slow.follow(places(self.base), self.options.tau)

    def before_fit(self, trained: list[nn.Parameter]) -> None:
        self._fast = places(self.base)
        self.slow.enter(self._fast, trained)

    def after_step(self, step: Step) -> None:
        self.steps += 1
        if self.options.mode != "per_task" and self.steps % self.options.every == 0:
            self.slow.follow(self._fast, self.options.tau)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        with self.slow.standing_in(places(self.base)):
            return self.base.predict(inputs, task)
