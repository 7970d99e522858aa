"""Momentum interpolation: a wrapper for methods that fine-tune, which predicts with moving averages of the weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from cl.bases.wrapper import Wrapper
from cl.parts.weights import Lent, SlowWeights, places
from cl.strategy import Inputs, Step, Strategy, StreamInfo, TaskSize, UsageError, View, Work, option, scales


class Momentum(Wrapper):
    """Slow weights: moving averages of a base strategy's weights, updated at every step and used for prediction.

    Name: Momentum
    Paper: Stojanovski, Roth, Akata. Momentum-based Weight Interpolation of Strong Zero-Shot Models for Continual
        Learning. INTERPOLATE workshop at NeurIPS 2022, arXiv 2211.03186; implemented from its abstract and a summary.
    Family: merging
    Networks: vit, cnn, mlp, clip, random
    Gradients: whole
    Trains: the parameters that the base trains (the fast weights), as the base does; slow weights get no gradients.
    Stores: a second copy of all trained parameters, in float32, in addition to what the base stores.
    Cost: one interpolation per training step, one forward pass per test image.
    Differences from the paper: a transplant. The paper starts from CLIP with its zero-shot text head: that is
        `base=zero-shot` with `base.trains=all` on a CLIP. Other backbones have no text tower, so the base's head is
        used, which is drawn at random and grows with the tasks. New rows are copied to the slow weights. The paper's
        tau and learning rates were not available to us, nor whether fast weights restart from slow ones between
        tasks. `mode=per_task`, one merge after each task, is our ablation.
    """

    caveat = (
        "momentum was re-implemented from its abstract, and is a transplant here: the paper starts from the zero-shot "
        "text head of a CLIP, which only base=zero-shot has."
    )

    @dataclass(frozen=True)
    class Options(Wrapper.Options):
        tau: float = option(
            0.999, "weight of the old slow weights in each interpolation", ge=0, le=1,
            search=scales.among(0.9, 0.957, 0.97, 0.98, 0.987, 0.99, 0.995, 0.999, 0.9995, 0.9999),
        )  # fmt: skip
        mode: str = option(
            "per_iteration", "interpolate after every step, after every `every` steps, or once after each task",
            choices=("per_iteration", "per_k", "per_task"),
        )  # fmt: skip
        every: int = option(1, "steps between interpolations for mode=per_k (r)", ge=1)
        restart: str = option(
            "none", "initial fast weights of a task: those after the previous task, or the slow weights",
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

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        return replace(super().work(options, task), networks=1)

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

    def extractor(self) -> Lent:
        slow = self.slow.get_state().items()
        inside = "backbone.model."
        lent = Lent(self.backbone, {name.removeprefix(inside): x for name, x in slow if name.startswith(inside)})
        lent.lasting = False  # slow weights move with every step
        return lent
