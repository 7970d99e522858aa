"""Grids: methods' own options, several values of an option, backbones, and methods that are not right on a stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cl.cli import call
from cl.errors import Incompatible, UsageError
from cl.options import OptionInfo
from cl.plan.grids import Grid, grid, values_in
from cl.plan.plan import Plan
from cl.plan.run_options import DEFAULT_BACKBONE

DIGITS = ["split-digits"]
Shown = pytest.CaptureFixture[str]


def chosen(found: Grid, *keys: str) -> list[tuple[Any, ...]]:
    """The strategy of every run and the values of some options, None where it has no such option."""
    return [
        (plan.strategy, *(plan.values[key].value if key in plan.values else None for key in keys))
        for plan in found.plans
    ]


def test_an_option_may_be_for_one_strategy_alone_and_have_several_values() -> None:
    found = grid(["slca", "finetune"], DIGITS, options={"slca.lr": "0.1,0.2", "epochs": "2", "finetune.epochs": "5"})
    assert chosen(found, "lr", "epochs")[:2] == [("slca", 0.1, 2), ("slca", 0.2, 2)]
    assert chosen(found, "epochs")[2:] == [("finetune", 5)]
    assert [plan.title for plan in found.plans][1] == f"slca on split-digits, {DEFAULT_BACKBONE}, lr=0.2, seed 1993"
    assert found.plans[0].values["lr"].origin == "call"


def test_a_list_keeps_its_commas_and_brackets_make_several() -> None:
    one = grid(["slca"], DIGITS, options={"milestones": "100,150"})
    assert chosen(one, "milestones") == [("slca", (100, 150))]
    two = grid(["slca"], DIGITS, options={"milestones": "[1,2],[3]", "fresh_norm": "yes,no"})
    assert chosen(two, "milestones", "fresh_norm") == [
        ("slca", milestones, fresh) for milestones in ((1, 2), (3,)) for fresh in (True, False)
    ]


@pytest.mark.parametrize(
    ("annotation", "constraints", "text", "values"),
    [
        (float, {}, "0.1, 0.2", ["0.1", "0.2"]),
        (int | None, {}, "none,3", ["none", "3"]),
        (bool, {}, "yes,no", ["yes", "no"]),
        (str, {"choices": ("a", "b")}, "a,b", ["a", "b"]),
        (str, {"choices": ("a", "b")}, "a,c", ["a,c"]),
        (str, {}, "a,b", ["a,b"]),
        (str, {}, "[a],[b]", ["a", "b"]),
        (tuple[int, ...], {}, "1,2", ["1,2"]),
        (tuple[int, ...], {}, "[1,2]", ["[1,2]"]),
        (tuple[int, ...], {}, "[1,2],[]", ["1,2", ""]),
        (tuple[int, ...] | None, {}, "1,2", ["1,2"]),
        (Any, {}, "1,2", ["1,2"]),
    ],
)
def test_the_type_of_an_option_says_what_commas_mean(
    annotation: Any, constraints: dict[str, Any], text: str, values: list[str]
) -> None:
    assert values_in(text, OptionInfo("key", annotation, None, "", constraints)) == values
    assert values_in(text, None) == [text]


def test_values_of_streams_backbones_and_what_is_wrapped(tmp_path: Path) -> None:
    found = grid(["momentum"], DIGITS, options={"base": "finetune", "base.lr": "0.1,0.2", "momentum.tau": "0.5,1"})
    assert chosen(found, "base.lr", "tau") == [("momentum", lr, tau) for lr in (0.1, 0.2) for tau in (0.5, 1.0)]
    found = grid(["slca"], DIGITS, options={"stream.tasks": "2,5", "backbone.normalize": "none,half"})
    assert chosen(found, "stream.tasks", "backbone.normalize") == [
        ("slca", tasks, norm) for tasks in (2, 5) for norm in ("none", "half")
    ]
    config = tmp_path / "c.toml"
    config.write_text('[run]\nstrategy = "slca"\nstream = "split-digits"\n')
    found = grid([None], [None], options={"slca.lr": "0.1,0.2", "stream.tasks": "2"}, config_file=config)
    assert chosen(found, "lr") == [("slca", 0.1), ("slca", 0.2)]


def test_backbones_and_seeds_are_axes_and_equal_runs_are_one() -> None:
    found = grid(["simplecil"], DIGITS, [1, 2, 1], ["test_vit@random", "test_vit@random", DEFAULT_BACKBONE])
    assert [(plan.backbone, plan.seed) for plan in found.plans] == [
        (backbone, seed) for backbone in ("test_vit@random", DEFAULT_BACKBONE) for seed in (1, 2)
    ]


@pytest.mark.parametrize(
    ("strategies", "options", "says"),
    [
        (["slca"], {"slac.lr": "1"}, "--set slac.lr is for 'slac', which is not a strategy of this call. Did you mean"),
        (
            ["slca"],
            {"ewc.lr": "1"},
            "--set ewc.lr is for 'ewc', which is not a strategy of this call. This call has sl",
        ),
        (["slca"], {"streem.tasks": "2"}, "Did you mean stream?"),
        (["slca"], {"slca.lrr": "1"}, "There is no option 'lrr'"),
        (["slca"], {"lr": "0.1,x"}, "lr must be a number, not 'x'."),
        (["slca", "simplecil"], {"lr": "1"}, "(simplecil on split-digits)"),
    ],
)
def test_mistakes_are_found_before_anything_runs(strategies: list[str], options: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        grid(strategies, DIGITS, options=options)
    assert says in str(caught.value)


def test_a_method_that_cannot_learn_a_stream_is_left_out(capsys: Shown) -> None:
    found = grid(["wsn", "simplecil"], ["permuted-digits", "split-digits"])
    assert [(plan.strategy, plan.stream) for plan in found.plans] == [
        ("wsn", "split-digits"), ("simplecil", "permuted-digits"), ("simplecil", "split-digits"),
    ]  # fmt: skip
    (sentence,) = found.skipped
    assert "permuted-digits is domain-incremental, which wsn cannot learn with these options" in sentence
    with pytest.raises(Incompatible):
        grid(["wsn"], ["permuted-digits"])
    assert call(["config", "-s", "wsn,simplecil", "--stream", "permuted-digits", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["run"]["strategy"] == "simplecil" and shown.err.startswith("Skipped: Stream permuted")
    for command in (["config"], ["run"], ["run", "--dry-run"]):
        assert call([*command, "-s", "wsn", "--stream", "permuted-digits"]) == 2
        assert capsys.readouterr().err.startswith("Error: Stream permuted-digits")


@pytest.mark.usefixtures("methods")
def test_grids_hold_every_combination_once() -> None:
    plans = grid(["method", "validating"], ["split-digits", "split-cifar10"], [1, 2, 1]).plans
    assert [(plan.strategy, plan.stream, plan.seeds["data"]) for plan in plans] == [
        (strategy, stream, seed)
        for strategy in ("method", "validating")
        for stream in ("split-digits", "split-cifar10")
        for seed in (1, 2)
    ]
    assert isinstance(plans[0], Plan)


def test_a_config_file_lists_networks_and_seeds(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(
        '[run]\nstrategy = "finetune"\nstream = "split-digits"\nbackbone = ["cnn_x1_32@random", "lenet5_28@random"]\n'
        "seed = [1, 2]\n[options]\nepochs = 1\n"
    )
    found = grid([None], [None], config_file=path)
    assert [(plan.backbone, plan.seeds["data"]) for plan in found.plans] == [
        (name, seed) for name in ("cnn_x1_32@random", "lenet5_28@random") for seed in (1, 2)
    ]
    assert {plan.values["epochs"].value for plan in found.plans} == {1}
    other = grid([None], [None], [7], ["mlp_2x100_28@random"], config_file=path)
    assert [(plan.backbone, plan.seeds["data"]) for plan in other.plans] == [("mlp_2x100_28@random", 7)]
    several = grid(["finetune", "slca"], [None], [1], ["lenet5_28@random"], config_file=path)
    assert [plan.strategy for plan in several.plans] == ["finetune", "slca"]
    path.write_text('[run]\nstrategy = "finetune"\nstream = "split-digits"\nbackbone = []\n')
    with pytest.raises(UsageError, match="--backbone"):
        grid([None], [None], config_file=path)


@pytest.mark.parametrize("name", ["architectures", "architectures-rotated-mnist"])
def test_the_stored_grids_repeat_the_study_of_architectures(name: str) -> None:
    from cl import registry

    path = Path(__file__).parents[2] / "benchmarks" / f"{name}.toml"
    found = grid([None], [None], config_file=path)
    networks = {plan.backbone.partition("@")[0] for plan in found.plans}
    assert len(found.plans) == 3 * len(networks) and networks <= set(registry.backbones) and not found.skipped
    assert {plan.values["batch_size"].value for plan in found.plans} == {10 if name == "architectures" else 64}


@pytest.mark.parametrize(
    ("name", "learners", "backbone"),
    [
        ("nevis", ("independent", "finetune-previous", "finetune-dynamic"), "resnet34_64@random"),
        ("nevis-pretrained", ("independent", "pretrained"), "resnet34.tv_in1k"),
    ],
)
def test_the_stored_grids_of_nevis_have_the_settings_of_the_paper(
    name: str, learners: tuple[str, ...], backbone: str, isolated: None
) -> None:
    path = Path(__file__).parents[2] / "benchmarks" / f"{name}.toml"
    found = grid([None], [None], config_file=path)
    assert [plan.strategy for plan in found.plans] == [each for each in learners for _ in range(3)]
    assert {(plan.stream, plan.backbone) for plan in found.plans} == {("nevis", backbone)} and not found.skipped
    assert set(chosen(found, "trials", "steps", "lr_min", "lr_max", "stream.stop_year", "stream.ablation")) == {
        (each, 16, 50_000, 1e-4, 0.1, None, None) for each in learners
    }
    small = grid(
        [None], ["nevis-tiny"], [1], options={"trials": "4,8", "stream.train_per_class": "5"}, config_file=path
    )
    assert len(small.plans) == 2 * len(learners), "the command takes the place of the file's list of seeds"
