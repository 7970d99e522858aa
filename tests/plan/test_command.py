"""The command that repeats a run: parsed again, it gives the same run."""

from __future__ import annotations

from typing import Any

import pytest

from cl.cli.commands.run import command, planned
from cl.plan.command import command_of
from cl.plan.plan import Plan, make_plan
from cl.plan.run_options import declared

GIVEN: list[dict[str, Any]] = [
    {"strategy": "slca", "stream": "split-cifar100", "preset": "small", "seed": 7, "precision": "bf16",
     "options": {"lr": "0.02", "milestones": "[1,2]", "stream.train_per_class": "100"}},
    {"strategy": "replay", "stream": "split-digits", "order_seed": 3, "setting": ("online",), "max_tasks": 2,
     "limit": 3},
    {"strategy": "momentum", "stream": "split-digits", "options": {"base": "ewc", "base.lr": "0.5"}},
    {"strategy": "simplecil", "stream": "split-digits", "backbone": "resnet18@random", "loggers": "tensorboard",
     "save_scores": True, "few_shot": True, "checkpoint_every": 5.0, "results": "some where"},
    {"strategy": "independent", "stream": "nevis-real", "options": {"lr_max": 1e-2, "stream.missing": "skip"}},
    {"strategy": "ewc", "stream": "split-cifar100", "options": {"stream.val_fraction": 0.2}, "init_seed": 5},
]  # fmt: skip


def parsed(words: list[str]) -> Plan:
    """The plan of a command."""
    assert words[:2] == ["clbench", "run"]
    found = command.make_context("run", words[2:]).params
    given = {key: value for key, value in found.items() if key in (*declared(), "assignments", "config")}
    (plan,) = planned(**given).plans
    return plan


@pytest.mark.parametrize("given", GIVEN, ids=lambda given: str(given["strategy"]))
def test_a_command_gives_the_run_again(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(**given)
    again = parsed(command_of(plan))
    assert (again.folder, again.seeds, again.config_hash) == (plan.folder, plan.seeds, plan.config_hash)
    assert {key: each.value for key, each in again.values.items()} == {k: v.value for k, v in plan.values.items()}
    assert (again.loggers, again.save_scores, again.checkpoint_every) == (
        plan.loggers, plan.save_scores, plan.checkpoint_every,
    )  # fmt: skip


def test_a_command_says_nothing_that_a_preset_or_a_default_says() -> None:
    words = command_of(make_plan("slca", "split-digits", options={"lr": 0.5}))
    wanted = ["clbench", "run", "-s", "slca", "--stream", "split-digits", "--set", "lr=0.5", "--seed", "1993"]
    assert words[: len(wanted)] == wanted and words[len(wanted) :][:1] in ([], ["--results"])
