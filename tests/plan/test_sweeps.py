"""Sweep files: their axes, several grids, what the command line replaces, and wrong files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cl.errors import UsageError
from cl.plan.sweeps import Axes, Sweep, axis_text, plans_of, read_sweep


def written(tmp_path: Path, text: str) -> Sweep:
    path = tmp_path / "grid.toml"
    path.write_text(text)
    return read_sweep(path)


def rows(sweep: Sweep, *keys: str, only: Axes | None = None) -> list[tuple[Any, ...]]:
    """Strategy, seed and some options of every run."""
    plans = plans_of(sweep, only).plans
    return [(p.strategy, p.seed, *(p.values[key].value for key in keys if key in p.values)) for p in plans]


ONE = """
strategies = ["slca", "simplecil"]
streams = ["split-digits"]
seeds = [1, 2]
[options]
"slca.lr" = [0.01, 0.02]
"slca.milestones" = [[1, 2], [3]]
stream.tasks = 5
[run]
precision = "bf16"
[executor]
name = "local"
jobs = 3
"""


def test_lists_are_axes_and_options_may_be_for_one_strategy(tmp_path: Path) -> None:
    sweep = written(tmp_path, ONE)
    assert sweep.name == "grid" and sweep.executor == {"name": "local", "jobs": 3}
    found = rows(sweep, "lr", "milestones")
    assert len(found) == 2 * 2 * 2 + 2 and found[-1] == ("simplecil", 2)
    assert found[0] == ("slca", 1, 0.01, (1, 2)) and found[7] == ("slca", 2, 0.02, (3,))
    plans = plans_of(sweep).plans
    assert {plan.precision for plan in plans} == {"bf16"} and plans[4].values["lr"].origin == "sweep"
    assert {plan.values["stream.tasks"].value for plan in plans} == {5}


def test_several_grids_share_what_stands_outside_and_equal_runs_are_one(tmp_path: Path) -> None:
    text = """
streams = ["split-digits"]
seeds = [1]
options = {epochs = 2}
[[grid]]
strategies = ["slca", "finetune"]
[[grid]]
strategies = ["finetune"]
seeds = [1, 2]
options = {lr = 0.5}
[[grid]]
strategies = ["finetune"]
"""
    assert rows(written(tmp_path, text), "epochs") == [
        ("slca", 1, 2), ("finetune", 1, 2), ("finetune", 1, 2), ("finetune", 2, 2),
    ]  # fmt: skip


def test_the_command_line_replaces_lists_and_adds_options(tmp_path: Path) -> None:
    only = Axes(strategies=("slca",), seeds=(7,), options={"slca.lr": "0.5"}, run={"precision": "fp32"})
    sweep = written(tmp_path, ONE)
    assert rows(sweep, "lr", "milestones", only=only) == [("slca", 7, 0.5, (1, 2)), ("slca", 7, 0.5, (3,))]
    assert {plan.precision for plan in plans_of(sweep, only).plans} == {"fp32"}


def test_a_preset_that_a_strategy_lacks_leaves_it_out_with_a_sentence(tmp_path: Path) -> None:
    text = 'strategies = ["slca", "ncm"]\nstreams = ["split-cifar100"]\npresets = ["small"]\n'
    found = plans_of(written(tmp_path, text))
    assert [(plan.strategy, plan.preset) for plan in found.plans] == [("slca", "small")]
    assert found.skipped == ("ncm has no preset 'small' for split-cifar100; its presets: mahalanobis, nme.",)
    with pytest.raises(
        UsageError,
        match=r"There is nothing to run\. slca has no preset 'smal' for split-cifar100; its presets: pilot, small\.",
    ):
        plans_of(written(tmp_path, text.replace('"small"', '"smal"')))


def test_a_method_that_cannot_learn_a_stream_is_left_out(tmp_path: Path) -> None:
    text = 'strategies = ["rls", "ewc"]\nstreams = ["split-digits"]\n[options]\nstream.setting = "online"\n'
    found = plans_of(written(tmp_path, text))
    assert [plan.strategy for plan in found.plans] == ["rls"] and "ewc cannot learn" in found.skipped[0]
    with pytest.raises(UsageError, match=r"There is nothing to run\. .*ewc cannot learn"):
        plans_of(written(tmp_path, text.replace('["rls", "ewc"]', '["ewc"]')))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seed = 3", "'seed' is called 'seeds' here, a list."),
        ("strategys = []", "unknown key 'strategys'. Did you mean strategies or streams?"),
        ("[[grid]]\nstrategies = ['slca']\n[[grid]]\nstrems = []", "grid 2: unknown key 'strems'."),
        ("[grid]\nstrategies = []", "write every grid as a table [[grid]], with two brackets."),
        ("options = 3", "options is a table, [options] or [grid.options]."),
        ("[run]\nseed = 3", "[run] has no 'seed'. It is a list outside of [run]: seeds."),
        ("[run]\nprecison = 'bf16'", "[run] has no 'precison'. Did you mean precision?"),
        ("executor = 'ray'", "write the executor as a table [executor] with name = 'ray'."),
        ("seeds = ['x']", "seeds must be"),
        ("grid = []", "write every grid as a table [[grid]], with two brackets."),
        ("strategies = []", "'strategies' is an empty list; leave it out, or name one."),
        ("options = {lr = []}", "option 'lr' has an empty list; leave it out, or give a value."),
        ("run = {threads = 1}", "[run] has no 'threads'. It is an option of the command: --threads."),
        ("run = {jobs = 1}", "[run] has no 'jobs'. It stands in [executor], or is an option of the command: --jobs."),
        ("strategies = [", "is not valid TOML"),
    ],
)
def test_a_wrong_file_is_one_sentence_with_its_place(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        written(tmp_path, text)
    assert sentence in str(caught.value) and str(caught.value).startswith(str(tmp_path / "grid.toml"))


def test_a_file_that_is_not_there_and_names_that_do_not_exist(tmp_path: Path) -> None:
    written(tmp_path, "")
    with pytest.raises(UsageError, match=r"There is no sweep file .*/grid\. Did you mean .*/grid\.toml\?"):
        read_sweep(tmp_path / "grid")
    with pytest.raises(UsageError, match="is a folder; name the TOML file of the sweep"):
        read_sweep(tmp_path)
    with pytest.raises(UsageError, match="Sweep grid names no strategies: add them, or give -s"):
        plans_of(written(tmp_path, 'streams = ["split-digits"]'))
    with pytest.raises(UsageError, match=r"Give GRID\.toml, or streams with --stream"):
        plans_of(Sweep("sweep", (Axes(strategies=("ncm",)),), named=False))
    with pytest.raises(UsageError, match=r"There is no strategy 'slac'\. Did you mean slda or slca"):
        plans_of(written(tmp_path, 'strategies = ["slac"]\nstreams = ["split-digits"]'))
    with pytest.raises(UsageError, match=r"slac\.lr is for 'slac', which is not a strategy of this call"):
        plans_of(written(tmp_path, 'strategies = ["slca"]\nstreams = ["split-digits"]\noptions = {"slac.lr" = 1}'))


def test_values_are_written_as_on_the_command_line() -> None:
    assert axis_text([0.1, 0.2]) == "0.1,0.2" and axis_text([[1, 2], 3]) == "[1,2],[3]"
    assert axis_text(True) == "true" and axis_text([False, True]) == "false,true" and axis_text("x") == "x"


def test_the_stored_sweep_of_nevis_has_the_settings_of_the_paper() -> None:
    sweep = read_sweep(Path(__file__).parents[2] / "benchmarks" / "nevis.toml")
    found = plans_of(sweep)
    scratch, pretrained = found.plans[:9], found.plans[9:]
    assert [plan.strategy for plan in scratch[::3]] == ["independent", "finetune-previous", "finetune-dynamic"]
    assert [plan.strategy for plan in pretrained[::3]] == ["independent", "pretrained"] and not found.skipped
    assert {plan.backbone for plan in scratch} == {"resnet34_64@random"}
    assert {plan.backbone for plan in pretrained} == {"resnet34.tv_in1k"}
    keys = ("trials", "steps", "lr_min", "lr_max", "stream.stop_year")
    assert {tuple(p.values[key].value for key in keys) for p in found.plans} == {(16, 50_000, 1e-4, 0.1, None)}
    small = Axes(streams=("nevis-tiny",), seeds=(1,), options={"trials": "4,8", "stream.train_per_class": "5"})
    assert len(plans_of(sweep, small).plans) == 2 * 5
