"""How a run stands, as its folder tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cl.cli import call
from cl.plan.plan import Plan, make_plan
from cl.running.folder import locked
from cl.running.standing import Standing, standing_of
from tests.help.commands import SMALL


@pytest.fixture
def plan() -> Plan:
    return make_plan("simplecil", "split-digits", "test_vit@random", limit=2, options={"stream.tasks": 2})


def test_new_running_stopped_failed_and_complete(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    assert standing_of(plan) == Standing("new")
    plan.folder.mkdir(parents=True)
    with locked(plan.folder):
        assert standing_of(plan).kind == "running"
    assert standing_of(plan).kind == "new", "an empty folder holds no run"
    (plan.folder / "config.toml").touch()
    assert standing_of(plan).kind == "stopped"
    assert call(["run", "-s", "simplecil", *SMALL, "-q"]) == 0
    found = standing_of(plan)
    assert (found.kind, found.done, found.tasks) == ("complete", 2, 2) and found.seconds > 0
    with locked(plan.folder):
        assert standing_of(plan).kind == "complete", "a process that only checks it does not make it incomplete"


def test_a_record_that_is_not_complete_or_damaged(plan: Plan, tmp_path: Path) -> None:
    assert call(["run", "-s", "simplecil", *SMALL, "-q"]) == 0
    path = plan.folder / "record.json"
    whole = json.loads(path.read_text())
    path.write_text("{")
    damaged = standing_of(plan)
    assert damaged.kind == "failed" and str(path) in damaged.error
    from cl.records.record import save

    save({**whole, "status": "failed", "error": "the loss is NaN."}, path)
    assert standing_of(plan) == Standing("failed", 2, 2, "the loss is NaN.", standing_of(plan).seconds)
    save({**whole, "status": "partial"}, path)
    assert standing_of(plan).kind == "stopped"
    with locked(plan.folder):
        assert standing_of(plan).kind == "running"
