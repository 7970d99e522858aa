"""Which value an option has: from default to call, for wrappers too, and what shorthands become."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl.errors import UsageError
from cl.options import Value
from cl.plan.plan import make_plan

pytestmark = pytest.mark.usefixtures("methods")


def test_precedence_from_default_to_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "my.toml"
    config.write_text('[run]\nmax_tasks = 3\n[options]\nnote = "file"\nstream.base = 2\nsteps = [9]\n')
    monkeypatch.setenv("CLBENCH_SET", "note=environment 'steps=3, 4'")
    plan = make_plan("method", "split-digits", config_file=config, options={"note": "called"}, origin="command line")
    assert plan.values["epochs"] == Value(7, "preset method#1")
    assert plan.values["stream.base"] == Value(2, "file my.toml")
    assert plan.values["steps"] == Value((3, 4), "environment")
    assert plan.values["note"] == Value("called", "command line")
    assert plan.values["backbone.normalize"] == Value("half", "preset method#1")
    assert plan.values["stream.order"].origin == "default"
    assert (plan.options.lr, plan.stream_options.tasks, plan.max_tasks, plan.untuned) == (0.3, 2, 3, False)
    assert plan.config()["steps"] == {"value": [3, 4], "origin": "environment"}


def test_a_method_that_needs_validation_gets_it() -> None:
    plan = make_plan("validating", "split-digits")
    assert plan.values["stream.val_fraction"] == Value(0.25, "strategy validating")
    other = make_plan("validating", "split-digits", options={"stream.val_fraction": 0.1})
    assert other.stream_options.val_fraction == 0.1


def test_wrappers_receive_their_base_completely_resolved() -> None:
    plan = make_plan("wrapper", "split-digits", options={"base.lr": "0.7", "weight": 1})
    assert plan.options.base_options == {"lr": 0.7, "epochs": 7, "note": None, "steps": (1, 2)}
    assert plan.values["base.lr"] == Value(0.7, "call")
    assert plan.values["base.epochs"] == Value(7, "preset method#1")
    assert plan.values["base.note"].origin == "default"
    with pytest.raises(UsageError, match=r"no option 'base\.lrr'.*Did you mean base\.lr"):
        make_plan("wrapper", "split-digits", options={"base.lrr": 1})


def test_limit_becomes_stream_options_and_marks_the_run() -> None:
    plan = make_plan("method", "split-digits", limit="5")
    assert plan.values["stream.train_per_class"] == Value(5, "--limit")
    assert plan.values["stream.test_per_class"] == Value(5, "--limit")
    assert plan.limited
    assert make_plan("method", "split-digits", limit="0.5").stream_options.test_per_class == 0.5
    assert make_plan("method", "split-digits", max_tasks=1).limited
    for wrong in ("0", "-1", "1.5", "all"):
        with pytest.raises(UsageError, match="--limit must be"):
            make_plan("method", "split-digits", limit=wrong)
