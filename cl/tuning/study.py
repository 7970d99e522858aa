"""A study of Optuna on disk: what was proposed and how it ended, resumable at any moment.

The values of trial n depend on the finished trials, on n and on the seed of the sampler, never on the time. A trial
that was interrupted is proposed again with the same values. One process at a time writes a study.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cl.errors import DataError, RunInUse, UsageError
from cl.files import make_folder, storage_error
from cl.tuning.space import Space

NAME = "clbench"
STARTUP = 5
"""Trials at random before the sampler models what the others found; as many must have reached a task to prune there."""

COMPLETE, PRUNED, DIVERGED = "complete", "pruned", "diverged"
_LEVEL_DIGITS = 6


@dataclass(frozen=True)
class Proposal:
    """A choice of values that is to be tried: `levels` are, by seed, the accuracies below which its run ends."""

    index: int
    plain: Mapping[str, Any]
    levels: Mapping[str, Sequence[float]]
    _trial: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Trial:
    """A finished trial: `value` is its accuracy, that of the last task it reached if it was pruned, 0 if it diverged.

    `curves` hold, by seed, the accuracy after each task; `costs`, by the folder of its runs, FLOPs and seconds.
    """

    index: int
    plain: Mapping[str, Any]
    state: str
    value: float
    curves: Mapping[str, Sequence[float]]
    costs: Mapping[str, Mapping[str, float]]


class Study:
    """A study in a journal file (a path) or in a database (a URL such as sqlite:///study.db)."""

    def __init__(self, where: str, *, readonly: bool = False) -> None:
        """Open or create it; raises `UsageError` if Optuna is missing or `readonly` and there is none."""
        optuna = _optuna()
        self.where, self._lock = where, None
        if readonly and "://" not in where and not Path(where).is_file():
            raise UsageError(f"There is no study {where}.")
        try:
            if "://" in where:
                storage: Any = optuna.storages.RDBStorage(where)
            else:
                make_folder(Path(where).parent)
                if not readonly:
                    self._lock = _locked(Path(where))
                    _mend(Path(where))
                backend = optuna.storages.journal.JournalFileBackend(where)
                storage = optuna.storages.JournalStorage(backend)
            self._study = optuna.create_study(
                storage=storage, study_name=NAME, direction="maximize", load_if_exists=True,
                sampler=optuna.samplers.RandomSampler(0),
            )  # fmt: skip
        except OSError as error:
            raise storage_error(Path(where), error) from error
        except ImportError as error:
            raise UsageError(
                f"{where} needs a package that is not installed ({error}); give a journal file."
            ) from error
        except (ValueError, KeyError) as error:
            raise DataError(f"{where} is no study, or a damaged one ({error}); choose another --study.") from error

    def close(self) -> None:
        """Let other processes write the study."""
        if self._lock is not None:
            self._lock.release()

    @property
    def about(self) -> dict[str, Any]:
        """What is tuned, as `begin` has written it; empty for a new study."""
        return dict(self._study.user_attrs.get("about", {}))

    def begin(self, about: Mapping[str, Any]) -> None:
        """Start or continue; raises `UsageError` if the study is one of something else."""
        for trial in self._study.get_trials(deepcopy=False):  # only this process writes: their processes have ended
            if not trial.state.is_finished():
                self._study.tell(trial.number, state=_optuna().trial.TrialState.FAIL)
        if not self.about:
            self._study.set_user_attr("about", dict(about))
        then = self.about
        other = [key for key in {**then, **about} if then.get(key) != about.get(key)]
        if other:
            key = other[0]
            raise UsageError(
                f"{self.where} is a study with another {key} ({then.get(key)}, now {about.get(key)}); choose another "
                "--study."
            )

    def trials(self) -> list[Trial]:
        """The finished trials by index."""
        states = _optuna().trial.TrialState
        ended = self._study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED))
        return sorted(map(_finished, ended), key=lambda trial: trial.index)

    def propose(
        self,
        index: int,
        space: Space,
        seed: int,
        levels: Mapping[str, Sequence[float]],
        first: Mapping[str, Any] | None,
    ) -> Proposal:
        """The values of a trial; `first` are those of trial 0, if given. An interrupted trial keeps its own."""
        before = self._interrupted(index)
        if before is not None:
            levels = before.user_attrs["levels"]
        fixed = before.params if before is not None else (first or {}) if index == 0 else {}
        with _quiet():
            self._study.sampler = _sampler(fixed, int(np.random.SeedSequence([seed, index]).generate_state(1)[0]))
            trial = self._study.ask(space.distributions())
        trial.set_user_attr("levels", {key: list(each) for key, each in levels.items()})
        trial.set_user_attr("index", index)  # last: from here on the proposal is whole
        return Proposal(index, dict(trial.params), levels, trial)

    def tell(
        self, proposal: Proposal, state: str, curves: Mapping[str, Sequence[float]],
        costs: Mapping[str, Mapping[str, float]],
    ) -> None:  # fmt: skip
        """Note how a trial ended; the value is the mean over seeds of the last accuracies."""
        trial, states = proposal._trial, _optuna().trial.TrialState
        for step in range(min((len(curve) for curve in curves.values()), default=0)):
            trial.report(float(np.mean([curve[step] for curve in curves.values()])), step)
        value = 0.0 if state == DIVERGED else float(np.mean([curve[-1] for curve in curves.values()]))
        trial.set_user_attr("ended", [state, value])
        trial.set_user_attr("costs", {key: dict(each) for key, each in costs.items()})
        trial.set_user_attr("curves", {key: list(each) for key, each in curves.items()})
        if state == PRUNED:
            self._study.tell(trial, state=states.PRUNED)
        else:
            self._study.tell(trial, value)

    def importances(self) -> dict[str, float]:
        """The share of each option in the variance of the value over complete trials (fANOVA); empty if not known."""
        if len({trial.value for trial in self.trials() if trial.state == COMPLETE}) < 2:
            return {}
        optuna = _optuna()
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        with _quiet():
            return dict(optuna.importance.get_param_importances(self._study, evaluator=evaluator))

    def digest(self) -> str:
        """Eight hex digits over what is tuned and all trials."""
        trials = [[t.index, dict(t.plain), t.state, t.value] for t in self.trials()]
        return hashlib.sha256(json.dumps([self.about, trials], sort_keys=True).encode()).hexdigest()[:8]

    def _interrupted(self, index: int) -> Any:
        """The last unfinished trial of an index whose proposal was whole; None without one."""
        found = [
            each
            for each in self._study.get_trials(deepcopy=False)
            if each.user_attrs.get("index") == index and each.state == _optuna().trial.TrialState.FAIL
        ]
        return found[-1] if found else None


def levels_of(trials: Sequence[Trial], seeds: Sequence[int], tasks: int) -> dict[str, tuple[float, ...]]:
    """By seed: the median accuracy after each task but the last, over the trials that reached it, if `STARTUP` did.

    Optuna's MedianPruner compares the best value so far with the median. Accuracy falls from task to task, so it would
    hardly prune; here the accuracy after a task is compared with the others' after this task.
    """
    found = {}
    for seed in map(str, seeds):
        curves = [trial.curves[seed] for trial in trials if seed in trial.curves]
        reached = [[curve[task] for curve in curves if len(curve) > task] for task in range(tasks - 1)]
        medians = [float(np.median(values)) for values in reached if len(values) >= STARTUP]
        scale = 10**_LEVEL_DIGITS
        found[seed] = tuple(float(np.floor(median * scale) / scale) for median in medians)
    return found


def _finished(trial: Any) -> Trial:
    state, value = trial.user_attrs["ended"]
    about = trial.user_attrs
    return Trial(about["index"], dict(trial.params), state, value, about["curves"], about["costs"])


def _sampler(fixed: Mapping[str, Any], seed: int) -> Any:
    samplers = _optuna().samplers
    base = samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=True)
    return samplers.PartialFixedSampler(dict(fixed), base) if fixed else base


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise UsageError("clbench tune needs Optuna: pip install 'clbench[tune]'.") from error
    import optuna.storages.journal

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings that a sampler or an evaluator is experimental in some versions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _locked(path: Path) -> Any:
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name(path.name + ".in-use"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunInUse(
            f"Another process is writing the study {path}; wait for it, or choose another --study."
        ) from None
    return lock


def _mend(path: Path) -> None:
    """Drop what a killed process has left: its lock of the journal, and a line that it did not finish."""
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    if not path.is_file():
        return
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        with open(path, "r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
