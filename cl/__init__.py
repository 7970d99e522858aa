"""clbench: continual learning with pre-trained models, from one strategy file to a leaderboard.

Importing `cl` is cheap: the names below are imported on first use, and torch is not loaded before that.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cl.paths import CHECKOUT

if CHECKOUT is not None:
    # strategies/ and streams/ are next to cl/ in the repository and inside it in a wheel.
    __path__.append(str(CHECKOUT))

_HOMES = {
    "ClassIncremental": "cl.settings.class_incremental",
    "ClbenchError": "cl.errors",
    "Family": "cl.family",
    "Logger": "cl.loggers",
    "MetricPlugin": "cl.records.plugin_metrics",
    "Plan": "cl.plan",
    "RunResult": "cl.running.result",
    "Strategy": "cl.strategy",
    "Stream": "cl.stream",
    "load_learner": "cl.running.build",
    "load_results": "cl.api",
    "make_plan": "cl.plan",
    "nested": "cl.options",
    "option": "cl.options",
    "resume": "cl.api",
    "run": "cl.api",
    "to_avalanche": "cl.avalanche.benchmark",
}

if TYPE_CHECKING:
    from cl import registry
    from cl.api import load_results, resume, run
    from cl.avalanche.benchmark import to_avalanche
    from cl.errors import ClbenchError
    from cl.family import Family
    from cl.loggers import Logger
    from cl.options import nested, option
    from cl.plan.plan import Plan, make_plan
    from cl.records.plugin_metrics import MetricPlugin
    from cl.running.build import load_learner
    from cl.running.result import RunResult
    from cl.settings.class_incremental import ClassIncremental
    from cl.strategy import Strategy
    from cl.stream import Stream

    __version__: str

__all__ = [
    "ClassIncremental",
    "ClbenchError",
    "Family",
    "Logger",
    "MetricPlugin",
    "Plan",
    "RunResult",
    "Strategy",
    "Stream",
    "__version__",
    "load_learner",
    "load_results",
    "make_plan",
    "nested",
    "option",
    "registry",
    "resume",
    "run",
    "to_avalanche",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from cl.registry import own_version

        value: Any = own_version()
    elif name == "registry":
        value = importlib.import_module("cl.registry")
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'cl' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
