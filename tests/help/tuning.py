"""A tiny study: fine-tuning two tasks of digits, a second per trial."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from cl.executors import Outcome
from cl.executors.local import LocalExecutor
from cl.plan.plan import Plan
from cl.progress.base import Observer
from cl.tuning.study import Study, Trial
from cl.tuning.tune import Request, Tuner, make_tuner

OPTIONS = {"stream.tasks": "5", "stream.train_per_class": "10", "epochs": "1", "batch_size": "8"}


class Silent:
    """An observer of a grid that shows nothing."""

    def started(self, plan: Plan, index: int, total: int) -> None: ...

    def progress(self, plan: Plan) -> Any:
        return nullcontext(Observer())

    def line(self, plan: Plan, text: str) -> None: ...

    def finished(self, outcome: Outcome) -> None: ...


def small_tuner(results: Path, **more: Any) -> Tuner:
    given: dict[str, Any] = {
        "strategy": "finetune", "stream": "split-digits", "backbone": "test_vit@random", "options": OPTIONS,
        "searches": {"lr": "log(1e-3,1)"}, "tasks": 2, "results": results, "run": {"device": "cpu"},
    }  # fmt: skip
    return make_tuner(Request(**given | more))


def searched(tuner: Tuner, trials: int, jobs: int = 1, **more: Any) -> list[Trial]:
    """The trials of a study in the results folder, run until there are so many."""
    study = Study(str(tuner.request.results / "study.journal"))
    try:
        return tuner.search(study, LocalExecutor(jobs=jobs, threads=1), trials, Silent(), **more)
    finally:
        study.close()


def outcome_of(trials: list[Trial]) -> list[Any]:
    """What must be equal of two studies: all but times."""
    return [(t.index, dict(t.plain), t.state, t.value, dict(t.curves), sorted(t.costs)) for t in trials]
