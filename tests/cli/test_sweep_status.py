"""How the runs of a grid stand, as text and as JSON."""

from __future__ import annotations

import json

import pytest

from cl.cli import sweep_status
from cl.executors.journal import Attempt, key_of
from cl.plan.plan import Plan, make_plan
from cl.running.standing import Standing

Shown = pytest.CaptureFixture[str]


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """Five runs: complete, running, stopped, failed, new."""
    plans = [make_plan("simplecil", "split-digits", seed=seed) for seed in range(5)]
    kinds = [Standing("complete", 5, 5, seconds=30), Standing("running", 2, 5, host="node7"), Standing("stopped", 1, 5),
             Standing("failed", 1, 5, "the loss is NaN."), Standing("new")]  # fmt: skip
    found = dict(zip([plan.folder for plan in plans], kinds, strict=True))
    monkeypatch.setattr(sweep_status, "standing_of", lambda plan: found[plan.folder])
    return plans


def test_what_is_not_complete_is_listed_and_all_is_counted(plans: list[Plan], capsys: Shown) -> None:
    assert sweep_status.show(plans, {}, False) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["running", "stopped", "failed", "clbench", "5"]
    assert lines[0].endswith("seed 1 after 2 of 5 tasks on node7") and "tasks: the loss is NaN." in lines[2]
    assert lines[4] == (
        "5 runs: 1 complete, 1 running, 1 stopped, 1 failed, 1 new. "
        "About 2:00 of work is left, one run after the other."
    )
    assert sweep_status.show(plans[:3], {}, False) == 0


def test_a_failure_without_a_record_is_known_from_the_journal(plans: list[Plan], capsys: Shown) -> None:
    last = {key_of(plans[4]): Attempt(key_of(plans[4]), "failed", 3, "No data.")}
    assert sweep_status.show(plans[4:], last, True) == 1
    facts = json.loads(capsys.readouterr().out)
    assert (facts["state"], facts["error"]) == ("failed", "No data.") and facts["command"][:2] == ["clbench", "run"]
    running = {key_of(plans[1]): Attempt(key_of(plans[1]), "failed", 3, "No data.")}
    assert sweep_status.show(plans[1:2], running, False) == 0, "it is being tried again"
