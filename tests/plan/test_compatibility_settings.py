"""Plans refuse methods that a setting does not suit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cl.errors import UsageError
from cl.plan.plan import make_plan


def test_a_plan_refuses_methods_that_need_sharp_tasks_and_passes_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is online, which slca cannot learn"):
        make_plan("slca", "split-digits", setting="online")
    with pytest.raises(UsageError, match="is blurry, which ewc cannot"):
        make_plan("ewc", "split-digits", setting="si-blurry")
    returning = tmp_path / "tasks.json"
    returning.write_text(json.dumps([["one", "two"], ["two", "three"]]))
    with pytest.raises(UsageError) as caught:
        make_plan("ewc", "split-digits", options={"stream.tasks_file": str(returning), "accumulate": "convex"})
    assert "has classes that return in later tasks, which ewc cannot learn" in str(caught.value)
    assert str(caught.value).endswith("; `clbench recommend --setting blurry` names strategies for it.")
    with pytest.raises(UsageError, match="is online, which replay cannot"):
        make_plan("replay", "split-digits", setting="online", options={"pred_kd": 1})
    assert make_plan("slca", "split-digits", setting="long-tailed").transforms.setting == ("long-tailed",)
    plan = make_plan("replay", "split-digits", setting="online")
    assert plan.options.epochs == 1 and plan.values["epochs"].origin == "setting online"
    assert make_plan("replay", "split-digits", setting="online", options={"epochs": 3}).options.epochs == 3
    assert make_plan("joint", "split-digits", setting="online").options.epochs > 1
