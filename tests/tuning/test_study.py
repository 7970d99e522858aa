"""A study on disk: proposals depend on finished trials alone, and what was interrupted is proposed again."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl import scales
from cl.errors import DataError, RunInUse, UsageError
from cl.tuning import study as module
from cl.tuning.space import Space
from cl.tuning.study import COMPLETE, DIVERGED, PRUNED, STARTUP, Proposal, Study, Trial, levels_of

pytest.importorskip("optuna", reason="needs the extra tune")

SPACE = Space({"lr": scales.log(1e-4, 1.0), "size": scales.among(8, 16, 32)})
ABOUT = {"strategy": "slca", "search": SPACE.about()}


def value_of(plain: Any) -> float:
    return float(1 / (1 + (np.log10(plain["lr"]) + 2) ** 2) - plain["size"] / 100)


def tell(study: Study, proposal: Proposal, state: str = COMPLETE) -> None:
    value = value_of(proposal.plain)
    curve = [value + 0.1] if state == PRUNED else [value + 0.1, value]
    study.tell(proposal, state, {"1": curve}, {f"run{proposal.index}": {"flops": 2.0, "executed": 1.0, "seconds": 3.0}})


def propose(study: Study, index: int, seed: int = 0, **more: Any) -> Proposal:
    return study.propose(index, SPACE, seed, more.get("levels", {"1": (0.5,)}), more.get("first"))


def filled(where: Path, count: int = 8, seed: int = 0) -> Study:
    study = Study(str(where))
    study.begin(ABOUT)
    for index in range(count):
        tell(study, propose(study, index, seed))
    return study


def test_two_studies_with_one_seed_have_the_same_trials(tmp_path: Path) -> None:
    one, two, other = (filled(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert one.trials() == two.trials() != other.trials() and len(one.trials()) == 8
    assert one.digest() == two.digest() != other.digest() and len(one.digest()) == 8
    found = [trial.value for trial in filled(tmp_path / "d", 30).trials()]
    blind = [value_of({"lr": lr, "size": size}) for lr in np.logspace(-4, 0, 99) for size in (8, 16, 32)]
    assert np.mean(found[STARTUP:]) > np.mean(blind) + 0.05, "it learns"


@pytest.mark.parametrize("after", ["nothing", "the proposal", "half of the result"])
def test_what_was_interrupted_is_proposed_again_with_the_same_values(
    tmp_path: Path, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = filled(tmp_path / "whole", 8).trials()
    study = filled(tmp_path / "cut", 6)
    if after != "nothing":
        proposal = propose(study, 6, levels={"1": (0.75,)})
        if after == "half of the result":
            monkeypatch.setattr(study._study, "tell", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                tell(study, proposal)
    study.close()
    again = Study(str(tmp_path / "cut"))
    again.begin(ABOUT)
    assert len(again.trials()) == 6
    for index in (6, 7):
        proposal = propose(again, index)
        if index == 6 and after != "nothing":
            assert proposal.levels == {"1": [0.75]}, "it keeps its levels too"
        tell(again, proposal)
    assert again.trials() == expected


def test_a_cut_line_and_the_lock_of_a_killed_process_are_mended(tmp_path: Path) -> None:
    study = filled(tmp_path / "j", 2)
    expected = study.trials()
    study.close()
    with open(tmp_path / "j", "ab") as file:
        file.write(b'{"op_code": 5, "wor')
    (tmp_path / "j.lock").symlink_to(tmp_path / "j")
    again = Study(str(tmp_path / "j"))
    again.begin(ABOUT)
    tell(again, propose(again, 2))
    assert again.trials()[:2] == expected and len(again.trials()) == 3


def _hold(path: str, told: Any, done: Any) -> None:
    study = Study(path)
    told.set()
    done.wait(60)
    study.close()


def test_one_process_at_a_time_writes_a_study(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    told, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(str(tmp_path / "j"), told, done))
    process.start()
    try:
        assert told.wait(60)
        with pytest.raises(RunInUse, match="Another process is writing the study"):
            Study(str(tmp_path / "j"))
    finally:
        done.set()
        process.join()
    Study(str(tmp_path / "j")).close()


def test_the_first_trial_may_be_given_and_states_are_kept(tmp_path: Path) -> None:
    study = Study(str(tmp_path / "j"))
    study.begin(ABOUT)
    first = propose(study, 0, first={"lr": 0.01, "size": 16})
    assert first.plain == {"lr": 0.01, "size": 16}
    tell(study, first)
    tell(study, propose(study, 1), PRUNED)
    study.tell(propose(study, 2), DIVERGED, {"1": []}, {})
    pruned, diverged = study.trials()[1:]
    assert [trial.state for trial in study.trials()] == [COMPLETE, PRUNED, DIVERGED]
    assert pruned.value == pytest.approx(value_of(pruned.plain) + 0.1) and diverged.value == 0.0


def test_importances_name_the_option_that_matters(tmp_path: Path) -> None:
    found = filled(tmp_path / "j", 12).importances()
    assert set(found) == {"lr", "size"} and found["lr"] > found["size"] > 0 and sum(found.values()) == pytest.approx(1)
    assert filled(tmp_path / "k", 1).importances() == {}


def test_a_study_of_something_else_is_refused_with_what_differs(tmp_path: Path) -> None:
    filled(tmp_path / "j", 1).close()
    study = Study(str(tmp_path / "j"))
    with pytest.raises(UsageError, match=r"with another strategy \(slca, now mos\); choose another --study"):
        study.begin({**ABOUT, "strategy": "mos"})
    study.close()
    with pytest.raises(UsageError, match="There is no study"):
        Study(str(tmp_path / "none"), readonly=True)
    (tmp_path / "text").write_text("no journal\n")
    with pytest.raises(DataError, match="is no study, or a damaged one"):
        Study(str(tmp_path / "text"))


def test_a_database_works_too(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy")
    study = Study(f"sqlite:///{tmp_path}/study.db")
    study.begin(ABOUT)
    tell(study, propose(study, 0))
    assert study.trials() == filled(tmp_path / "j", 1).trials()


def test_without_optuna_a_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(UsageError, match=r"clbench tune needs Optuna: pip install 'clbench\[tune\]'"):
        Study(str(tmp_path / "j"))


def trial(index: int, *curve: float, state: str = COMPLETE) -> Trial:
    return Trial(index, {}, state, curve[-1], {"1": list(curve)}, {})


def test_levels_are_medians_of_the_trials_that_reached_a_task() -> None:
    few = [trial(i, 0.9 - i / 10, 0.5) for i in range(STARTUP - 1)]
    assert levels_of(few, [1], 3) == {"1": ()}
    trials = [*few, trial(4, 0.1, state=PRUNED)]
    assert levels_of(trials, [1], 3) == {"1": (0.7,)}, "four trials reached the second task"
    assert levels_of([*trials, trial(5, 0.95, 0.3)], [1], 3)["1"] == pytest.approx((0.75, 0.5))
    assert levels_of([*trials, trial(5, 0.95, 0.3)], [1], 2)["1"] == pytest.approx((0.75,)), "never the last task"
    thirds = [trial(i, 1 / 3, 0.1) for i in range(STARTUP)]
    assert levels_of(thirds, [1], 2)["1"][0] <= 1 / 3, "a trial that equals the median goes on"
    assert module.STARTUP == 5
