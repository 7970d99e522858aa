"""The search: its trials are sealed runs, the same after a kill, and blind to the test images."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cl.errors import UsageError
from cl.executors import Outcome
from cl.executors.local import LocalExecutor
from cl.records.record import load
from cl.tuning import tune
from cl.tuning.study import COMPLETE, DIVERGED, PRUNED, STARTUP, Study, Trial
from cl.tuning.tune import Stopped, Tuner, make_tuner, space_of_study, total_of
from tests.help.tuning import OPTIONS, Silent, outcome_of, searched, small_tuner
from tests.running.test_sealing import poison

pytest.importorskip("optuna", reason="needs the extra tune")

KILLED = """
import os, signal, sys
from pathlib import Path
from cl.running import loop
from tests.help.tuning import searched, small_tuner

commits, real = [], loop._commit
def commit(*given):
    real(*given)
    commits.append(1)
    if len(commits) == 2 * 2 + 1:  # trials 0 and 1 are complete; trial 2 has learned its first task
        os.kill(os.getpid(), signal.SIGKILL)
loop._commit = commit
searched(small_tuner(Path(sys.argv[1])), 4)
"""


def records_of(results: Path) -> dict[str, str]:
    """The hash of the result of each run of a trial."""
    return {path.parent.as_posix().partition("/trials/")[2]: load(path)["result_sha256"]
            for path in results.rglob("record.json")}  # fmt: skip


def test_trials_are_sealed_runs_of_the_first_tasks_that_are_never_ranked(tmp_path: Path) -> None:
    trials = searched(small_tuner(tmp_path, seeds=(1, 2)), 2)
    records = [load(path)["result"] for path in sorted(tmp_path.rglob("record.json"))]
    assert len(records) == 4 and all(record["limited"] and record["count"] == [0] * 5 for record in records)
    assert all({row["split"] for row in record["rows"]} == {"val"} for record in records)
    assert all(max(row["task"] for row in record["rows"]) == 1 for record in records)
    for trial in trials:
        assert set(trial.curves) == {"1", "2"} and trial.state == COMPLETE
        last = [record["metrics"]["cil_seen"]["A_last_task"] for folder in trial.costs for record in
                [load(tmp_path / "trials" / folder / "record.json")["result"]]]  # fmt: skip
        assert trial.value == pytest.approx(sum(last) / 2), "the mean over class orders"
    spent = [load(path)["measurement"] for path in tmp_path.rglob("record.json")]
    assert total_of(trials)["flops"] == sum(each["flops"]["uncached"] for each in spent) > 0
    assert total_of([*trials, *trials]) == total_of(trials), "a run that two trials share is paid once"


def test_trials_are_bit_identical_whatever_the_test_images_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for seed in (0, 1, 2):
        if seed:
            poison(monkeypatch, seed)
        trials = searched(small_tuner(tmp_path / str(seed)), 3)
        found.append((outcome_of(trials), records_of(tmp_path / str(seed))))
    assert found[0] == found[1] == found[2] and len(found[0][1]) == 3


def test_a_study_that_was_killed_gives_the_trials_that_it_would_have_given(tmp_path: Path) -> None:
    expected = searched(small_tuner(tmp_path / "whole"), 4)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "cut")]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    states = [load(path)["status"] for path in (tmp_path / "cut").rglob("record.json")]
    assert sorted(states) == ["complete", "complete", "partial"]
    trials = searched(small_tuner(tmp_path / "cut"), 4)
    assert outcome_of(trials) == outcome_of(expected)
    assert records_of(tmp_path / "cut") == records_of(tmp_path / "whole")
    (resumed,) = [path for path in (tmp_path / "cut").rglob("record.json") if load(path)["measurement"]["resumed_from"]]
    assert resumed.parent.relative_to(tmp_path / "cut" / "trials").as_posix() in trials[2].costs


def test_more_trials_continue_and_the_number_at_once_is_part_of_the_study(tmp_path: Path) -> None:
    two = searched(small_tuner(tmp_path), 2)
    four = searched(small_tuner(tmp_path), 4)
    assert outcome_of(four)[:2] == outcome_of(two)
    assert outcome_of(searched(small_tuner(tmp_path), 3)) == outcome_of(four), "there are enough"
    with pytest.raises(UsageError, match="another at_once"):
        searched(small_tuner(tmp_path, at_once=2), 4)


def test_the_method_that_a_wrapper_wraps_is_searched_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {**{f"base.{key}" if "." not in key else key: value for key, value in OPTIONS.items()}, "tau": "0.5"}
    monkeypatch.setenv("CLBENCH_SET", "base=replay base.memory_size=5")
    tuner = small_tuner(tmp_path, strategy="momentum", options=options, searches={})
    assert tuner.space.about() == {"base.lr": "log(0.0001, 0.1)"} and set(tuner.first() or {}) == {"base.lr"}
    trials = searched(tuner, 2)
    configs = [load(path)["result"]["config"] for path in tmp_path.rglob("record.json")]
    tried = {tuner.space.options(trial.plain)["base.lr"] for trial in trials}
    assert {each["base.lr"]["value"] for each in configs} == tried
    assert len(configs) == 2 and {each["base"]["value"] for each in configs} == {"replay"}
    about = tuner.about
    monkeypatch.delenv("CLBENCH_SET")
    assert about["bases"]["base"]["strategy"] == "replay" and "bases" not in small_tuner(tmp_path).about
    assert space_of_study(about) == tuner.space, "a study is shown without its environment"


def test_an_executor_that_does_not_wait_for_its_runs_is_refused(tmp_path: Path) -> None:
    class Detached(LocalExecutor):
        @property
        def detaches(self) -> bool:
            return True

    with pytest.raises(UsageError, match="leave detach out"):
        small_tuner(tmp_path).search(Study(str(tmp_path / "s.journal")), Detached(), 2, Silent())
    assert not (tmp_path / "s.journal").exists() or not Study(str(tmp_path / "s.journal"), readonly=True).trials()


class Pretended(LocalExecutor):
    """Executes nothing: notes the plans, and answers with the outcomes of a function."""

    def execute(self, plans: Any, observer: Any) -> list[Outcome]:
        self.seen.append(list(plans))  # type: ignore[attr-defined]
        return [self.answer(plan) for plan in plans]  # type: ignore[attr-defined]


def pretended(answer: Any) -> Pretended:
    made = Pretended()
    object.__setattr__(made, "answer", answer)
    object.__setattr__(made, "seen", [])
    return made


def test_trials_of_a_batch_are_proposed_together(tmp_path: Path) -> None:
    def stop(plan: Any) -> Outcome:
        return Outcome(plan, error="Interrupted.", exit_code=130)

    study, executor = Study(str(tmp_path / "j")), pretended(stop)
    with pytest.raises(Stopped, match="Interrupted") as stopped:
        small_tuner(tmp_path, at_once=3).search(study, executor, 7, Silent())
    assert stopped.value.exit_code == 130
    with pytest.raises(Stopped):
        small_tuner(tmp_path, at_once=3).search(study, executor, 7, Silent())
    first, again = executor.seen  # type: ignore[attr-defined]
    assert len(first) == 3 and [plan.folder for plan in again] == [plan.folder for plan in first]


def test_a_run_falls_behind_and_the_trial_is_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def levels(trials: Any, *_: Any) -> dict[str, tuple[float, ...]]:
        given.append(len(trials))
        return {"1993": (1.0,) if len(trials) == 1 else ()}

    monkeypatch.setattr(tune, "levels_of", levels)
    trials = searched(small_tuner(tmp_path), 3)
    assert [trial.state for trial in trials] == [COMPLETE, PRUNED, COMPLETE] and given == [0, 1, 2]
    assert len(trials[1].curves["1993"]) == 1 and trials[1].value == trials[1].curves["1993"][0]
    searched(small_tuner(tmp_path / "all", prune=False), 1)
    assert given == [0, 1, 2]


def test_levels_come_from_the_trials(tmp_path: Path) -> None:
    study = Study(str(tmp_path / "j"))
    tuner = small_tuner(tmp_path)
    study.begin(tuner.about)
    for index in range(STARTUP):
        proposal = study.propose(index, tuner.space, 0, {}, None)
        study.tell(proposal, COMPLETE, {"1993": [0.5 + index / 10, 0.5]}, {})
    executor = pretended(lambda plan: Outcome(plan, error="Interrupted.", exit_code=130))
    with pytest.raises(Stopped):
        tuner.search(study, executor, STARTUP + 1, Silent())
    (plan,) = executor.seen[0]  # type: ignore[attr-defined]
    assert plan.stop_below == pytest.approx((0.7,)) and plan.sealed and plan.max_tasks == 2


def test_a_loss_that_is_not_finite_counts_as_accuracy_0_and_other_failures_stop(tmp_path: Path) -> None:
    tuner = small_tuner(tmp_path, searches={"lr": "among(0.01,1e20)"})
    trials = searched(tuner, 6)
    by_lr = {trial.plain["lr"]: trial for trial in trials}
    (cost,) = by_lr[1e20].costs.values()
    assert (by_lr[1e20].state, by_lr[1e20].value, by_lr[0.01].state) == (DIVERGED, 0.0, COMPLETE)
    assert cost["seconds"] > 0 and cost["flops"] > 0, "it is paid too"
    study = Study(str(tmp_path / "other"))
    with pytest.raises(Stopped, match="The disk is full") as stopped:
        tuner.search(study, pretended(lambda plan: Outcome(plan, error="The disk is full.", exit_code=1)), 2, Silent())
    assert stopped.value.exit_code == 1 and study.trials() == []


def test_no_trial_begins_that_would_exceed_the_minutes(tmp_path: Path) -> None:
    def of(*seconds: float) -> list[Trial]:
        return [Trial(i, {}, COMPLETE, 0.5, {}, {f"run{i}": {"flops": 0, "executed": 0, "seconds": s}})
                for i, s in enumerate(seconds)]  # fmt: skip

    assert not tune._spent([], 0.001, 1) and not tune._spent(of(50, 50), None, 1)
    assert not tune._spent(of(20, 19), 1, 1) and tune._spent(of(20, 21), 1, 1)
    assert not tune._spent(of(20), 1, 2) and tune._spent(of(20.1), 1, 2), "two at once"
    assert len(searched(small_tuner(tmp_path), 5, minutes=1e-9)) == 1


def test_the_first_trial_has_the_values_of_the_preset(tmp_path: Path) -> None:
    tuner: Tuner = make_tuner(small_tuner(tmp_path).request)
    usual = tuner.usual[0].values["lr"].value
    on_scale = 1e-3 <= usual <= 1
    assert tuner.first() == ({"lr": usual} if on_scale else None)
    assert small_tuner(tmp_path, searches={"lr": "log(1e-9,1e-8)"}).first() is None
    wide = small_tuner(tmp_path, searches={"lr": "log(1e-9,10)"})
    assert wide.first() == {"lr": usual}
    (trial,) = searched(wide, 1)
    assert trial.plain == {"lr": usual}


def test_what_a_study_is_of_names_it(tmp_path: Path) -> None:
    names = {small_tuner(tmp_path, **more).name for more in (
        {}, {"tasks": 3}, {"seeds": (7,)}, {"searches": {"lr": "log(1e-3,0.5)"}}, {"sampler_seed": 1}, {"at_once": 2},
        {"prune": False}, {"options": {"stream.tasks": "5"}}, {"run": {"precision": "bf16", "device": "cpu"}},
    )}  # fmt: skip
    assert len(names) == 9 and all(name.startswith("finetune-on-split-digits-") for name in names)
    about = json.loads(json.dumps(small_tuner(tmp_path).about))
    assert tune.space_of_study(about) == small_tuner(tmp_path).space
    with pytest.raises(UsageError, match="This study is empty"):
        tune.space_of_study({})
