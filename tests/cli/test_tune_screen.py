"""What `clbench tune` shows of trials."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl import scales
from cl.cli.shared import Display
from cl.cli.tune_screen import TuneScreen, line_of, table_of
from cl.plan.plan import make_plan
from cl.tuning.space import Space
from cl.tuning.study import COMPLETE, DIVERGED, PRUNED, Trial

SPACE = Space({"lr": scales.log(1e-3, 1), "steps": scales.among((), (3,))})
COSTS = {"run": {"flops": 1.0, "executed": 1.0, "seconds": 61.0}}


def trial(state: str, *curve: float) -> Trial:
    value = curve[-1] if curve else 0.0
    return Trial(3, {"lr": 0.0123456, "steps": "[3]"}, state, value, {"1": list(curve)}, COSTS)


def test_a_line_per_trial() -> None:
    assert line_of(SPACE, trial(COMPLETE, 0.5, 0.25)) == "trial 3: 25.00 %  lr=0.012346 steps=(3,)  1:01"
    assert "12.50 %, pruned after task 1  lr" in line_of(SPACE, trial(PRUNED, 0.125))
    assert "0.00 %, the loss was not finite  lr" in line_of(SPACE, trial(DIVERGED))


def test_the_table_ends_with_importances_where_they_are_known() -> None:
    assert table_of(SPACE, [trial(COMPLETE, 0.5)], {}).count("\n") == 0
    assert table_of(SPACE, [trial(COMPLETE, 0.5)], {"lr": 0.9, "steps": 0.1}).endswith("lr 90 %, steps 10 %")


@pytest.mark.parametrize(("display", "trials", "lines"), [
    (Display(), True, False), (Display(quiet=True), False, False), (Display(verbose=1), True, True),
])  # fmt: skip
def test_trials_are_told_and_runs_with_v(
    display: Display, trials: bool, lines: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    screen, plan = TuneScreen(display, SPACE, 9), make_plan("finetune", "split-digits")
    screen.started(plan, 0, 1)
    with screen.progress(plan) as observer:
        observer.event(0, 4, "two classes")
        observer.message("resuming")
    screen.ended(trial(COMPLETE, 0.5))
    shown = capsys.readouterr()
    assert ("[4 of 9] trial 3: 50.00 %" in shown.err) == trials and shown.out == ""
    assert ("1/4  two classes" in shown.err) == ("resuming" in shown.err) == lines
