"""Loggers, such as TensorBoard, Weights & Biases and MLflow, receive losses and accuracies during a run.

A logger is a class registered in the entry-point group `clbench.loggers`. Choose it with `--logger NAME`,
`cl.run(loggers=...)`, `CLBENCH_LOGGER` or `loggers` in the [run] table of a config file. A logger cannot break a run:
an exception switches it off with one warning, and it cannot change the random numbers of the run. So the result is the
same with, without and with a broken logger, and loggers are not part of a run's identity.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from cl import registry
from cl.errors import UsageError

NONE = "none"
"""`--logger none`: no logger, even if the environment or a config file names one."""

FAILURES = (Exception, SystemExit)
"""Exceptions of a logger that do not end the run; Ctrl-C does."""


class Logger:
    """Receives the reports of a run; a subclass overrides the methods it needs.

    Created without arguments. A resumed run may report a number a second time, with the same name, step and value.
    """

    requires: ClassVar[Mapping[str, str]] = {}
    """Modules that it imports in `start`, each with the name to `pip install`; checked before a run starts."""

    def start(self, run: Mapping[str, Any]) -> None:
        """A run starts or resumes.

        `run` has `folder` and `results` (paths: of this run, and of all runs), `title`, `strategy`, `stream`,
        `backbone`, `seeds` (a mapping) and `options` (key to value). A logger that keeps files puts them into `folder`,
        which is emptied when a run starts over.
        """

    def scalar(self, name: str, value: float, step: int) -> None:
        """One number.

        `loss/task 0/PHASE`: `step` is the step within the phase; long phases report about 200 losses.
        `accuracy/RULE/GROUP` and `metrics/RULE/METRIC` are fractions; `step` is the number of experiences learned.
        """

    def evaluated(self, record: Mapping[str, Any]) -> None:
        """The run was evaluated: a copy of its record so far."""

    def close(self, status: str) -> None:
        """The run ended: complete, failed or interrupted."""


def described(run: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a run that `Logger.start` gets, as one flat table for its logger's columns."""
    about = {key: run[key] for key in ("strategy", "stream", "backbone")}
    return {**about, **{f"seed.{name}": seed for name, seed in run["seeds"].items()}, **run["options"]}


def check(names: Iterable[str]) -> tuple[str, ...]:
    """The requested loggers without duplicates.

    Raises `UsageError` for an unknown name, or for a logger whose package is not installed. Other failures of a logger
    appear during the run, which continues without it.
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
