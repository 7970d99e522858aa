"""The search: proposals become runs, an executor executes them, and their accuracies go back to the study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cl import registry
from cl.errors import ClbenchError, NonFiniteLoss, UsageError, counted
from cl.executors import Executor, GridObserver, Outcome
from cl.plan.plan import Plan, make_plan, safe_name
from cl.records.record import RECORD, load
from cl.running.sealing import accuracies, falls_below
from cl.tuning.space import Space, bases_of, space_of
from cl.tuning.study import COMPLETE, DIVERGED, PRUNED, Proposal, Study, Trial, levels_of

TRIALS, FOLDER = "trials", "tune"
"""Folders in the results folder: the runs of trials, and studies with their results."""


class Stopped(ClbenchError):
    """A run of a trial was interrupted or failed; the same command continues the study."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.error or outcome.skipped)
        self.exit_code = outcome.exit_code or 1


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is tuned, and how: `options` are fixed, `searches` are scales as text, `seeds` those of the runs of a trial.

    `tasks` is how many tasks are learned. `at_once` trials are proposed together, before any of them has ended.
    `prune`: whether a run ends after a task at which it is below the median. `run`: other options of the runs.
    """

    strategy: str
    stream: str
    backbone: str | None = None
    preset: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    searches: Mapping[str, str] = field(default_factory=dict)
    seeds: Sequence[int] = (1993,)
    tasks: int = 3
    prune: bool = True
    sampler_seed: int = 0
    at_once: int = 1
    results: Path
    run: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tuner:
    """A request that was checked: its scales, and the plans of the values that it has without any search."""

    request: Request
    space: Space
    usual: tuple[Plan, ...]

    def plans(self, proposal: Proposal) -> list[Plan]:
        """The runs of a proposal, one per seed."""
        values = self.space.options(proposal.plain)
        return [_plan(self.request, seed, values, proposal.levels.get(str(seed), ())) for seed in self.request.seeds]

    @property
    def about(self) -> dict[str, Any]:
        """All that the result of a trial depends on: what a study is of."""
        r, usual = self.request, self.usual[0]
        return {
            "strategy": r.strategy, "stream": r.stream, "backbone": usual.backbone, "preset": r.preset,
            "configuration": usual.config_hash, "code": registry.strategies.source_sha256(r.strategy),
            "options": dict(r.options), "search": self.space.about(), "tasks": r.tasks, "seeds": list(r.seeds),
            "prune": r.prune, "sampler_seed": r.sampler_seed, "at_once": r.at_once, **self._wrapped(),
        }  # fmt: skip

    def _wrapped(self) -> dict[str, Any]:
        """The methods that a wrapper wraps and their code; nothing of other methods."""
        found = _bases(self.request, self.usual[0]).items()
        bases = {key: {"strategy": name, "code": registry.strategies.source_sha256(name)} for key, name in found}
        return {"bases": bases} if bases else {}

    @property
    def name(self) -> str:
        """A name for the study: two different studies have different names."""
        import hashlib
        import json

        digest = hashlib.sha256(json.dumps(self.about, sort_keys=True).encode()).hexdigest()[:8]
        return safe_name(f"{self.request.strategy}-on-{self.request.stream}-{digest}")

    def first(self) -> dict[str, Any] | None:
        """The values of the preset, which trial 0 tries; None if one of them is not on its scale."""
        return self.space.plain({key: each.value for key, each in self.usual[0].values.items()})

    def search(
        self, study: Study, executor: Executor, trials: int, observer: GridObserver, *,
        minutes: float | None = None, ended: Callable[[Trial], None] = lambda trial: None,
    ) -> list[Trial]:  # fmt: skip
        """Run trials until there are `trials`, or the next would probably exceed `minutes` of all runs together.

        Raises `Stopped` if a run is interrupted or fails, other than by a loss that is not finite, and `UsageError` for
        an executor that does not wait for its runs.
        """
        if executor.detaches:
            raise UsageError("The next trials depend on how these end; leave detach out of the executor's options.")
        study.begin(self.about)
        r = self.request
        while len(done := study.trials()) < trials and not _spent(done, minutes, r.at_once):
            start = len(done)
            indices = range(start, min((start // r.at_once + 1) * r.at_once, trials))
            levels = levels_of(done, r.seeds, r.tasks) if r.prune else {}
            proposals = [study.propose(i, self.space, r.sampler_seed, levels, self.first()) for i in indices]
            plans = {plan.folder: plan for proposal in proposals for plan in self.plans(proposal)}
            outcomes = {each.plan.folder: each for each in executor.execute(list(plans.values()), observer)}
            for folder, plan in plans.items():
                _check(outcomes.get(folder) or Outcome(plan, error="Interrupted.", exit_code=130))
            for proposal in proposals:
                study.tell(proposal, *self._measured(self.plans(proposal), outcomes))
                ended(study.trials()[-1])
        return study.trials()

    def _measured(
        self, plans: Sequence[Plan], outcomes: Mapping[Path, Outcome]
    ) -> tuple[str, dict[str, list[float]], dict[str, dict[str, float]]]:
        """State, accuracies by seed, and costs by folder of the runs of a trial."""
        state, curves, costs = COMPLETE, {}, {}
        for seed, plan in zip(self.request.seeds, plans, strict=True):
            result = outcomes[plan.folder].result
            record = result.record if result is not None else load(plan.folder / RECORD)
            found = accuracies(record)
            curves[str(seed)] = [found[task] for task in sorted(found)]
            if result is None:
                state = DIVERGED
            elif not found:
                raise UsageError(
                    f"{plan.title} predicts nothing after {counted(self.request.tasks, 'task')}; raise --tasks."
                )
            elif state == COMPLETE and falls_below(plan.stop_below)(record):
                state = PRUNED
            measured = record["measurement"]
            costs[plan.folder.relative_to(plan.results).as_posix()] = {
                "flops": float(measured["flops"]["uncached"]), "executed": float(measured["flops"]["executed"]),
                "seconds": _seconds(measured["seconds"]),
            }  # fmt: skip
        return state, curves, costs


def make_tuner(request: Request) -> Tuner:
    """Check a request; raises `UsageError` for names, options and scales, as `make_plan`, before anything runs."""
    r, usual = request, tuple(_plan(request, seed, {}, ()) for seed in request.seeds)
    space = space_of(r.strategy, r.stream, searches=r.searches, options=r.options, bases=_bases(r, usual[0]))
    return Tuner(request, space, usual)


def total_of(trials: Sequence[Trial]) -> dict[str, float]:
    """FLOPs, executed FLOPs and seconds of all runs of all trials; a run that two trials share counts once."""
    runs = {folder: cost for trial in trials for folder, cost in trial.costs.items()}
    return {key: sum(cost[key] for cost in runs.values()) for key in ("flops", "executed", "seconds")}


def _plan(request: Request, seed: int, values: Mapping[str, Any], levels: Sequence[float]) -> Plan:
    r = request
    return make_plan(
        r.strategy, r.stream, r.backbone, options={**r.options, **values}, origin="tune", preset=r.preset, seed=seed,
        max_tasks=r.tasks, sealed=True, stop_below=tuple(levels) or None, results=r.results / TRIALS, **r.run,
    )  # fmt: skip


def _bases(request: Request, usual: Plan) -> dict[str, str]:
    return bases_of(request.strategy, {key: each.value for key, each in usual.values.items()})


def _seconds(measured: Mapping[str, float]) -> float:
    """The time of a run; a task that ended by a loss that was not finite is in no event, so not in the total."""
    return float(max(measured["total"], measured["train"] + measured["eval"]))


def _spent(done: Sequence[Trial], minutes: float | None, at_once: int) -> bool:
    """Whether the next trials would probably exceed the budget: they take as long as the longest one so far."""
    if minutes is None or not done:
        return False
    longest = max(sum(cost["seconds"] for cost in trial.costs.values()) for trial in done)
    return total_of(done)["seconds"] + at_once * longest > 60 * minutes


def _check(outcome: Outcome) -> None:
    if outcome.result is None and outcome.exit_code != NonFiniteLoss.exit_code:
        raise Stopped(outcome)


def space_of_study(about: Mapping[str, Any]) -> Space:
    """The scales of a study that is shown; raises `UsageError` if the study is empty."""
    if not about:
        raise UsageError("This study is empty; clbench tune start fills it.")
    searches = {key: text for key, text in about["search"].items()}
    options = {key: text for key, text in about["options"].items()}
    bases = {key: each["strategy"] for key, each in about.get("bases", {}).items()}
    every = space_of(about["strategy"], about["stream"], searches=searches, options=options, bases=bases)
    return Space({key: every.scales[key] for key in searches})
