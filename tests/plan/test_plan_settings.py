"""The settings of a run are a part of its plan."""

from __future__ import annotations

from typing import Any

from cl.plan.plan import load_plan, make_plan


def test_a_resumed_run_has_the_same_plan(tmp_path: Any) -> None:
    plan = make_plan("replay", "split-digits", setting="online", options={"stream.chunk": 4})
    (tmp_path / "config.toml").write_text(plan.to_toml())
    again = load_plan(tmp_path)
    assert again.transforms == plan.transforms and again.config_hash == plan.config_hash
    assert again.options == plan.options
