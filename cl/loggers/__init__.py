"""Loggers: where a run reports losses and accuracies while it goes on, such as TensorBoard.

A logger is a class registered under the entry-point group `clbench.loggers` and asked for with `--logger NAME`,
`cl.run(loggers=...)`, `CLBENCH_LOGGER` or `loggers` in the [run] table of a config file. It observes and can never
break a run: whatever it raises switches it off with one warning, and the random numbers of the run are kept from it.
So the result is the same with, without and with a broken logger, and its name is no part of a run's identity.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from cl import registry
from cl.errors import UsageError

NONE = "none"
"""`--logger none`: no logger, whatever the environment or a config file asks for."""

FAILURES = (Exception, SystemExit)
"""What a logger may raise without ending the run; Ctrl-C still does."""


class Logger:
    """Receives what a run reports; a subclass overrides what it needs.

    Created without arguments. What a run reports twice, because it was stopped and goes on, has the same name, step and
    value both times.
    """

    requires: ClassVar[Mapping[str, str]] = {}
    """Modules that it imports when it starts, each with what to `pip install` for it; checked before a run starts."""

    def start(self, run: Mapping[str, Any]) -> None:
        """A run begins or goes on: `folder`, `title`, `strategy`, `stream`, `backbone`, `seeds`, `options`."""

    def scalar(self, name: str, value: float, step: int) -> None:
        """One number.

        `loss/task 0/PHASE` at the step within that phase (of long phases about 200 of the losses);
        `accuracy/RULE/GROUP` and `metrics/RULE/METRIC`, fractions, at the number of experiences learned.
        """

    def evaluated(self, record: Mapping[str, Any]) -> None:
        """The run was evaluated: a copy of its record so far."""

    def close(self, status: str) -> None:
        """The run ended: complete, failed or interrupted."""


def check(names: Iterable[str]) -> tuple[str, ...]:
    """The loggers asked for, each once.

    Raises `UsageError` for an unknown name, or a logger whose package is not installed. Whatever else is wrong with one
    is left to the run, which goes on without it.
    """
    chosen = tuple(dict.fromkeys(names))
    if NONE in chosen:
        return ()
    for name in chosen:
        registry.loggers.entry(name)
        try:
            needed = dict(registry.loggers.get(name).requires)
        except FAILURES as error:
            if isinstance(error.__cause__, ModuleNotFoundError):
                raise UsageError(f"{error} Install that, or leave --logger {name} out.") from error
            continue
        for module, package in needed.items():
            if importlib.util.find_spec(module) is None:
                raise UsageError(f"Logger '{name}' needs the package {module}: pip install '{package}'.")
    return chosen
