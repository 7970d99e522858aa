"""The Python API: `run` a strategy on a stream, get a result with data frames and the learner."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl.paths import results as results_folder
from cl.plan.plan import load_plan, make_plan
from cl.progress.base import Observer
from cl.progress.displays import displayed
from cl.running.execution import execute
from cl.running.result import RunResult

if TYPE_CHECKING:
    from cl.results.store import Paths, Results


def run(strategy: str | None = None, stream: str | None = None, **arguments: Any) -> RunResult:
    """Run a strategy on a stream and return the result; a complete run is not repeated, an interrupted one continues.

        result = cl.run("slca", "split-digits", seed=7, settings={"lr": 0.02, "stream.tasks": 2})
        result.accuracy, result.metrics["cil_seen"]["A_last_sample"], result.learner.predict_images(pixels)

    Takes what `make_plan` takes (`seed`, `settings`, `backbone`, `limit`, `device`, `results`, `save_learner`, ...) and
    `existing`: "only-missing", "always" (start over) or "never". `progress` is "auto", "rich", "plain", "none" or an
    object with the methods of `cl.progress.Observer`; by default a notebook shows one line per run, anything else
    nothing. Raises `ClbenchError`.
    """
    existing = arguments.pop("existing", "only-missing")
    progress = arguments.pop("progress", None)
    plan = make_plan(strategy, stream, **arguments)
    with displayed(progress, plan.title) as show:
        return execute(plan, existing=existing, progress=show)


def resume(folder: str | os.PathLike[str], *, progress: Observer | str | None = None) -> RunResult:
    """Continue the run in `folder` as it was configured; a complete one is returned as it is.

    `progress` is that of `run`. Raises `ClbenchError`.
    """
    plan = load_plan(Path(folder))
    with displayed(progress, plan.title) as show:
        return execute(plan, progress=show)


def load_results(paths: Paths | None = None) -> Results:
    """Read every record under folders (by default where results go) into data frames, without importing torch.

        results = cl.load_results("results").filter(stream="split-digits")
        results.runs                  # one row per run: names, seeds, costs, and "<rule>/<metric>" as fractions
        results.metrics               # the same metrics in long form: run, strategy, rule, metric, value
        results.accuracy              # one row per (run, rule, evaluation, group)
        results.leaderboard()         # seeds averaged, with intervals and ranks

    Raises `UsageError` for a path that does not exist, `DataError` for a damaged record.
    """
    from cl.results.store import load_results as load

    return load(paths if paths is not None else results_folder())
