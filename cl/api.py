"""The Python API: `run` a strategy on a stream, get a result with data frames and the learner."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl.paths import results as results_folder
from cl.plan.plan import load_plan, make_plan
from cl.plan.run_options import with_old_name
from cl.progress.base import Observer
from cl.progress.displays import displayed
from cl.running.execution import execute
from cl.running.result import RunResult
from cl.values import parse_value

if TYPE_CHECKING:
    from cl.results.store import OnBad, Paths, Results


def run(
    strategy: str | None = None,
    stream: str | None = None,
    backbone: str | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    existing: str = "only-missing",
    progress: Observer | str | None = None,
    profile: bool = False,
    **arguments: Any,
) -> RunResult:
    """Run a strategy on a stream and return the result. A complete run is not repeated; an interrupted run continues.

        result = cl.run("slca", "split-digits", seed=7, options={"lr": 0.02, "stream.tasks": 2})
        result.accuracy, result.metrics["cil_seen"]["A_last_sample"], result.learner.predict("photos/")

    `options` maps option keys (`lr`, `stream.tasks`) to values; `settings` is its old name. `arguments` are those of
    `make_plan`: `config_file`, `preset`, `seed`, `order_seed`, `init_seed`, `data_seed`, `limit`, `max_tasks`,
    `sealed`, `stop_below`, `probe`, `probe_last`, `few_shot`, `skip_damaged`, `setting`, `device`, `precision`,
    `compile`, `results`, `checkpoint_every`, `save_learner`, `save_every_task`, `save_scores`, `loggers`; `from_run`
    and `from_task` go on from the learner of another run, whose strategy, backbone and options they keep. One call is
    one run; `clbench run` makes grids.

    `existing`: "only-missing", "always" (start over) or "never" (refuse). "skip-running" is the same as "only-missing"
    here: a single run cannot be skipped, so `cl.errors.RunInUse` is raised if another process is executing it.
    `progress` is "auto", "rich", "plain", "none" or an object with the methods of `cl.progress.Observer`; by default a
    notebook shows one line per run and a script shows nothing. `profile` measures where the time goes
    (`RunResult.profile`). Raises `ClbenchError`.
    """
    plan = make_plan(strategy, stream, backbone, options=with_old_name(options, settings), **arguments)
    with displayed(progress, plan.title) as show:
        return execute(plan, existing=existing, progress=show, profile=profile)


def resume(folder: str | os.PathLike[str], *, progress: Observer | str | None = None) -> RunResult:
    """Continue the run in `folder` with its own configuration; a complete run is returned without work.

    `progress` is as for `run`. Raises `ClbenchError`.
    """
    plan = load_plan(parse_value(Path, folder, "The folder of a run"))
    with displayed(progress, plan.title) as show:
        return execute(plan, progress=show)


def load_results(paths: Paths | None = None, *, on_bad: OnBad = "warn") -> Results:
    """Read every record below the given folders (default: the results folder) into data frames, without torch.

        results = cl.load_results("results").filter(stream="split-digits")
        results.runs                  # one row per run: names, seeds, costs, and "<rule>/<metric>" as fractions
        results.metrics               # the same metrics in long form: run, strategy, rule, metric, value
        results.accuracy              # one row per (run, rule, evaluation, group)
        results.leaderboard()         # seeds averaged, with intervals and ranks
        results.left_out              # records that could not be read: (path, reason)

    `on_bad`: what to do about a record that is damaged, edited, unreadable or of a newer clbench. "warn" leaves it out
    with a warning, "skip" without, and "error" raises `DataError` or `UsageError`. Raises `UsageError` for a path that
    does not exist.
    """
    from cl.results.store import load_results as load

    return load(paths if paths is not None else results_folder(), on_bad=on_bad)
