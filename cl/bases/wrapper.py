"""Wrappers: strategies around any other strategy, called at every step of its training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from cl import registry
from cl.protocol import TaskSize, Work
from cl.strategy import Extractor, Inputs, Needs, Step, Strategy, StreamInfo, UsageError, View, nested, option
from cl.training.fit import FitSpec, Learner
from cl.training.trainer import Trainer


class Wrapper(Strategy):
    """A strategy around `self.base`; by default it behaves exactly like its base.

    The base shares the wrapper's backbone, and its state is part of the wrapper's state. The base may be a wrapper too.
    Subclasses override what they change: `learn`, `predict`, and the hooks into every `fit` of the base.
    """

    @dataclass(frozen=True)
    class Options:
        base: str = option("finetune", "the wrapped strategy")
        base_options: Mapping[str, Any] = nested("base", "options of the wrapped strategy")

    # The base's state contains the backbone already
    _NOT_STATE: ClassVar[frozenset[str]] = Strategy._NOT_STATE | {"backbone"}

    @classmethod
    def check_base(cls, name: str, base: type[Strategy]) -> None:
        """Raise `UsageError` if this wrapper cannot wrap that strategy; called before anything is built."""
        needs = []
        if base.access != cls.access:
            needs.append("earlier training images" if base.access == "past" else f"access {base.access!r}")
        if base.val_fraction > cls.val_fraction:
            needs.append("validation images")
        needs += [f"the prediction rule {base.rules[0]}"] if not set(cls.rules) <= set(base.rules) else []
        if needs:
            raise UsageError(
                f"base={name} needs {' and '.join(needs)}, which {cls.__name__} cannot give it; choose another base."
            )

    @classmethod
    def needs(cls, options: Any) -> Needs:
        """The needs of the base."""
        base: type[Strategy] = registry.strategies.get(options.base)
        return base.needs(base.Options(**options.base_options))

    @classmethod
    def work(cls, options: Any, task: TaskSize) -> Work:
        """The work of the base."""
        base: type[Strategy] = registry.strategies.get(options.base)
        return base.work(base.Options(**options.base_options), task)

    def setup(self, info: StreamInfo) -> None:
        method = registry.strategies.get(self.options.base)
        self.check_base(self.options.base, method)
        options = method.Options(**self.options.base_options)
        self.base: Strategy = method(options, self.backbone, cast(Trainer, HookedTrainer(self)))
        self.base.info = info
        self.base.setup(info)

    def learn(self, view: View) -> None:
        self.base.learn(view)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self.base.predict(inputs, task)

    def extractor(self) -> Extractor:
        return self.base.extractor()

    @property
    def ready(self) -> bool:
        return self.base.ready

    # -------------------------------------------------------------------------------------------------------- hooks

    def before_fit(self, trained: list[nn.Parameter]) -> None:
        """Called when the base begins a `fit`, or resumes it after a kill, with the parameters it will train."""

    def before_step(self, step: Step) -> None:
        """Called between backward and the optimiser's step, after the base's own hook."""

    def after_step(self, step: Step) -> None:
        """Called after the optimiser's step and the base's own hook."""


class HookedTrainer:
    """The trainer of a wrapper's base: the run's trainer, but it journals the wrapper's state and calls its hooks.

    All other attributes are those of the run's trainer.
    """

    def __init__(self, outer: Wrapper) -> None:
        self._outer, self._trainer = outer, outer.trainer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer, name)

    def compute(self, strategy: Learner, name: str, call: Callable[[], Any], *, count: bool = True) -> Any:
        """As `Trainer.compute`."""
        return self._trainer.compute(self._outer, name, call, count=count)

    def fit(self, strategy: Learner, phase: str, spec: FitSpec) -> dict[str, Any]:
        """As `Trainer.fit`, with the wrapper's hooks after those of the base."""
        self._outer.before_fit(spec.trained)
        hooked = replace(
            spec,
            before_step=_both(spec.before_step, self._outer.before_step),
            after_step=_both(spec.after_step, self._outer.after_step),
        )
        return self._trainer.fit(self._outer, phase, hooked)


def _both(first: Callable[[Step], None] | None, second: Callable[[Step], None]) -> Callable[[Step], None]:
    if first is None:
        return second

    def call(step: Step) -> None:
        first(step)
        second(step)

    return call
